/**
 * What the provider tells of a message afterwards: late, twice, in any order, or before our own commit.
 *
 * Every report is kept once by message and status, and what they say together does not depend on the order: the first
 * final word stands, and nothing takes it back.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { tellOf, toChanged } from './changed.ts';
import { failOver } from './fail-over.ts';
import { holderOptsOut } from './opt-out.ts';
import type { NotificationStatus } from './message.ts';
import type { NotificationRow } from './tables.ts';
import { closeTasksOf } from './task.ts';

const id = z.string().transform((text) => (isUuid(text) ? text.toLowerCase() : null));

const Report = z.object({
  /** The provider's id of the message or call. */
  providerMessageId: z.string().min(1).max(64),
  /** In the provider's words: `delivered`, `no-answer`. */
  status: z.string().regex(/^[a-z_-]{1,32}$/, 'expected a status'),
  errorCode: z
    .string()
    .regex(/^\d{1,10}$/, 'expected digits')
    .nullish(),
  /** As we told them to the provider. */
  notificationId: id,
  attemptId: id,
});
export type Report = z.input<typeof Report>;
type Told = z.output<typeof Report>;

/** UNKNOWN: of no message of ours. STALE: of one that is too old to be true. */
export type ReportOutcome = 'APPLIED' | 'REPEATED' | 'UNKNOWN' | 'STALE';

/** A copy of a report that somebody kept to send it again does nothing: nor does one that comes so late. */
const TOLD_WITHIN = { hours: 7 * 24 } as const;

/** Takes a report in. For the system. Throws InvalidInput, Forbidden. */
export async function report(scope: Scope, input: Report): Promise<ReportOutcome> {
  const told = parse(Report, input);
  const action = 'notification.report';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Notification' });
  return transact(scope, async (scope) => {
    const attempt = await attemptOf(scope, told);
    if (attempt === undefined) return 'UNKNOWN';
    const since = scope.now.subtract(TOLD_WITHIN);
    if (Temporal.Instant.compare(attempt.started_at.toTemporalInstant(), since) < 0) return 'STALE';

    const row = await lockNotification(scope, attempt.notification_id);
    if (!(await keep(scope, told))) return 'REPEATED';
    if (row.provider_message_id === told.providerMessageId) {
      await settle(scope, row);
      return 'APPLIED';
    }
    await noteWhose(scope, told);
    if (isOf(row, told)) await settle(scope, await adopt(scope, row, told));
    return 'APPLIED';
  });
}

async function attemptOf({ db }: Scope, { attemptId, notificationId }: Told) {
  if (attemptId === null || notificationId === null) return undefined;
  return db
    .selectFrom('notification_attempts')
    .select(['notification_id', 'started_at'])
    .where('id', '=', attemptId)
    .where('notification_id', '=', notificationId)
    .executeTakeFirst();
}

/** Whoever records the outcome of the attempt waits, or is waited for. */
function lockNotification({ db }: Scope, notificationId: string): Promise<NotificationRow> {
  return db
    .selectFrom('notifications')
    .selectAll()
    .where('id', '=', notificationId)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
}

/** False for a repeat. */
async function keep({ db, now }: Scope, { providerMessageId, status, errorCode }: Told): Promise<boolean> {
  const kept = await db
    .insertInto('delivery_reports')
    .values({
      provider_message_id: providerMessageId,
      status,
      error_code: errorCode ?? null,
      received_at: now.toString(),
    })
    .onConflict((conflict) => conflict.columns(['provider_message_id', 'status']).doNothing())
    .executeTakeFirst();
  return kept.numInsertedOrUpdatedRows === 1n;
}

/** So that nobody takes it for that of another attempt. */
async function noteWhose({ db }: Scope, { attemptId, providerMessageId }: Told): Promise<void> {
  await db
    .updateTable('notification_attempts')
    .set({ provider_message_id: providerMessageId })
    .where('id', '=', attemptId)
    .where('provider_message_id', 'is', null)
    .execute();
}

/** Not known yet to have been sent: whoever sent it may have died before saying so, or had no answer. */
const IN_DOUBT: ReadonlySet<NotificationStatus> = new Set(['CLAIMED', 'UNKNOWN', 'PLANNED']);

