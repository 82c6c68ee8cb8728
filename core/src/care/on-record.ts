/** Patients as other records name them: also those who are gone, since what was done for them stays. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { statement } from '#platform/database';
import { idOf, isUuid } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { Identity } from './facts.ts';
import type { Patient } from './patient.ts';
import { mayReach, permitReader } from './policy.ts';
import { PATIENT_COLUMNS, toPatient, withIdentity } from './record.ts';

/** Nobody can tell any more. */
const ERASED: Identity = { firstName: '', lastName: '', email: null, phone: null, dateOfBirth: null };

/**
 * Those of the ids that are patients the caller may see, by id, for loaders: the deleted too, and of the erased what
 * names nobody. One query and one audit entry. Throws Forbidden.
 */
export async function patientsOnRecord(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Patient>> {
  const action = 'patient.read';
  await permitReader(scope, action);
  const reachable = ids
    .filter(isUuid)
    .map(idOf)
    .filter((id) => mayReach(scope.actor, id));

  return transact(scope, async (scope) => {
    const rows = await rowsByIds(scope.db, { ids: reachable });
    await audit.record(scope, { action, resourceType: 'Patient', resourceIds: rows.map(({ id }) => id) });
    const shown = rows.map((row) => (row.erased_at === null ? toPatient(scope, row) : withIdentity(row, ERASED)));
    return new Map(shown.map((patient) => [patient.id, patient]));
  });
}

const rowsByIds = statement((db, { ids }: { ids: readonly string[] }) =>
  db
    .selectFrom('patients')
    .select([...PATIENT_COLUMNS, 'erased_at'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`),
);
