/** Following messages: of whose the caller may be told. What is told is read anew at each event. */
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import type { Event } from '#platform/events';
import { idOf, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { NOTIFICATION_TOPICS, type NotificationTopic } from './changed.ts';
import { permitPatient } from './consent-policy.ts';
import { permitRead } from './notification-list.ts';

const Following = z.object({ patientId: z.string().nullish(), appointmentId: z.string().nullish() });
/** Of one patient, of one visit; of all that the caller may see where it is left out. */
export type NotificationFollowing = z.input<typeof Following>;

/**
 * Lets the caller follow messages, and has it on record. Returns what tells whether an event is meant: a patient is
 * told of their own. Throws NotFound for a patient or visit that does not exist or is not theirs to know of,
 * InvalidInput, Forbidden.
 */
export async function followNotifications(
  scope: Scope,
  input: NotificationFollowing = {},
): Promise<(event: Event) => event is Event<NotificationTopic>> {
  const { patientId, appointmentId } = parse(Following, input);
  const action = 'notification.follow';
  const entry = { action, resourceType: 'Notification' };
  await permitRead(scope, action);
  if (patientId) await permitPatient(scope, patientId, entry);
  if (appointmentId) await scheduling.getAppointment(scope, appointmentId);

  const own = scope.actor.role === 'patient' ? scope.actor.patientId : patientId;
  const [patient, visit] = [own ? idOf(own) : null, appointmentId ? idOf(appointmentId) : null];
  await transact(scope, async (scope) => {
    if (patient !== null && !(await care.keysOf(scope, [patient])).has(patient)) throw new NotFound('Patient');
    await audit.record(scope, { ...entry, patientIds: patient === null ? [] : [patient] });
  });
  return (event): event is Event<NotificationTopic> => {
    if (!NOTIFICATION_TOPICS.has(event.topic)) return false;
    const { patientId, appointmentId } = (event as Event<NotificationTopic>).payload;
    return (patient === null || patient === patientId) && (visit === null || visit === appointmentId);
  };
}
