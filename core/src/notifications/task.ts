/** What a person must do, because the platform cannot or may not. */
import { randomUUIDv7 } from 'node:crypto';
import * as audit from '#audit';
import { emit } from '#platform/events';
import type { Scope } from '#platform/scope';

export const TASK_KINDS = ['UNDELIVERABLE', 'UNDECIDABLE', 'REPLY', 'CHANGE_REQUESTED', 'CANNOT_COME'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

export const TASK_STATUSES = ['OPEN', 'CLAIMED', 'DONE'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** Why there is a task. */
export const TASK_REASONS = [
  // UNDELIVERABLE: no channel is left, or none was agreed to.
  'REFUSED',
  'UNDELIVERED',
  'RETRIES_EXHAUSTED',
  'UNREADABLE',
  // UNDECIDABLE: nobody can tell whether the message went out.
  'OUTCOME_UNKNOWN',
  // REPLY
  'NOT_UNDERSTOOD',
  'NOTHING_ASKED',
  'UNKNOWN_NUMBER',
  'WORDS_WITH_OPT_OUT',
  // An answer to a visit that has moved, was called off or has begun since the patient was asked.
  'VISIT_CHANGED',
  // CHANGE_REQUESTED, CANNOT_COME: the patient wants another time; it is too late to cancel by a reply.
  'ASKED_BY_PATIENT',
  'TOO_LATE_TO_CANCEL',
] as const;
export type TaskReason = (typeof TASK_REASONS)[number];

declare module '#platform/events' {
  interface Events {
    'task.opened': TaskChanged;
    'task.claimed': TaskChanged;
    'task.released': TaskChanged;
    /** Also one that the platform closed by itself. */
    'task.done': TaskChanged;
  }
}

export interface TaskChanged {
  readonly taskId: string;
  readonly version: number;
}

export interface NewTask {
  readonly kind: TaskKind;
  readonly reason: TaskReason;
  readonly patientId?: string | null | undefined;
  readonly appointmentId?: string | null | undefined;
  readonly notificationId?: string | null | undefined;
  readonly inboundMessageId?: string | null | undefined;
}

/**
 * Opens a task, once for a kind and what it is about: a notification, or an inbound message and a visit. Returns its
 * id, or null when it is there already. For the system, inside the transaction of what it follows from.
 */
export async function openTask(scope: Scope, task: NewTask): Promise<string | null> {
  const action = 'task.open';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Task' });
  const at = scope.now.toString();
  const opened = await scope.db
    .insertInto('tasks')
    .values({
      id: randomUUIDv7(),
      kind: task.kind,
      status: 'OPEN',
      reason: task.reason,
      patient_id: task.patientId ?? null,
      appointment_id: task.appointmentId ?? null,
      notification_id: task.notificationId ?? null,
      inbound_message_id: task.inboundMessageId ?? null,
      created_at: at,
      updated_at: at,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning(['id', 'version'])
    .executeTakeFirst();
  if (opened === undefined) return null;
  const { id, version } = opened;
  const patientIds = task.patientId ? [task.patientId] : [];
  await audit.record(scope, { action, resourceType: 'Task', resourceId: id, patientIds });
  await emit(scope, 'task.opened', { taskId: id, version });
  return id;
}

const BY_THEMSELVES = { action: 'task.close', resourceType: 'Task' } as const;

/**
 * Closes tasks of the kind about this notification that nobody has taken on: their reason is gone. For the system,
 * inside the transaction of what has settled it.
 */
export async function closeTasksOf(scope: Scope, kind: TaskKind, notificationId: string): Promise<void> {
  const at = scope.now.toString();
  const closed = await scope.db
    .updateTable('tasks')
    .set((eb) => ({ status: 'DONE', done_at: at, updated_at: at, version: eb('version', '+', 1) }))
    .where('kind', '=', kind)
    .where('notification_id', '=', notificationId)
    .where('status', '=', 'OPEN')
    .returning(['id', 'version', 'patient_id'])
    .execute();
  for (const { id, version, patient_id } of closed) {
    const patientIds = patient_id === null ? [] : [patient_id];
    await audit.record(scope, { ...BY_THEMSELVES, resourceId: id, patientIds, changedFields: ['status'] });
    await emit(scope, 'task.done', { taskId: id, version });
  }
}