/** The message of the newest attempt, whose id at the provider we do not know. */
function isOf({ status, attempt_id, provider_message_id }: NotificationRow, { attemptId }: Told): boolean {
  return provider_message_id === null && attempt_id === attemptId && IN_DOUBT.has(status);
}

/** That there is a report says that it was sent. */
async function adopt(scope: Scope, row: NotificationRow, { providerMessageId }: Told): Promise<NotificationRow> {
  const at = scope.now.toString();
  const change = { status: 'SENT', reason: null, sent_at: at, updated_at: at } as const;
  const others = await scope.db
    .updateTable('notifications')
    .set(change)
    .where('merged_into', '=', row.id)
    .returningAll()
    .execute();
  const adopted = await scope.db
    .updateTable('notifications')
    .set({ ...change, provider_message_id: providerMessageId })
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await tellOf(scope, 'SENT', [adopted, ...others].map(toChanged));
  await closeTasksOf(scope, 'UNDECIDABLE', row.id);
  return adopted;
}

/**
 * Does what was told of these messages before it was known whose they are: call it in the transaction that has
 * written down their ids. For the system.
 */
export async function applyReports(scope: Scope, providerMessageIds: readonly string[]): Promise<void> {
  if (providerMessageIds.length === 0) return;
  const rows = await scope.db
    .selectFrom('notifications')
    .selectAll()
    .where('provider_message_id', '=', sql<string>`any(${[...new Set(providerMessageIds)]}::text[])`)
    .where('merged_into', 'is', null)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('delivery_reports')
          .select('status')
          .whereRef('delivery_reports.provider_message_id', '=', 'notifications.provider_message_id'),
      ),
    )
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
  for (const row of rows) await settle(scope, row);
}

type Fate = 'DELIVERED' | 'FAILED' | 'NOT_REACHED';

/** What ends it; all other words are steps on the way. */
const FINAL: Readonly<Partial<Record<string, Fate>>> = {
  delivered: 'DELIVERED',
  read: 'DELIVERED',
  undelivered: 'FAILED',
  failed: 'FAILED',
  canceled: 'FAILED',
  completed: 'DELIVERED',
  busy: 'NOT_REACHED',
  'no-answer': 'NOT_REACHED',
};

/** The first final word counts, as often as it is asked. */
async function settle(scope: Scope, row: NotificationRow): Promise<void> {
  const reports = await scope.db
    .selectFrom('delivery_reports')
    .select(['status', 'error_code', 'received_at'])
    .where('provider_message_id', '=', row.provider_message_id)
    .orderBy('received_at')
    .orderBy('status')
    .execute();
  await scope.db
    .updateTable('delivery_reports')
    .set({ notification_id: row.id })
    .where('provider_message_id', '=', row.provider_message_id)
    .where('notification_id', 'is', null)
    .execute();
  const final = reports.find(({ status }) => FINAL[status] !== undefined);
  if (final === undefined || row.status !== 'SENT') return;
  if (final.error_code === UNSUBSCRIBED && row.contact_index !== null) {
    await holderOptsOut(scope, { contact: row.contact_index, source: 'PROVIDER' });
  }
  const fate = FINAL[final.status] as Fate;
  if (fate === 'DELIVERED') await deliver(scope, row, final.received_at.toISOString());
  else await failOver(scope, row, { mayTryAgain: fate === 'NOT_REACHED' });
}

/** The provider's own list of those who have opted out. */
const UNSUBSCRIBED = '21610';

async function deliver(scope: Scope, row: NotificationRow, at: string): Promise<void> {
  const delivered = await scope.db
    .updateTable('notifications')
    .set({ status: 'DELIVERED', delivered_at: at, updated_at: scope.now.toString() })
    .where((eb) => eb.or([eb('id', '=', row.id), eb('merged_into', '=', row.id)]))
    .where('status', '=', 'SENT')
    .returning(['id', 'appointment_id', 'patient_id'])
    .execute();
  await tellOf(scope, 'DELIVERED', delivered.map(toChanged));
  await audit.record(scope, {
    action: 'notification.deliver',
    resourceType: 'Notification',
    resourceId: row.id,
    patientIds: [...new Set(delivered.map(({ patient_id }) => patient_id))],
    changedFields: ['status', 'deliveredAt'],
  });
}
