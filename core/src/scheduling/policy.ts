/** Who may do what in scheduling. The database's policies say the same once more. */
import * as audit from '#audit';
import { Forbidden, NotFound } from '#platform/errors';
import { idOf, isUuid } from '#platform/input';
import { type Actor, type Scope, transact } from '#platform/scope';
import { TooLateToChange } from './errors.ts';

const READERS = new Set<Actor['role']>(['admin', 'agent', 'patient', 'system']);
const WRITERS = new Set<Actor['role']>(['admin', 'system']);
const STAFF = new Set<Actor['role']>(['admin', 'agent', 'system']);

/** Of the directory. */
export async function permitRead(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, READERS.has(scope.actor.role), entry);
}

/** Of the directory. */
export async function permitWrite(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, WRITERS.has(scope.actor.role), entry);
}

export const isStaff = ({ role }: Actor): boolean => STAFF.has(role);
export const isPatient = ({ role }: Actor): boolean => role === 'patient';

/** Lets staff through. Throws {@link Forbidden}. */
export async function permitStaff(scope: Scope, action: string, id?: string): Promise<void> {
  await audit.permit(scope, isStaff(scope.actor), { action, resourceType: 'Appointment', resourceId: id ?? null });
}

/**
 * Lets staff through, and patients to their own visits. For a patient, another's record is one that does not exist:
 * the attempt is on record, the answer is {@link NotFound}.
 */
export async function permitPatient(scope: Scope, patientId: string, action: string): Promise<void> {
  if (!isUuid(patientId)) throw new NotFound('Patient');
  const own = isPatient(scope.actor) && scope.actor.patientId === idOf(patientId);
  const entry = { action, resourceType: 'Appointment', patientIds: [patientId] };
  try {
    await audit.permit(scope, isStaff(scope.actor) || own, entry);
  } catch (thrown) {
    throw thrown instanceof Forbidden && isPatient(scope.actor) ? new NotFound('Patient') : thrown;
  }
}

/** The same for one visit by its id. */
export async function permitAppointment(scope: Scope, id: string, action: string): Promise<void> {
  if (!isUuid(id)) throw new NotFound('Appointment');
  const entry = { action, resourceType: 'Appointment', resourceId: id };
  await audit.permit(scope, READERS.has(scope.actor.role), entry);
  if (!isPatient(scope.actor)) return;
  const own = await transact(scope, ({ db }) =>
    db.selectFrom('appointments').select('id').where('id', '=', id).executeTakeFirst(),
  );
  if (own !== undefined) return;
  await transact(scope, (scope) => audit.record(scope, { ...entry, outcome: 'DENIED' }));
  throw new NotFound('Appointment');
}

/** Whether the actor may book against the rules on purpose: admins, and agents with a grant. */
export const mayOverride = ({ role, mayOverride }: Actor): boolean =>
  role === 'admin' || (role === 'agent' && mayOverride === true);

export async function permitOverride(scope: Scope): Promise<void> {
  await audit.permit(scope, mayOverride(scope.actor), { action: 'appointment.override', resourceType: 'Appointment' });
}

/** Before a visit, until when patients change it themselves. */
const CUTOFF = { hours: 24 } as const;

/** Whether a patient may still change a visit that starts then. */
export const isInTimeForPatient = ({ now }: Scope, startsAt: Temporal.Instant): boolean =>
  Temporal.Instant.compare(now, startsAt.subtract(CUTOFF)) <= 0;

/** Lets staff change a visit at any time, and patients their own up to a day before. Throws {@link TooLateToChange}. */
export function mustBeInTime(scope: Scope, startsAt: Temporal.Instant): void {
  if (!isPatient(scope.actor) || isInTimeForPatient(scope, startsAt)) return;
  throw new TooLateToChange(startsAt.subtract(CUTOFF), scope.clinic.phone ?? null);
}
