/**
 * One subscriber's way through the events.
 *
 * While it keeps up it is handed events as the feed reads them. When it begins in the past, or does not keep up, it
 * reads the table itself, page by page at its own pace, until it has what the feed has handed out: then it is handed
 * events again. Sequences have no hole, so nothing is missed or doubled where one passes into the other, and whoever
 * is slow costs a page of memory and loses nothing.
 */
import type { Event } from '@careflex/core/platform/events';

export interface FollowerSource {
  /** Events after the sequence, waiting for the database as long as they are wanted. */
  pageAfter(sequence: number, isWanted: () => boolean): Promise<Event[]>;
  /** Up to where the feed has handed events out. */
  handedOut(): number;
  leave(follower: Follower): void;
}

export interface FollowerOptions {
  readonly matches: (event: Event) => boolean;
  /** The sequence it begins behind. */
  readonly after: number;
  /** The feed has handed out more than that. */
  readonly isBehind: boolean;
  readonly withPresent: boolean;
}

const MAX_WAITING = 1_000;

export class Follower implements AsyncIterableIterator<Event | null> {
  readonly #source: FollowerSource;
  readonly #matches: (event: Event) => boolean;
  #waiting: (Event | null)[];
  #resume: (() => void) | undefined;
  /** Everything up to here was returned, or did not match. */
  #returned: number;
  /** Everything up to here was returned, waits, or did not match. */
  #seen: number;
  #isBehind: boolean;
  #ended = false;

  constructor(source: FollowerSource, { matches, after, isBehind, withPresent }: FollowerOptions) {
    this.#source = source;
    this.#matches = matches;
    this.#returned = this.#seen = after;
    this.#isBehind = isBehind;
    this.#waiting = withPresent ? [null] : [];
  }

  /** Events come in order; those it has seen in its own reading are passed over. */
  offer(event: Event): void {
    if (this.#ended || this.#isBehind || event.sequence <= this.#seen) return;
    this.#take(event);
    if (this.#waiting.length > MAX_WAITING) this.#fallBehind();
    this.#resume?.();
  }

  end(): void {
    this.#ended = true;
    this.#waiting = [];
    this.#source.leave(this);
    this.#resume?.();
  }

  async next(): Promise<IteratorResult<Event | null>> {
    while (!this.#ended && this.#waiting.length === 0) {
      this.#returned = this.#seen;
      if (this.#isBehind) await this.#catchUp();
      else await new Promise<void>((resolve) => (this.#resume = resolve));
    }
    if (this.#ended) return { done: true, value: undefined };
    const event = this.#waiting.shift() as Event | null;
    this.#returned = event?.sequence ?? this.#returned;
    return { done: false, value: event };
  }

  async return(): Promise<IteratorResult<Event | null>> {
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(event: Event): void {
    this.#seen = event.sequence;
    if (this.#matches(event)) this.#waiting.push(event);
  }

  #fallBehind(): void {
    this.#isBehind = true;
    this.#waiting = [];
    this.#seen = this.#returned;
  }

  async #catchUp(): Promise<void> {
    const page = await this.#source.pageAfter(this.#seen, () => !this.#ended);
    for (const event of page) this.#take(event);
    // From here to the feed's next event nothing else runs: what it hands out then is just behind what was seen.
    if (page.length === 0 || this.#seen >= this.#source.handedOut()) this.#isBehind = false;
  }
}
