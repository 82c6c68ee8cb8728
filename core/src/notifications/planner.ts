/**
 * Which messages are due for a visit, and when. Pure: the same rows for the same facts.
 *
 * Times are elapsed ones, 24 hours before is 24 hours before also when the clocks change; only the hours in which a
 * patient may be written to are those of a wall clock.
 */
import type { AppointmentStatus } from '#scheduling';
import type { Kind, Reason } from './message.ts';
import { type AllowedHours, lastAllowedBefore, MERGED_WITHIN_HOURS, nextAllowed, POLICY } from './policy.ts';

export interface PlannedVisit {
  readonly status: AppointmentStatus;
  readonly startsAt: Temporal.Instant;
  /** What the patient is told at once; null: nothing that they have not been told. */
  readonly notice: Exclude<Kind, 'REMINDER_24H' | 'REMINDER_2H'> | null;
  /** When it was planned first as it is: notice that was enough then is enough. */
  readonly arrangedAt: Temporal.Instant;
  /** When the day-before reminder went out, if it did. */
  readonly remindedAt: Temporal.Instant | null;
}

export interface Recipient {
  /** IANA. */
  readonly timeZone: string;
  readonly hours: AllowedHours;
  /** Why nothing is sent, whatever is due. */
  readonly unreachable: Extract<Reason, 'PATIENT_INACTIVE' | 'NO_CHANNEL' | 'UNREADABLE'> | null;
}

export interface Planned {
  readonly kind: Kind;
  readonly status: 'PLANNED' | 'SKIPPED';
  readonly reason: Reason | null;
  readonly dueAt: Temporal.Instant;
  /** No attempt begins after that. */
  readonly expiresAt: Temporal.Instant;
}

/** Which reminders a visit has that stands like this. */
const REMINDERS: { readonly [S in AppointmentStatus]?: readonly Kind[] } = {
  SCHEDULED: ['REMINDER_24H', 'REMINDER_2H'],
  CONFIRMED: ['REMINDER_2H'],
};

/** At most one row of a kind; a message that is not sent says why. */
export function plan(visit: PlannedVisit, recipient: Recipient, now: Temporal.Instant): Planned[] {
  const kinds = [...(visit.notice === null ? [] : [visit.notice]), ...(REMINDERS[visit.status] ?? [])];
  const rows = kinds.map((kind) => rowOf(kind, { visit, recipient, now }));
  return rows.map((row) => (isNearTheDayBefore(row, { rows, visit }) ? skipped(row, 'MERGED_WITH_24H') : row));
}

interface Facts {
  readonly visit: PlannedVisit;
  readonly recipient: Recipient;
  readonly now: Temporal.Instant;
}

function rowOf(kind: Kind, { visit, recipient, now }: Facts): Planned {
  const { startsAt } = visit;
  const { leadMinutes } = POLICY[kind];
  const nominal = leadMinutes === null ? now : startsAt.subtract({ minutes: leadMinutes });
  const row = (dueAt: Temporal.Instant): Planned => ({
    kind,
    status: 'PLANNED',
    reason: null,
    dueAt,
    expiresAt: expiryOf(kind, dueAt, startsAt),
  });
  if (recipient.unreachable !== null) return skipped(row(nominal), recipient.unreachable);
  const late = lateness(kind, visit, now);
  if (late !== null) return skipped(row(nominal), late);

  const dueAt = allowedMoment(kind, nominal, { startsAt, recipient });
  if (dueAt === null) return skipped(row(nominal), 'QUIET_HOURS');
  return isBefore(dueAt, now) ? skipped(row(dueAt), 'BOOKED_TOO_LATE') : row(dueAt);
}

function lateness(kind: Kind, visit: PlannedVisit, now: Temporal.Instant): Reason | null {
  const { leadMinutes, leastNoticeMinutes, latestMinutes } = POLICY[kind];
  if (latestMinutes === null) return null;
  if (leadMinutes === null) return isBefore(now, visit.startsAt) ? null : 'STALE';
  const lastArranged = visit.startsAt.subtract({ minutes: leastNoticeMinutes });
  return isBefore(lastArranged, visit.arrangedAt) ? 'BOOKED_TOO_LATE' : null;
}

/** Null: between the quiet hours and the visit there is none. */
function allowedMoment(
  kind: Kind,
  nominal: Temporal.Instant,
  { startsAt, recipient: { timeZone, hours } }: { startsAt: Temporal.Instant; recipient: Recipient },
): Temporal.Instant | null {
  const { leadMinutes, whenQuiet, latestMinutes, latestMovedMinutes } = POLICY[kind];
  const later = nextAllowed(nominal, timeZone, hours);
  if (later?.equals(nominal)) return isInTime(later, startsAt, latestMinutes) ? later : null;
  const latest = latestMinutes === null ? null : latestMovedMinutes;
  if (later !== null && whenQuiet === 'LATER' && isInTime(later, startsAt, latest)) return later;
  return leadMinutes === null ? null : lastAllowedBefore(nominal, timeZone, hours);
}

/** At once means before the visit; to the minute that a reminder moves to, it may be. */
function isInTime(at: Temporal.Instant, startsAt: Temporal.Instant, minutes: number | null): boolean {
  if (minutes === null) return true;
  return minutes === 0 ? isBefore(at, startsAt) : !isBefore(startsAt.subtract({ minutes }), at);
}

function expiryOf(kind: Kind, dueAt: Temporal.Instant, startsAt: Temporal.Instant): Temporal.Instant {
  const { latestMinutes, staleAfterMinutes } = POLICY[kind];
  const latest = latestMinutes === null ? null : startsAt.subtract({ minutes: latestMinutes });
  const stale = staleAfterMinutes === null ? null : dueAt.add({ minutes: staleAfterMinutes });
  if (latest === null || stale === null) return latest ?? stale ?? dueAt;
  return isBefore(stale, latest) ? stale : latest;
}

/** The late reminder of an early visit, when the other one comes, or came, hardly before. */
function isNearTheDayBefore(row: Planned, { rows, visit }: { rows: readonly Planned[]; visit: PlannedVisit }): boolean {
  if (row.kind !== 'REMINDER_2H' || row.status !== 'PLANNED') return false;
  const planned = rows.find(({ kind, status }) => kind === 'REMINDER_24H' && status === 'PLANNED');
  const dayBefore = planned?.dueAt ?? visit.remindedAt ?? null;
  if (dayBefore === null) return false;
  return Math.abs(row.dueAt.since(dayBefore).total('hours')) < MERGED_WITHIN_HOURS;
}

const skipped = (row: Planned, reason: Reason): Planned => ({ ...row, status: 'SKIPPED', reason });

const isBefore = (one: Temporal.Instant, other: Temporal.Instant): boolean => Temporal.Instant.compare(one, other) < 0;
