/** Rows of consents: what is sealed in them, and how they are opened. */
import type { Selectable } from 'kysely';
import * as care from '#care';
import type { Database } from '#platform/database';
import type { Scope } from '#platform/scope';
import { type Consent, CONTACT_KINDS } from './consent.ts';
import { isStaff } from './consent-policy.ts';
import { contactIndex, contactOf, type Reachable } from './contact.ts';

type ConsentRow = Selectable<Database['consents']>;

/** What patients may select. */
export const CONSENT_COLUMNS = [
  'id',
  'patient_id',
  'contact_index',
  'contact_kind',
  'purpose',
  'status',
  'source',
  'wording_version',
  'recorded_role',
  'recorded_at',
] as const;

export type ConsentView = Pick<ConsentRow, (typeof CONSENT_COLUMNS)[number]> & Partial<Pick<ConsentRow, 'evidence'>>;

/** A patient, and how they can be reached. */
export interface Person extends Reachable {
  readonly id: string;
}

/** Patients see no evidence. */
export function selectConsents({ db, actor }: Scope) {
  return db
    .selectFrom('consents')
    .select(CONSENT_COLUMNS)
    .$if(isStaff(actor), (rows) => rows.select('evidence'));
}

export const evidencePlace = (id: string) => ({ table: 'consents', column: 'evidence', row: id });

/** Opens the evidence of those patients who have a key still. */
export async function toConsents(
  scope: Scope,
  rows: readonly ConsentView[],
  people: readonly Person[],
): Promise<Consent[]> {
  const sealed = rows.filter(({ evidence }) => evidence).map(({ patient_id }) => patient_id);
  const keys = await care.keysOf(scope, [...new Set(sealed)]);
  const contacts = contactsByIndex(scope, people);
  return rows.map((row) => ({
    id: row.id,
    patientId: row.patient_id,
    contactKind: row.contact_kind,
    contact: contacts.get(`${row.patient_id} ${row.contact_index?.toString('hex')}`) ?? null,
    purpose: row.purpose,
    status: row.status,
    source: row.source,
    wordingVersion: row.wording_version,
    evidence: row.evidence ? (keys.get(row.patient_id)?.open(evidencePlace(row.id), row.evidence) ?? null) : null,
    recordedRole: row.recorded_role,
    recordedAt: row.recorded_at.toTemporalInstant(),
  }));
}

function contactsByIndex({ vault }: Scope, people: readonly Person[]): ReadonlyMap<string, string> {
  const contacts = new Map<string, string>();
  for (const person of people)
    for (const kind of CONTACT_KINDS) {
      const contact = contactOf(person, kind);
      if (contact !== null) contacts.set(`${person.id} ${contactIndex(vault, contact).toString('hex')}`, contact);
    }
  return contacts;
}
