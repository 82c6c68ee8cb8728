/** The rules that a time can break, and what is known of each breach. */
export const CONFLICT_RULES = [
  'PATIENT_BUSY',
  'PROVIDER_BUSY',
  'OUTSIDE_HOURS',
  'TIME_OFF',
  'TOO_SOON',
  'TOO_FAR_AHEAD',
  'DAILY_LIMIT',
  'IN_THE_PAST',
] as const;
export type ConflictRule = (typeof CONFLICT_RULES)[number];

/** What stands in the way, over the half-open range `[startsAt, endsAt)`. */
export interface Conflict {
  readonly rule: ConflictRule;
  /** Whose rule it is: `Patient`, `Provider` or `Service`. */
  readonly resource: 'Patient' | 'Provider' | 'Service';
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** The appointment that has the time, where there is one and the caller may know of it. */
  readonly appointmentId: string | null;
}

/** A visit of a series that is not booked yet, and what stands in its way: nothing when it can be booked. */
export interface Occurrence {
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** IANA. */
  readonly timeZone: string;
  readonly conflicts: readonly Conflict[];
}
