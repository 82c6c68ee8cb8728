/** What will become of messages that are planned, as things stand: the very checks that the delivery makes. */
import * as care from '#care';
import { asSystem, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { contactsToAsk, standing } from './consent-standing.ts';
import type { Notification, Reason } from './message.ts';
import { type Known, recheck } from './recheck.ts';

export type Forecast = 'WILL_BE_SENT' | Reason;

/**
 * Of those that the caller has read and that are planned, by id. How often a number is written to is not foreseen: what
 * else will be sent until then nobody knows. Four queries however many there are.
 */
export async function forecastsOf(
  scope: Scope,
  notifications: readonly Notification[],
): Promise<ReadonlyMap<string, Forecast>> {
  const planned = notifications.filter(({ status }) => status === 'PLANNED');
  if (planned.length === 0) return new Map();
  return transact(asSystem(scope), async (scope) => {
    const idsOf = (key: 'appointmentId' | 'patientId') => [...new Set(planned.map((one) => one[key]))];
    const visits = await scheduling.visitsOf(scope, idsOf('appointmentId'));
    const contacts = await care.contactsOf(scope, idsOf('patientId'));
    const standings = await standing(scope, [...contacts.values()].flatMap(contactsToAsk));
    const known = { clinic: scope.clinic, standings };
    return new Map(
      planned.map((one) => {
        const now = Temporal.Instant.compare(one.dueAt, scope.now) > 0 ? one.dueAt : scope.now;
        const of = { visit: visits.get(one.appointmentId), contact: contacts.get(one.patientId) };
        return [one.id, forecast(one, { ...known, ...of, now })];
      }),
    );
  });
}

/** What waits for the end of quiet hours is sent then. */
function forecast(notification: Notification, known: Known): Forecast {
  const verdict = recheck(notification, known);
  return 'refusal' in verdict ? verdict.refusal.reason : 'WILL_BE_SENT';
}
