/** A time that somebody wants for a visit. */
import type { Appointment } from './appointment.ts';
import type { ServiceRules } from './availability.ts';
import type { Provider } from './provider.ts';

export interface Wanted {
  readonly patientId: string;
  readonly provider: Provider;
  readonly rules: ServiceRules;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** With the buffers of the service. */
  readonly blocksFrom: Temporal.Instant;
  readonly blocksUntil: Temporal.Instant;
  /** IANA. */
  readonly timeZone: string;
  /** The visit itself, which is not in its own way; null for a new one. */
  readonly appointmentId: Appointment['id'] | null;
  /** It had the time once and takes it back: it was booked in time, and only what has come since can be in its way. */
  readonly takenBack: boolean;
}
