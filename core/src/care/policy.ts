/** Who may reach which patient. The database's policies say the same once more. */
import * as audit from '#audit';
import { Forbidden, NotFound } from '#platform/errors';
import { isUuid } from '#platform/input';
import { type Actor, type Scope, transact } from '#platform/scope';
import { EmailUnproven, PhoneUnproven } from './errors.ts';
import { FACTS, type Facts } from './facts.ts';
import type { ParsedChanges } from './input.ts';

const STAFF: ReadonlySet<Actor['role']> = new Set(['admin', 'agent', 'system']);
const ADMIN: ReadonlySet<Actor['role']> = new Set(['admin', 'system']);

export const isStaff = ({ role }: Actor): boolean => STAFF.has(role);

/** Lets staff through. Throws {@link Forbidden}. */
export function permitStaff(scope: Scope, action: string): Promise<void> {
  return audit.permit(scope, isStaff(scope.actor), { action, resourceType: 'Patient' });
}

/** Lets through whoever reaches some patient at all. Throws {@link Forbidden}. */
export function permitReader(scope: Scope, action: string): Promise<void> {
  const { actor } = scope;
  return audit.permit(scope, isStaff(actor) || actor.role === 'patient', { action, resourceType: 'Patient' });
}

/** Lets admins and the system through. Throws {@link Forbidden}. */
export function permitAdmin(scope: Scope, action: string): Promise<void> {
  return audit.permit(scope, ADMIN.has(scope.actor.role), { action, resourceType: 'Patient' });
}

/**
 * Lets the actor through to one patient. For a patient, another's record is one that does not exist: the attempt is
 * on record, the answer is {@link NotFound}. Everybody else who may not gets {@link Forbidden}.
 */
export async function permitRecord(scope: Scope, id: string, action: string): Promise<void> {
  if (!isUuid(id)) throw new NotFound('Patient');
  try {
    await audit.permit(scope, mayReach(scope.actor, id), { action, resourceType: 'Patient', resourceId: id });
  } catch (thrown) {
    throw thrown instanceof Forbidden && scope.actor.role === 'patient' ? new NotFound('Patient') : thrown;
  }
}

/**
 * Lets patients change their contact data and preferences, and staff everything. A patient clears the e-mail address
 * and the first phone, and gives no new one. Throws {@link Forbidden}, {@link EmailUnproven}, {@link PhoneUnproven}.
 */
export async function permitChange(scope: Scope, id: string, changes: Pick<ParsedChanges, keyof Facts>): Promise<void> {
  const changedFields = FACTS.filter((fact) => changes[fact] !== undefined);
  const entry = { action: 'patient.update', resourceType: 'Patient', resourceId: id, changedFields };
  await audit.permit(scope, isStaff(scope.actor) || changedFields.every((fact) => OWN.has(fact)), entry);
  if (isStaff(scope.actor) || (!changes.email && !changes.phone)) return;
  await transact(scope, (scope) => audit.record(scope, { ...entry, outcome: 'DENIED' }));
  throw new (changes.email ? EmailUnproven : PhoneUnproven)(scope.clinic.phone ?? null);
}

export function mayReach(actor: Actor, id: string): boolean {
  return isStaff(actor) || (actor.role === 'patient' && actor.patientId === id);
}

/** What patients may change about themselves. */
const OWN: ReadonlySet<keyof Facts> = new Set<keyof Facts>([
  'email',
  'phone',
  'address',
  'furtherPhones',
  'timeZone',
  'language',
  'preferences',
]);
