/** Telling of what becomes of messages, in the transaction that writes it down. */
import { emitAll } from '#platform/events';
import type { Scope } from '#platform/scope';
import type { NotificationStatus } from './message.ts';
import type { NotificationRow } from './tables.ts';

export interface NotificationChanged {
  readonly notificationId: string;
  readonly appointmentId: string;
  readonly patientId: string;
}

declare module '#platform/events' {
  interface Events {
    /** Once more, later, or on another channel. What is planned for a change of a visit comes with that change's event. */
    'notification.planned': NotificationChanged;
    'notification.sent': NotificationChanged;
    'notification.delivered': NotificationChanged;
    'notification.skipped': NotificationChanged;
    'notification.superseded': NotificationChanged;
    'notification.failed': NotificationChanged;
    'notification.unknown': NotificationChanged;
    /** Somebody wants it sent at once. */
    'notification.hastened': NotificationChanged;
  }
}

/** Of one that is claimed, what becomes of it follows within moments. */
const TOPICS = {
  PLANNED: 'notification.planned',
  SENT: 'notification.sent',
  DELIVERED: 'notification.delivered',
  SKIPPED: 'notification.skipped',
  SUPERSEDED: 'notification.superseded',
  FAILED: 'notification.failed',
  UNKNOWN: 'notification.unknown',
} as const satisfies Record<Exclude<NotificationStatus, 'CLAIMED'>, string>;

/** What somebody who follows messages is told of. */
export type NotificationTopic = (typeof TOPICS)[keyof typeof TOPICS] | 'notification.hastened';
export const NOTIFICATION_TOPICS: ReadonlySet<string> = new Set([...Object.values(TOPICS), 'notification.hastened']);

export interface Changed {
  readonly id: string;
  readonly appointmentId: string;
  readonly patientId: string;
}

export const toChanged = (row: Pick<NotificationRow, 'id' | 'appointment_id' | 'patient_id'>): Changed => ({
  id: row.id,
  appointmentId: row.appointment_id,
  patientId: row.patient_id,
});

/** Tells of messages that have come to this status: in one statement, however many they are. */
export async function tellOf(scope: Scope, status: NotificationStatus, changed: readonly Changed[]): Promise<void> {
  if (status === 'CLAIMED') return;
  await emitAll(
    scope,
    TOPICS[status],
    changed.map(({ id, appointmentId, patientId }) => ({ notificationId: id, appointmentId, patientId })),
  );
}

/** The same of messages that have come to several. */
export async function tellOfAll(
  scope: Scope,
  changed: readonly (Changed & { readonly status: NotificationStatus })[],
): Promise<void> {
  for (const [status, of] of Map.groupBy(changed, (one) => one.status)) await tellOf(scope, status, of);
}
