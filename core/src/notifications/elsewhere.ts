/** Another way to the patient, when one is closed: the next channel that they prefer and agreed to. */
import { randomUUIDv7 } from 'node:crypto';
import { type Channel, type Contact, contactsOf } from '#care';
import type { Scope } from '#platform/scope';
import { tellOf } from './changed.ts';
import { contactsToAsk, routesTo, standing } from './consent-standing.ts';
import type { Due } from './recheck.ts';

export type Closed = Pick<Due, 'appointmentId' | 'revision' | 'patientId' | 'kind' | 'channel' | 'expiresAt'>;

/**
 * Plans each of the messages anew, due now, on the next channel that was not tried for it. Returns those for which there
 * is none, or no time any more. For the system, inside the transaction that closes the first way.
 */
export async function planElsewhere<T extends Closed>(scope: Scope, closed: readonly T[]): Promise<T[]> {
  if (closed.length === 0) return [];
  const contacts = await contactsOf(scope, [...new Set(closed.map(({ patientId }) => patientId))]);
  const standings = await standing(scope, [...contacts.values()].flatMap(contactsToAsk));
  const stuck: T[] = [];
  for (const message of closed) {
    const contact = contacts.get(message.patientId);
    const channels = contact && mayBeReached(contact) ? routesTo(contact, standings).routes.map((r) => r.channel) : [];
    if (isLate(message, scope.now) || !(await planOnFirst(scope, message, channels))) stuck.push(message);
  }
  return stuck;
}

const mayBeReached = ({ deleted, status }: Contact): boolean => !deleted && status !== 'DECEASED';

const isLate = ({ expiresAt }: Closed, now: Temporal.Instant): boolean => Temporal.Instant.compare(now, expiresAt) > 0;

async function planOnFirst(scope: Scope, message: Closed, channels: readonly Channel[]): Promise<boolean> {
  for (const channel of channels) {
    if (channel !== message.channel && (await planOn(scope, message, channel))) return true;
  }
  return false;
}

/** False when it was tried there. A plan that was given up because the patient preferred another way counts again. */
async function planOn(scope: Scope, message: Closed, channel: Channel): Promise<boolean> {
  const { db, now } = scope;
  const due = { due_at: now.toString(), expires_at: message.expiresAt.toString(), updated_at: now.toString() };
  const planned = await db
    .insertInto('notifications')
    .values({
      id: randomUUIDv7(),
      appointment_id: message.appointmentId,
      revision: message.revision,
      patient_id: message.patientId,
      kind: message.kind,
      channel,
      status: 'PLANNED',
      created_at: now.toString(),
      ...due,
    })
    .onConflict((conflict) =>
      conflict
        .constraint('notifications_once')
        .doUpdateSet({ status: 'PLANNED', reason: null, ...due })
        .where('notifications.status', '=', 'SUPERSEDED')
        .where('notifications.reason', '=', 'REPLANNED'),
    )
    .returning('id')
    .executeTakeFirst();
  if (planned === undefined) return false;
  await tellOf(scope, 'PLANNED', [{ ...message, ...planned }]);
  return true;
}
