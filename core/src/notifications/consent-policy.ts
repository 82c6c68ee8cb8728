/** Who may see and change what patients agreed to. The database's policies say the same once more. */
import * as audit from '#audit';
import { Forbidden, NotFound } from '#platform/errors';
import { idOf, isUuid } from '#platform/input';
import type { Actor, Scope } from '#platform/scope';

const STAFF = new Set<Actor['role']>(['admin', 'agent', 'system']);

export const isStaff = ({ role }: Actor): boolean => STAFF.has(role);

export const mayReach = (actor: Actor, patientId: string): boolean =>
  isStaff(actor) || (actor.role === 'patient' && actor.patientId === idOf(patientId));

/**
 * Lets staff through, and patients to what is their own. For a patient, another's record is one that does not exist:
 * the attempt is on record, the answer is {@link NotFound}. Everybody else gets {@link Forbidden}.
 */
export async function permitPatient(scope: Scope, patientId: string, entry: audit.Entry): Promise<void> {
  if (!isUuid(patientId)) throw new NotFound('Patient');
  try {
    await audit.permit(scope, mayReach(scope.actor, patientId), { ...entry, patientIds: [idOf(patientId)] });
  } catch (thrown) {
    throw thrown instanceof Forbidden && scope.actor.role === 'patient' ? new NotFound('Patient') : thrown;
  }
}

/** Lets through who reaches all of the patients. Throws {@link Forbidden}. */
export async function permitPatients(scope: Scope, ids: readonly string[], entry: audit.Entry): Promise<void> {
  await audit.permit(scope, ids.every((id) => mayReach(scope.actor, id)) && scope.actor.role !== 'auditor', {
    ...entry,
    patientIds: ids,
  });
}

export async function permitStaff(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, isStaff(scope.actor), entry);
}

export async function permitAdmin(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, scope.actor.role === 'admin' || scope.actor.role === 'system', entry);
}

export async function permitSystem(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, scope.actor.role === 'system', entry);
}
