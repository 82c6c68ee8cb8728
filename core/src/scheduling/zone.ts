/**
 * The wall clock of a time zone as plain arithmetic on epoch milliseconds: asking Temporal for every slot of a month
 * would take most of the time that a search has.
 */

/** A half-open range of instants, in epoch milliseconds. */
export interface Range {
  readonly from: number;
  readonly until: number;
}

/** A part of one local day over which the clock runs evenly: all of it, unless clocks are set that day. */
export interface Stretch extends Range {
  /** Days since 1970-01-01 on the wall calendar. */
  readonly day: number;
  /** The instant at which the clock would have shown 00:00 of the day. */
  readonly midnight: number;
}

export const MINUTE = 60_000;
export const DAY = 86_400_000;

/** Between two settings of the clock. */
interface Span extends Range {
  /** What the clock shows is the instant plus this. */
  readonly offset: number;
}

export class WallClock {
  readonly #spans: readonly Span[];

  /** Knows the zone over the range, and two days more on either side. */
  constructor(timeZone: string, range: Range) {
    this.#spans = spansOf(timeZone, { from: range.from - 2 * DAY, until: range.until + 2 * DAY });
  }

  /** Days since 1970-01-01 on the wall calendar. */
  day(instant: number): number {
    const span = this.#spans.find(({ until }) => instant < until) ?? this.#spans.at(-1);
    return Math.floor((instant + (span?.offset ?? 0)) / DAY);
  }

  /** The stretches, each whole, that have a part in the range; in the order of time. */
  *stretches(range: Range): Generator<Stretch> {
    for (const { from, until, offset } of this.#spans) {
      const [first, last] = [Math.max(from, range.from), Math.min(until, range.until)];
      if (first >= last) continue;
      for (let day = Math.floor((first + offset) / DAY); day * DAY - offset < last; day++) {
        const midnight = day * DAY - offset;
        yield { day, midnight, from: Math.max(midnight, from), until: Math.min(midnight + DAY, until) };
      }
    }
  }
}

function spansOf(timeZone: string, { from, until }: Range): Span[] {
  const spans: Span[] = [];
  for (let at = from; at < until;) {
    const zoned = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone);
    const next = zoned.getTimeZoneTransition('next')?.epochMilliseconds ?? until;
    spans.push({ from: at, until: Math.min(next, until), offset: zoned.offsetNanoseconds / 1_000_000 });
    at = next;
  }
  return spans;
}

/** `2026-03-08` as days since 1970-01-01. */
export const dayNumber = (date: string): number => Date.parse(`${date}T00:00Z`) / DAY;

/** 1 to 7 from Monday; 1970-01-01 was a Thursday. */
export const weekday = (day: number): number => ((((day + 3) % 7) + 7) % 7) + 1;

/** `09:30` in milliseconds since midnight; `24:00` is the end of the day. */
export function sinceMidnight(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return (hours * 60 + minutes) * MINUTE;
}
