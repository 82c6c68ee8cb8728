/**
 * When a patient may be written to, and how near to the visit each kind of message is of use.
 *
 * Hours are those of the wall clock where the patient is: the clinic's, which are never wider than the law's, without
 * the quiet hours that the patient asked for.
 */
import type { Preferences } from '#care';
import type { Clinic } from '#platform/scope';
import type { Kind } from './message.ts';

export interface KindPolicy {
  /** How long before the visit it is due; null: at once. */
  readonly leadMinutes: number | null;
  /** Into which allowed moment it moves: the next one, or the last one before. */
  readonly whenQuiet: 'LATER' | 'EARLIER';
  /** It is due at the latest so long before the visit. Null: the visit may be over. */
  readonly latestMinutes: number | null;
  /** A reminder moved to a later moment than this is no reminder: it moves to an earlier one. */
  readonly latestMovedMinutes: number;
  /** Less is left than so many minutes when it is planned: it is not worth it. */
  readonly leastNoticeMinutes: number;
  /** So late it is stale; null: it is not before its latest moment. */
  readonly staleAfterMinutes: number | null;
  /** Counts for how often a number is written to, and is limited by it. What answers an act is not. */
  readonly capped: boolean;
}

const AT_ONCE: KindPolicy = {
  leadMinutes: null,
  whenQuiet: 'LATER',
  latestMinutes: 0,
  latestMovedMinutes: 0,
  leastNoticeMinutes: 0,
  staleAfterMinutes: null,
  capped: false,
};

export const POLICY: Readonly<Record<Kind, KindPolicy>> = {
  CONFIRMATION: AT_ONCE,
  CHANGED: AT_ONCE,
  CANCELLED: AT_ONCE,
  REMINDER_24H: {
    leadMinutes: 24 * 60,
    whenQuiet: 'LATER',
    latestMinutes: 30,
    latestMovedMinutes: 6 * 60,
    leastNoticeMinutes: 24 * 60,
    staleAfterMinutes: null,
    capped: true,
  },
  REMINDER_2H: {
    leadMinutes: 2 * 60,
    whenQuiet: 'EARLIER',
    latestMinutes: 30,
    latestMovedMinutes: 0,
    leastNoticeMinutes: 3 * 60,
    staleAfterMinutes: 30,
    capped: true,
  },
  MISSED: { ...AT_ONCE, latestMinutes: null, staleAfterMinutes: 48 * 60, capped: true },
};

/** Two reminders nearer to each other than this are one. */
export const MERGED_WITHIN_HOURS = 12;

/**
 * A message that goes out earlier, since it may not later, is due so long before the hours end: a second try, and the
 * messages that are due with it, still fit in.
 */
const ROOM_MINUTES = 30;

/** Spans of the wall clock, in minutes from midnight, in order, in which a patient may be written to. Half-open. */
export type AllowedHours = readonly (readonly [from: number, until: number])[];

const DAY = 24 * 60;

/** When messages may go out to a patient with these preferences. Of an empty list: never. */
export function allowedHours({ quietHours }: Pick<Preferences, 'quietHours'>, { messageHours }: Clinic): AllowedHours {
  const [from, to] = [minutesOf(quietHours.from), minutesOf(quietHours.to)];
  const [open, close] = [minutesOf(messageHours.from), minutesOf(messageHours.until)];
  // What is left of a day, once the quiet span is cut out of it; from a time to itself there is none.
  const spans: AllowedHours =
    from <= to
      ? [
          [0, from],
          [to, DAY],
        ]
      : [[to, from]];
  return spans
    .map(([start, end]) => [Math.max(start, open), Math.min(end, close)] as const)
    .filter(([start, end]) => start < end);
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

export function isAllowed(instant: Temporal.Instant, timeZone: string, hours: AllowedHours): boolean {
  const { hour, minute } = instant.toZonedDateTimeISO(timeZone);
  const at = hour * 60 + minute;
  return hours.some(([from, until]) => from <= at && at < until);
}

/** The moment itself, or the first one after it in which the patient may be written to; null when there is none. */
export function nextAllowed(instant: Temporal.Instant, timeZone: string, hours: AllowedHours): Temporal.Instant | null {
  if (isAllowed(instant, timeZone, hours)) return instant;
  const today = instant.toZonedDateTimeISO(timeZone).toPlainDate();
  for (const days of [0, 1, 2]) {
    for (const [from] of hours) {
      const start = clockAt(today.add({ days }), from, timeZone);
      if (Temporal.Instant.compare(start, instant) > 0 && isAllowed(start, timeZone, hours)) return start;
    }
  }
  return null;
}

/**
 * The moment itself, or the last one before it in which the patient may be written to, with some room before the hours
 * end; null when there is none.
 */
export function lastAllowedBefore(
  instant: Temporal.Instant,
  timeZone: string,
  hours: AllowedHours,
): Temporal.Instant | null {
  if (isAllowed(instant, timeZone, hours)) return instant;
  const today = instant.toZonedDateTimeISO(timeZone).toPlainDate();
  for (const days of [0, 1, 2]) {
    for (const [from, until] of hours.toReversed()) {
      const last = clockAt(today.subtract({ days }), Math.max(from, until - ROOM_MINUTES), timeZone);
      if (Temporal.Instant.compare(last, instant) < 0 && isAllowed(last, timeZone, hours)) return last;
    }
  }
  return null;
}

function clockAt(date: Temporal.PlainDate, minutes: number, timeZone: string): Temporal.Instant {
  const plainTime = new Temporal.PlainTime(Math.floor(minutes / 60), minutes % 60);
  return date.toZonedDateTime({ timeZone, plainTime }).toInstant();
}
