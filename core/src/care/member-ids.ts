/** Under which id patients are known to others, such as the payer. It identifies: it leaves for those others alone. */
import { sql } from 'kysely';
import * as audit from '#audit';
import type { Scope } from '#platform/scope';

/**
 * Those of the ids that are live patients, with their external ids; nobody deletes or erases them until the transaction
 * ends. One query and one audit entry. Call it inside `transact`, and before any lock on what belongs to the patients.
 * For the system. Throws Forbidden.
 */
export async function memberIdsOf(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, string | null>> {
  const action = 'patient.memberId';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Patient' });
  const rows = await scope.db
    .selectFrom('patients')
    .select(['id', 'external_id'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .forKeyShare()
    .execute();
  await audit.record(scope, { action, resourceType: 'Patient', resourceIds: rows.map(({ id }) => id) });
  return new Map(rows.map(({ id, external_id }) => [id, external_id]));
}
