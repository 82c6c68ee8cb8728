/** What becomes of a message that the provider took and could not bring to the patient. */
import * as audit from '#audit';
import type { Scope } from '#platform/scope';
import { tellOf, toChanged } from './changed.ts';
import { planElsewhere } from './elsewhere.ts';
import type { NotificationRow } from './tables.ts';
import { openTask } from './task.ts';

/** A phone that was busy, or that nobody took, is called once more. */
const CALLS = 2;
const CALL_AGAIN_IN = { minutes: 15 } as const;

export interface FailOver {
  /** Nobody was there: later somebody may be. */
  readonly mayTryAgain: boolean;
}

/**
 * Tries again where that may help and there is time, else on the next channel that was agreed to, else leaves it to a
 * person; with all that the message carried. For the system, inside `transact`.
 */
export async function failOver(scope: Scope, row: NotificationRow, { mayTryAgain }: FailOver): Promise<void> {
  if (mayTryAgain && row.attempts < CALLS && (await callAgain(scope, row))) return;
  const at = scope.now.toString();
  const failed = await scope.db
    .updateTable('notifications')
    .set({ status: 'FAILED', reason: 'UNDELIVERED', updated_at: at })
    .where((eb) => eb.or([eb('id', '=', row.id), eb('merged_into', '=', row.id)]))
    .where('status', '=', 'SENT')
    .returningAll()
    .execute();
  await tellOf(scope, 'FAILED', failed.map(toChanged));
  await recordFate(scope, 'notification.fail', failed);
  for (const { id, patientId, appointmentId } of await planElsewhere(scope, failed.map(toClosed))) {
    const about = { patientId, appointmentId, notificationId: id };
    await openTask(scope, { kind: 'UNDELIVERABLE', reason: 'UNDELIVERED', ...about });
  }
}

/** False when there is no time. The ledger forgets the call, so that no late word of it counts for the next. */
async function callAgain(scope: Scope, row: NotificationRow): Promise<boolean> {
  const dueAt = scope.now.add(CALL_AGAIN_IN);
  if (Temporal.Instant.compare(dueAt, row.expires_at.toTemporalInstant()) > 0) return false;
  const planned = await scope.db
    .updateTable('notifications')
    .set({ status: 'PLANNED', due_at: dueAt.toString(), updated_at: scope.now.toString() })
    .set({ provider_message_id: null, attempt_id: null, sent_at: null, merged_into: null })
    .where((eb) => eb.or([eb('id', '=', row.id), eb('merged_into', '=', row.id)]))
    .where('status', '=', 'SENT')
    .returningAll()
    .execute();
  await tellOf(scope, 'PLANNED', planned.map(toChanged));
  await recordFate(scope, 'notification.callAgain', planned);
  return true;
}

async function recordFate(scope: Scope, action: string, rows: readonly NotificationRow[]): Promise<void> {
  await audit.record(scope, {
    action,
    resourceType: 'Notification',
    resourceIds: rows.map(({ id }) => id),
    patientIds: [...new Set(rows.map(({ patient_id }) => patient_id))],
    changedFields: ['status'],
  });
}

function toClosed(row: NotificationRow) {
  return {
    id: row.id,
    appointmentId: row.appointment_id,
    revision: row.revision,
    patientId: row.patient_id,
    kind: row.kind,
    channel: row.channel,
    expiresAt: row.expires_at.toTemporalInstant(),
  };
}
