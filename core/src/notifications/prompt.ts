/** What a patient was asked last, and so what a digit from their number answers. */
import * as care from '#care';
import type { Scope } from '#platform/scope';
import { contactIndex } from './contact.ts';
import { KINDS } from './message.ts';
import { PROMPTS } from './template.ts';

const ASKING = KINDS.filter((kind) => PROMPTS.includes(kind));

/** One visit that the message asked about. */
export interface Asked {
  readonly notificationId: string;
  readonly appointmentId: string;
  readonly revision: number;
  readonly patientId: string;
}

export interface Prompt {
  /** The notification that carried the message. */
  readonly id: string;
  /** Never empty. */
  readonly visits: readonly Asked[];
  readonly language: string;
}

/**
 * The newest message to the number that asked for an answer, or the one with this id, with every visit in it; null
 * when there was none, or when the number is not the patient's any more: whoever has it now was asked nothing. For
 * the system, inside `transact`.
 */
export async function promptOf(scope: Scope, number: Buffer, id: string | null): Promise<Prompt | null> {
  const carrier = id ?? (await newestPrompt(scope, number));
  if (carrier === null) return null;
  const rows = await scope.db
    .selectFrom('notifications')
    .select(['id', 'appointment_id', 'revision', 'patient_id'])
    .where((eb) => eb.or([eb('id', '=', carrier), eb('merged_into', '=', carrier)]))
    .where('kind', 'in', ASKING)
    .orderBy('id')
    .execute();
  const contacts = await care.contactsOf(scope, [...new Set(rows.map(({ patient_id }) => patient_id))]);
  const visits = rows.filter(({ patient_id }) => isNumberOf(scope, number, contacts.get(patient_id)));
  const [first] = visits;
  if (first === undefined) return null;
  return { id: carrier, visits: visits.map(toAsked), language: contacts.get(first.patient_id)?.language ?? 'en' };
}

/** Also one that may have gone out: an answer can be quicker than our own commit. */
async function newestPrompt({ db }: Scope, number: Buffer): Promise<string | null> {
  const newest = await db
    .selectFrom('notifications')
    .select('id')
    .where('contact_index', '=', number)
    .where('status', 'in', ['CLAIMED', 'SENT', 'DELIVERED', 'UNKNOWN'])
    .where('merged_into', 'is', null)
    .where('kind', 'in', ASKING)
    .orderBy('claimed_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return newest?.id ?? null;
}

function isNumberOf({ vault }: Scope, number: Buffer, contact: care.Contact | undefined): boolean {
  if (!contact || contact.deleted || contact.phone === null) return false;
  return contactIndex(vault, contact.phone).equals(number);
}

interface Row {
  readonly id: string;
  readonly appointment_id: string;
  readonly revision: number;
  readonly patient_id: string;
}

function toAsked({ id, appointment_id, revision, patient_id }: Row): Asked {
  return { notificationId: id, appointmentId: appointment_id, revision, patientId: patient_id };
}
