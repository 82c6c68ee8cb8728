/**
 * What follows from what: every side effect of an event, on one screen.
 *
 * A reaction runs in the event's own transaction, so it is there when the change is, and gone when it is not.
 * What it does itself is a row or two; everything slow, or outside, is a job that it adds.
 */
import * as accounts from '#accounts';
import * as notifications from '#notifications';
import type { Events, Topic } from '#platform/events';
import { asSystem, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';

type Reaction<T extends Topic> = (scope: Scope, payload: Events[T]) => Promise<void>;

/** Patients are told of a visit as it is now, and of none that is over. */
const tell =
  (topic: scheduling.AppointmentTopic): Reaction<scheduling.AppointmentTopic> =>
  async (scope, { appointmentId }) =>
    notifications.followVisit(scope, topic, appointmentId);

/** A number has no owner: whoever's it is, and with rights that none of them needs to have. */
const replan = (scope: Scope, optOutId: string): Promise<void> =>
  transact(asSystem(scope), (scope) => notifications.followContact(scope, optOutId));

const reactions: { readonly [T in Topic]?: Reaction<T> } = {
  'appointment.scheduled': tell('appointment.scheduled'),
  'appointment.rescheduled': tell('appointment.rescheduled'),
  'appointment.confirmed': tell('appointment.confirmed'),
  'appointment.checked_in': tell('appointment.checked_in'),
  'appointment.started': tell('appointment.started'),
  'appointment.completed': tell('appointment.completed'),
  'appointment.missed': tell('appointment.missed'),
  'appointment.cancelled': tell('appointment.cancelled'),
  'appointment.corrected': tell('appointment.corrected'),
  'patient.updated': async (scope, { patientId }) => notifications.followPatient(scope, patientId),
  // Another way to the patient may be open now, or the one that was chosen closed.
  'consent.given': async (scope, { patientId }) => notifications.followPatient(scope, patientId),
  'consent.withdrawn': async (scope, { patientId }) => notifications.followPatient(scope, patientId),
  'contact.opted_out': async (scope, { optOutId }) => replan(scope, optOutId),
  'contact.opted_in': async (scope, { optOutId }) => replan(scope, optOutId),
  'patient.deleted': async (scope, { patientId }) => {
    await accounts.closePatientAccount(asSystem(scope), patientId);
    await scheduling.callOff(asSystem(scope), patientId, 'ORGANISATION');
    await notifications.forsakePatient(asSystem(scope), patientId);
  },
  'patient.deceased': async (scope, { patientId }) => {
    await scheduling.callOff(asSystem(scope), patientId, 'PATIENT');
    await notifications.forsakePatient(asSystem(scope), patientId);
  },
  'patient.erased': async (scope, { patientId }) => {
    await accounts.erasePatientAccount(asSystem(scope), patientId);
    await transact(asSystem(scope), async (scope) => {
      await notifications.forgetWordsOf(scope, patientId);
      await notifications.forgetContactsOf(scope, patientId);
    });
    await scheduling.callOff(asSystem(scope), patientId, 'ORGANISATION');
    await notifications.forsakePatient(asSystem(scope), patientId);
  },
};

/** Does what follows from the event. */
export async function react<T extends Topic>(scope: Scope, topic: T, payload: Events[T]): Promise<void> {
  await reactions[topic]?.(scope, payload);
}
