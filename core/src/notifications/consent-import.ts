/** Consents that another system has on record, for many patients at once. */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { emitAll } from '#platform/events';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { CONTACT_KINDS, PURPOSES } from './consent.ts';
import { permitSystem } from './consent-policy.ts';
import { evidencePlace } from './consent-record.ts';
import { contactIndex, contactOf } from './contact.ts';

const ConsentImport = z.object({
  purpose: z.enum(PURPOSES).default('CARE_REMINDER'),
  /** Which words they agreed to, in the other system's count. */
  wordingVersion: z.string().min(1).max(100),
  /** Where it is written. */
  evidence: z.string().min(1).max(2_000),
});
export type ConsentImport = z.input<typeof ConsentImport>;

const action = 'consent.import';

/**
 * Records that each of the patients agrees, for the phone and the address on record, some hundreds in one statement. Of
 * what is on record here already nothing changes: an import undoes no withdrawal, and done again it does nothing.
 * Returns how many it recorded. For the system. Throws InvalidInput, Forbidden.
 */
export async function importConsents(scope: Scope, ids: readonly string[], input: ConsentImport): Promise<number> {
  const consent = parse(ConsentImport, input);
  await permitSystem(scope, { action, resourceType: 'Consent' });

  return transact(scope, async (scope) => {
    const contacts = await care.contactsOf(scope, ids);
    const rows = [...contacts.values()]
      .filter(({ deleted, status }) => !deleted && status !== 'DECEASED')
      .flatMap((contact) => rowsOf(scope, contact, consent));
    const recorded = await insertUnknown(scope, rows, consent);
    if (recorded.length === 0) return 0;
    await audit.record(scope, {
      action,
      resourceType: 'Consent',
      resourceIds: recorded.map(({ consentId }) => consentId),
      patientIds: [...new Set(recorded.map(({ patientId }) => patientId))],
    });
    await emitAll(scope, 'consent.given', recorded);
    return recorded.length;
  });
}

function rowsOf({ vault }: Scope, patient: care.Contact, { evidence }: { evidence: string }): object[] {
  return CONTACT_KINDS.flatMap((kind) => {
    const contact = contactOf(patient, kind);
    if (contact === null) return [];
    const id = randomUUIDv7();
    return [
      {
        id,
        patient_id: patient.patientId,
        contact_index: hex(contactIndex(vault, contact)),
        contact_kind: kind,
        evidence: hex(patient.key.seal(evidencePlace(id), evidence)),
      },
    ];
  });
}

const hex = (bytes: Buffer): string => `\\x${bytes.toString('hex')}`;

async function insertUnknown(
  { db, actor, now }: Scope,
  rows: readonly object[],
  { purpose, wordingVersion }: z.output<typeof ConsentImport>,
): Promise<{ patientId: string; consentId: string }[]> {
  const inserted = await sql<{ patientId: string; consentId: string }>`
    insert into consents (id, patient_id, contact_index, contact_kind, purpose, status, source, wording_version, evidence,
      recorded_by, recorded_role, recorded_at)
    select id, patient_id, contact_index, contact_kind, ${purpose}, 'GIVEN', 'IMPORT', ${wordingVersion}, evidence,
      ${actor.id}, ${actor.role}, ${now.toString()}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (id uuid, patient_id uuid, contact_index bytea,
      contact_kind text, evidence bytea)
    where not exists (select from consents known where known.patient_id = given.patient_id
      and known.contact_index = given.contact_index and known.purpose = ${purpose})
    returning patient_id as "patientId", id as "consentId"`.execute(db);
  return inserted.rows;
}
