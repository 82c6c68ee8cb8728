/** A message to a patient: the words that the ledger, the planner, the delivery and the API share. */
import type { Channel } from '#care';

export const KINDS = ['CONFIRMATION', 'REMINDER_24H', 'REMINDER_2H', 'CHANGED', 'CANCELLED', 'MISSED'] as const;
export type Kind = (typeof KINDS)[number];

export const NOTIFICATION_STATUSES = [
  'PLANNED',
  'CLAIMED',
  'SENT',
  'DELIVERED',
  'SKIPPED',
  'SUPERSEDED',
  'FAILED',
  'UNKNOWN',
] as const;
export type NotificationStatus = (typeof NOTIFICATION_STATUSES)[number];

/** Why a message was not sent, or nobody knows whether it was. */
export const REASONS = [
  // SKIPPED: it will not be sent.
  'BOOKED_TOO_LATE',
  'MERGED_WITH_24H',
  'QUIET_HOURS',
  'STALE',
  'UNREADABLE',
  'NO_CHANNEL',
  'NO_CONSENT',
  'OPTED_OUT',
  'FREQUENCY_CAP',
  'PATIENT_INACTIVE',
  'NOTHING_SENT_BEFORE',
  // SUPERSEDED: something else counts now.
  'RESCHEDULED',
  'CANCELLED',
  'CONFIRMED',
  'STARTED',
  'REPLANNED',
  // FAILED: the provider does not take it, or did not before it was too late.
  'REFUSED',
  'UNDELIVERED',
  'RETRIES_EXHAUSTED',
  // UNKNOWN: nobody can tell whether it went out.
  'OUTCOME_UNKNOWN',
] as const;
export type Reason = (typeof REASONS)[number];

export interface Notification {
  readonly id: string;
  readonly appointmentId: string;
  /** Of the appointment: grows when it is moved. */
  readonly revision: number;
  readonly patientId: string;
  readonly kind: Kind;
  readonly channel: Channel;
  readonly status: NotificationStatus;
  readonly reason: Reason | null;
  readonly dueAt: Temporal.Instant;
  /** No attempt begins after that. */
  readonly expiresAt: Temporal.Instant;
  readonly attempts: number;
  readonly sentAt: Temporal.Instant | null;
  readonly deliveredAt: Temporal.Instant | null;
  /** Of several visits in one message: the notification that carries it. */
  readonly mergedInto: string | null;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}
