/** Who may do what with benefits. The database's policies say the same once more. */
import * as audit from '#audit';
import { Forbidden, NotFound } from '#platform/errors';
import { idOf, isUuid } from '#platform/input';
import { type Actor, type Scope, transact } from '#platform/scope';
import type { BenefitRow } from './tables.ts';

const STAFF = new Set<Actor['role']>(['admin', 'agent', 'system']);
const ADMIN = new Set<Actor['role']>(['admin', 'system']);

export const isPatient = ({ role }: Actor): boolean => role === 'patient';

/** Throws {@link Forbidden}. */
export async function permitStaff(scope: Scope, action: string, id: string | null = null): Promise<void> {
  await audit.permit(scope, STAFF.has(scope.actor.role), { action, resourceType: 'Benefit', resourceId: id });
}

/** Throws {@link Forbidden}. */
export async function permitAdmin(scope: Scope, action: string, id: string | null = null): Promise<void> {
  await audit.permit(scope, ADMIN.has(scope.actor.role), { action, resourceType: 'Benefit', resourceId: id });
}

/** Whoever reads some benefit at all. Throws {@link Forbidden}. */
export async function permitReader(scope: Scope, action: string): Promise<void> {
  const { role } = scope.actor;
  await audit.permit(scope, STAFF.has(role) || role === 'patient', { action, resourceType: 'Benefit' });
}

/**
 * Lets staff through, and patients to their own. For a patient, another's record is one that does not exist: the
 * attempt is on record, the answer is {@link NotFound}. Throws {@link Forbidden}.
 */
export async function permitPatient(scope: Scope, patientId: string, action: string): Promise<void> {
  if (!isUuid(patientId)) throw new NotFound('Patient');
  const { actor } = scope;
  const own = isPatient(actor) && actor.patientId === idOf(patientId);
  try {
    const entry = { action, resourceType: 'Benefit', patientIds: [patientId] };
    await audit.permit(scope, STAFF.has(actor.role) || own, entry);
  } catch (thrown) {
    throw thrown instanceof Forbidden && isPatient(actor) ? new NotFound('Patient') : thrown;
  }
}

/** The benefit with this id as the caller may see it. Throws {@link NotFound}; an attempt of a patient is on record. */
export async function visibleBenefit(scope: Scope, id: string, action: string): Promise<BenefitRow> {
  if (!isUuid(id)) throw new NotFound('Benefit');
  const row = await transact(scope, ({ db }) =>
    db.selectFrom('benefits').selectAll().where('id', '=', id).executeTakeFirst(),
  );
  if (row !== undefined) return row;
  if (isPatient(scope.actor)) {
    const denied = { action, resourceType: 'Benefit', resourceId: id, outcome: 'DENIED' } as const;
    await transact(scope, (scope) => audit.record(scope, denied));
  }
  throw new NotFound('Benefit');
}
