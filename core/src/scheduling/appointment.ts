/** An appointment, its statuses and the moves between them. */
export const APPOINTMENT_STATUSES = [
  'HELD',
  'SCHEDULED',
  'CONFIRMED',
  'CHECKED_IN',
  'IN_PROGRESS',
  'COMPLETED',
  'CANCELLED',
  'NO_SHOW',
] as const;
export type AppointmentStatus = (typeof APPOINTMENT_STATUSES)[number];

export const CANCELLATION_REASONS = ['PATIENT', 'PROVIDER', 'ORGANISATION', 'EXPIRED', 'ERROR'] as const;
export type CancellationReason = (typeof CANCELLATION_REASONS)[number];
