/** Messages that went out, as the ledger has them, and what came back. */
import { randomUUID } from 'node:crypto';
import type { Insertable } from 'kysely';
import * as notifications from '#notifications';
import type { Database } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import type * as scheduling from '#scheduling';
import { contactIndex } from '../../src/notifications/contact.ts';
import { as } from './testing.ts';

export const PHONE = '+12125550142';

export type Row = Insertable<Database['notifications']>;

let count = 0;

/** A text that went to the patient's number within the last hour, after those before it, and asks about the visit. */
export async function sent(
  scope: Scope,
  visit: Pick<scheduling.Appointment, 'id' | 'patientId' | 'revision'>,
  more: Partial<Row> & { readonly phone?: string } = {},
) {
  const { phone = PHONE, ...columns } = more;
  const at = scope.now.subtract({ hours: 1 }).add({ seconds: ++count }).toString();
  const row = {
    id: randomUUID(),
    appointment_id: visit.id,
    revision: visit.revision,
    patient_id: visit.patientId,
    kind: 'REMINDER_24H',
    channel: 'SMS',
    status: 'SENT',
    due_at: at,
    expires_at: scope.now.add({ hours: 12 }).toString(),
    attempts: 1,
    attempt_id: randomUUID(),
    claimed_at: at,
    claimed_by: randomUUID(),
    lease_until: at,
    contact_index: contactIndex(scope.vault, phone),
    provider_message_id: `SM${randomUUID()}`,
    sent_at: at,
    created_at: at,
    updated_at: at,
    ...columns,
  } satisfies Row;
  await transact(as(scope, 'system'), async ({ db }) => {
    await db.insertInto('notifications').values(row).execute();
    if (row.attempt_id === null) return;
    await db
      .insertInto('notification_attempts')
      .values({
        id: row.attempt_id ?? randomUUID(),
        notification_id: row.id,
        number: 1,
        channel: row.channel,
        started_at: at,
      })
      .execute();
  });
  return row;
}

/** A text from the number, or a key that was pressed. */
export function receive(scope: Scope, body: string, more: Partial<notifications.Inbound> = {}) {
  const message = { providerMessageId: `SM${randomUUID()}`, channel: 'SMS', from: PHONE, body, ...more } as const;
  return notifications.receive(as(scope, 'system'), message);
}

export async function rowOf(scope: Scope, id: string) {
  return transact(as(scope, 'system'), ({ db }) =>
    db.selectFrom('notifications').selectAll().where('id', '=', id).executeTakeFirstOrThrow(),
  );
}

/** Every task so far, the oldest first. */
export async function tasksSoFar(scope: Scope) {
  return transact(as(scope, 'system'), ({ db }) => db.selectFrom('tasks').selectAll().orderBy('id').execute());
}
