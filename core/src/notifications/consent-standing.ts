/**
 * Whether a message may go to a number or address: the patient's consent for that very one, and that its holder has not
 * opted out, whoever's consent there is. Preferences choose among what is left, and add nothing.
 */
import { sql } from 'kysely';
import type * as care from '#care';
import type { Scope } from '#platform/scope';
import type { ConsentStatus, Purpose } from './consent.ts';
import { contactIndex, contactKind, contactOf } from './contact.ts';
import { newestOf } from './opt-out-record.ts';

export interface PatientContact {
  readonly patientId: string;
  /** E.164, or a normalised e-mail address. */
  readonly contact: string;
}

export interface ContactStanding {
  readonly contactIndex: Buffer;
  readonly consented: boolean;
  readonly optedOut: boolean;
}

export interface Standings {
  /** Of a pair that was not asked for: not consented. */
  of(patientId: string, contact: string): ContactStanding;
}

/** Two queries however many there are, inside `transact`. For staff and the system. */
export async function standing(
  scope: Scope,
  contacts: readonly PatientContact[],
  purpose: Purpose = 'CARE_REMINDER',
): Promise<Standings> {
  const indexes = new Map(contacts.map(({ contact }) => [contact, contactIndex(scope.vault, contact)]));
  const consented = await consentedAmong(scope, contacts, { purpose, indexes });
  const said = await newestOf(scope, [...indexes.values()]);
  const optedOut = new Set(said.filter((row) => row.opted_out).map((row) => row.contact_index.toString('hex')));
  return {
    of(patientId, contact) {
      const index = indexes.get(contact) ?? contactIndex(scope.vault, contact);
      const key = index.toString('hex');
      return {
        contactIndex: index,
        consented: consented.has(`${patientId} ${key}`),
        optedOut: optedOut.has(key),
      };
    },
  };
}

interface Asked {
  readonly purpose: Purpose;
  readonly indexes: ReadonlyMap<string, Buffer>;
}

async function consentedAmong(
  { db }: Scope,
  contacts: readonly PatientContact[],
  { purpose, indexes }: Asked,
): Promise<ReadonlySet<string>> {
  if (contacts.length === 0) return new Set();
  const { rows } = await sql<{ patient_id: string; contact_index: Buffer; status: ConsentStatus }>`
    select asked.patient_id, asked.contact_index, newest.status
    from unnest(${contacts.map(({ patientId }) => patientId)}::uuid[],
      ${contacts.map(({ contact }) => indexes.get(contact))}::bytea[]) as asked (patient_id, contact_index)
    cross join lateral (
      select c.status from consents c
      where c.patient_id = asked.patient_id and c.contact_index = asked.contact_index and c.purpose = ${purpose}
      order by c.recorded_at desc, c.id desc limit 1) as newest`.execute(db);
  const given = rows.filter(({ status }) => status === 'GIVEN');
  return new Set(given.map(({ patient_id, contact_index }) => `${patient_id} ${contact_index.toString('hex')}`));
}

/** A way to a patient that they agreed to. */
export interface Route {
  readonly channel: care.Channel;
  readonly contact: string;
  readonly contactIndex: Buffer;
}

export interface Routes {
  /** In the patient's order. */
  readonly routes: readonly Route[];
  /** Why there is none. */
  readonly reason: 'NO_CHANNEL' | 'NO_CONSENT' | 'OPTED_OUT' | null;
}

type Preferring = Pick<care.Contact, 'patientId' | 'phone' | 'email' | 'preferences'>;

/** The channels that the patient prefers, has a contact for, and agreed to. */
export function routesTo(patient: Preferring, standings: Standings): Routes {
  const ways = patient.preferences.channels.flatMap((channel) => {
    const contact = contactOf(patient, contactKind(channel));
    return contact === null ? [] : [{ channel, contact, ...standings.of(patient.patientId, contact) }];
  });
  const open = ways.filter(({ consented, optedOut }) => consented && !optedOut);
  return {
    routes: open.map(({ channel, contact, contactIndex }) => ({ channel, contact, contactIndex })),
    reason: open.length > 0 ? null : closedBecause(ways),
  };
}

function closedBecause(ways: readonly ContactStanding[]): Routes['reason'] {
  if (ways.length === 0) return 'NO_CHANNEL';
  return ways.some(({ optedOut }) => optedOut) ? 'OPTED_OUT' : 'NO_CONSENT';
}

/** Everything that {@link routesTo} may ask of the patient. */
export function contactsToAsk(patient: Preferring): PatientContact[] {
  const kinds = new Set(patient.preferences.channels.map(contactKind));
  return [...kinds].flatMap((kind) => {
    const contact = contactOf(patient, kind);
    return contact === null ? [] : [{ patientId: patient.patientId, contact }];
  });
}
