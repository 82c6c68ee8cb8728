/**
 * The status machine, as a table and its guards: pure.
 *
 * A move is part of the day's work; a correction mends, with a reason, what was noted wrongly, within thirty days.
 * What takes a visit back to SCHEDULED besides is a reschedule, which is no move of this table.
 */
import type { Appointment, AppointmentStatus } from './appointment.ts';

type Table = Readonly<Record<AppointmentStatus, readonly AppointmentStatus[]>>;

const MOVES: Table = {
  HELD: ['SCHEDULED', 'CANCELLED'],
  SCHEDULED: ['CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'CANCELLED', 'NO_SHOW'],
  CONFIRMED: ['CHECKED_IN', 'IN_PROGRESS', 'CANCELLED', 'NO_SHOW'],
  CHECKED_IN: ['IN_PROGRESS', 'COMPLETED', 'CANCELLED'],
  IN_PROGRESS: ['COMPLETED', 'CANCELLED'],
  COMPLETED: [],
  CANCELLED: [],
  NO_SHOW: [],
};

const CORRECTIONS: Table = {
  HELD: [],
  SCHEDULED: [],
  CONFIRMED: [],
  CHECKED_IN: [],
  IN_PROGRESS: [],
  COMPLETED: ['NO_SHOW'],
  CANCELLED: ['SCHEDULED'],
  NO_SHOW: ['COMPLETED', 'CANCELLED'],
};

/** What patients do themselves. */
const OWN: ReadonlySet<AppointmentStatus> = new Set(['SCHEDULED', 'CONFIRMED', 'CANCELLED']);
export const isPatientsMove = (to: AppointmentStatus): boolean => OWN.has(to);

/** What can still be moved to another time. */
const MOVABLE: ReadonlySet<AppointmentStatus> = new Set(['SCHEDULED', 'CONFIRMED']);

/** A visit is only missed when the patient had a little time to come late. */
const GRACE = { minutes: 15 } as const;
const CORRECTABLE = { hours: 30 * 24 } as const;

export type Visit = Pick<Appointment, 'status' | 'startsAt' | 'endsAt' | 'expiresAt'>;

export interface Moment {
  readonly now: Temporal.Instant;
  /** Whether it is the patient who asks. */
  readonly byPatient: boolean;
}

/** The statuses that the visit may have next, at this moment and for who asks. */
export function allowedMoves(visit: Visit, { now, byPatient }: Moment): AppointmentStatus[] {
  const moves = MOVES[visit.status].filter((to) => !byPatient || OWN.has(to));
  const corrections = byPatient ? [] : CORRECTIONS[visit.status];
  return [...moves, ...corrections].filter((to) => !whyNot(visit, to, now));
}

/** What keeps others off the time of the visit. The database says the same once more. */
const OCCUPYING: ReadonlySet<AppointmentStatus> = new Set([
  'HELD',
  'SCHEDULED',
  'CONFIRMED',
  'CHECKED_IN',
  'IN_PROGRESS',
  'COMPLETED',
]);

/** Whether the move takes time that was free for others meanwhile. */
export function takesTime(from: AppointmentStatus, to: AppointmentStatus): boolean {
  return !OCCUPYING.has(from) && OCCUPYING.has(to);
}

/** Whether the move mends what was noted, so that it needs a reason. */
export function isCorrection(from: AppointmentStatus, to: AppointmentStatus): boolean {
  return CORRECTIONS[from].includes(to);
}

export const isMovable = ({ status }: Pick<Visit, 'status'>): boolean => MOVABLE.has(status);

/** What stands against the move at this moment, in words; null when nothing does. */
export function whyNot(visit: Visit, to: AppointmentStatus, now: Temporal.Instant): string | null {
  const { status } = visit;
  if (isCorrection(status, to)) return tooLate(visit, now) ?? tooEarly(visit, to, now);
  if (!MOVES[status].includes(to)) return `An appointment that is ${status} cannot become ${to}`;
  if (status === 'HELD' && to === 'SCHEDULED' && hasLapsed(visit.expiresAt, now)) return 'The hold has expired';
  return tooEarly(visit, to, now);
}

function tooLate({ endsAt }: Visit, now: Temporal.Instant): string | null {
  const late = Temporal.Instant.compare(now, endsAt.add(CORRECTABLE)) > 0;
  return late ? 'A visit can be corrected for 30 days' : null;
}

function tooEarly({ startsAt }: Visit, to: AppointmentStatus, now: Temporal.Instant): string | null {
  if (to === 'NO_SHOW' && Temporal.Instant.compare(now, startsAt.add(GRACE)) < 0) {
    return 'A visit is missed 15 minutes after its start at the earliest';
  }
  if (to === 'COMPLETED' && Temporal.Instant.compare(now, startsAt) < 0) {
    return 'A visit is not completed before its start';
  }
  return null;
}

export function hasLapsed(expiresAt: Temporal.Instant | null, now: Temporal.Instant): boolean {
  return expiresAt !== null && Temporal.Instant.compare(expiresAt, now) <= 0;
}
