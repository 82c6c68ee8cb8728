/** The only place that asks the system for the time. Everything else gets its `now` from the scope. */
export interface Clock {
  now(): Temporal.Instant;
}

export const systemClock: Clock = { now: () => Temporal.Now.instant() };

/** A clock that stands still until it is moved: for tests, and for proofs about time. */
export class ManualClock implements Clock {
  #now: Temporal.Instant;
  constructor(now: string | Temporal.Instant) {
    this.#now = Temporal.Instant.from(now);
  }
  now(): Temporal.Instant {
    return this.#now;
  }
  set(now: string | Temporal.Instant): void {
    this.#now = Temporal.Instant.from(now);
  }
  /** Hours and smaller only: an instant knows no calendar days. */
  advance(duration: Temporal.DurationLike): void {
    this.#now = this.#now.add(duration);
  }
}
