/**
 * A time zone over a stretch of time, as plain arithmetic on epoch milliseconds: asking Temporal for every slot of a
 * month would take most of the time that a search has.
 */

/** A half-open range of instants, in epoch milliseconds. */
export interface Range {
  readonly from: number;
  readonly until: number;
}

interface Stretch extends Range {
  /** What a wall clock shows is the instant plus this. */
  readonly offset: number;
}

export const MINUTE = 60_000;
export const DAY = 86_400_000;

export class LocalTime {
  readonly #stretches: readonly Stretch[];

  /** Valid for the instants of `range` and two days around them. */
  constructor(timeZone: string, range: Range) {
    const [from, until] = [range.from - 2 * DAY, range.until + 2 * DAY];
    const stretches: Stretch[] = [];
    for (let at = from; at < until;) {
      const zoned = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone);
      const next = zoned.getTimeZoneTransition('next')?.epochMilliseconds ?? until;
      stretches.push({ from: at, until: Math.min(next, until), offset: zoned.offsetNanoseconds / 1_000_000 });
      at = next;
    }
    this.#stretches = stretches;
  }

  /** What the wall clock shows, as if it were UTC. */
  wallClock(instant: number): number {
    return instant + this.#at(instant).offset;
  }

  /** Days since 1970-01-01 on the wall calendar. */
  day(instant: number): number {
    return Math.floor(this.wallClock(instant) / DAY);
  }

  /** The first instant at which the wall clock shows this or, where it is skipped, as long after the gap's beginning. */
  instant(wallClock: number): number {
    for (const { from, until, offset } of this.#stretches) {
      const at = wallClock - offset;
      if (at < until) return Math.max(at, from) === at ? at : this.#afterGap(wallClock, from);
    }
    return wallClock - (this.#stretches.at(-1) as Stretch).offset;
  }

  /** The end of the stretch in which the wall clock runs without a jump. */
  nextJump(instant: number): number {
    return this.#at(instant).until;
  }

  #afterGap(wallClock: number, end: number): number {
    const before = this.#stretches.findLast(({ until }) => until <= end);
    return before ? wallClock - before.offset : end;
  }

  #at(instant: number): Stretch {
    return this.#stretches.find(({ until }) => instant < until) ?? (this.#stretches.at(-1) as Stretch);
  }
}

/** 1 to 7 from Monday; 1970-01-01 was a Thursday. */
export const weekday = (day: number): number => ((((day + 3) % 7) + 7) % 7) + 1;

/** `09:30` in milliseconds since midnight; `24:00` is the end of the day. */
export function sinceMidnight(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return (hours * 60 + minutes) * MINUTE;
}
