import type { PatientStatus } from '#care';
import { DomainError } from '#platform/errors';
import type { Appointment, AppointmentStatus } from './appointment.ts';
import type { Conflict, Occurrence } from './conflict.ts';
import type { Slot } from './slots.ts';
import type { CareServiceType } from './speciality.ts';

/** A move that the status machine does not have, or not now, or not for who asks. */
export class IllegalTransition extends DomainError {
  readonly code = 'ILLEGAL_TRANSITION';
  readonly from: AppointmentStatus;
  readonly to: AppointmentStatus;
  /** What would be accepted at this moment. */
  readonly allowed: readonly AppointmentStatus[];
  constructor(
    { from, to, allowed }: Pick<IllegalTransition, 'from' | 'to' | 'allowed'>,
    why = `An appointment that is ${from} cannot become ${to}`,
  ) {
    super(why);
    this.from = from;
    this.to = to;
    this.allowed = allowed;
  }
}

/** The appointment was changed since the caller read it. */
export class StaleVersion extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly current: Appointment;
  constructor(current: Appointment) {
    super('The appointment was changed by someone else in the meantime');
    this.current = current;
  }
}

/** The provider's zone or weekly hours were changed since the caller read them. */
export class StaleProvider extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super("The provider's hours were changed by someone else in the meantime");
    this.currentVersion = currentVersion;
  }
}

/** The rules of the service were changed since the caller read them. */
export class StaleCareService extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super('The rules of this service were changed by someone else in the meantime');
    this.currentVersion = currentVersion;
  }
}

/** The hold has lapsed. What it held may be free still: ask for it anew. */
export class HoldExpired extends DomainError {
  readonly code = 'HOLD_EXPIRED';
  readonly expiredAt: Temporal.Instant;
  constructor(expiredAt: Temporal.Instant) {
    super('The hold has expired; choose a time again');
    this.expiredAt = expiredAt;
  }
}

/** A patient may keep a few times at once, staff as many as they need. */
export class TooManyHolds extends DomainError {
  readonly code = 'TOO_MANY_HOLDS';
  /** How many a patient may have at once. */
  readonly limit: number;
  constructor(limit: number) {
    super(`At most ${limit} times can be held at once; book one of them or wait until it lapses`);
    this.limit = limit;
  }
}

/** Patients change their visits up to a day before. Later they are told whom to call. */
export class TooLateToChange extends DomainError {
  readonly code = 'TOO_LATE_TO_CHANGE';
  /** Until when it was possible. */
  readonly until: Temporal.Instant;
  /** The clinic's number in E.164, where it is known. */
  readonly phone: string | null;
  constructor(until: Temporal.Instant, phone: string | null) {
    super(`It is too late to change this visit here; please call the clinic${phone === null ? '' : ` at ${phone}`}`);
    this.until = until;
    this.phone = phone;
  }
}

export const UNAVAILABILITIES = ['INACTIVE', 'SERVICE_NOT_OFFERED'] as const;

/** The provider takes no such visits at all. */
export class ProviderUnavailable extends DomainError {
  readonly code = 'PROVIDER_UNAVAILABLE';
  readonly reason: (typeof UNAVAILABILITIES)[number];
  constructor(reason: ProviderUnavailable['reason'], service: CareServiceType) {
    super(reason === 'INACTIVE' ? 'This provider is not active any more' : `This provider does not offer ${service}`);
    this.reason = reason;
  }
}

/** The patient can have no new visits. */
export class PatientNotBookable extends DomainError {
  readonly code = 'PATIENT_NOT_BOOKABLE';
  readonly status: PatientStatus;
  constructor(status: PatientStatus) {
    super(`A patient who is ${status.toLowerCase()} cannot be booked`);
    this.status = status;
  }
}

/** The time cannot be had: every rule it breaks, and the nearest times that can. */
export class AppointmentConflict extends DomainError {
  readonly code = 'APPOINTMENT_CONFLICT';
  readonly conflicts: readonly Conflict[];
  readonly alternatives: readonly Slot[];
  constructor(conflicts: readonly Conflict[], alternatives: readonly Slot[]) {
    super(`This time cannot be booked: ${[...new Set(conflicts.map(({ rule }) => rule))].join(', ')}`);
    this.conflicts = conflicts;
    this.alternatives = alternatives;
  }
}

/** A series is booked as a whole, and some of its visits cannot be. */
export class SeriesConflict extends DomainError {
  readonly code = 'SERIES_CONFLICT';
  /** The visits that cannot be booked. */
  readonly occurrences: readonly Occurrence[];
  constructor(occurrences: readonly Occurrence[]) {
    super(`${occurrences.length} of the visits cannot be booked; leave them out or choose another time`);
    this.occurrences = occurrences;
  }
}
