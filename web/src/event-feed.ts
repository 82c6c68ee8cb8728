/**
 * Live events, read once per process and handed to every subscriber. The event table is the truth; a notification
 * only says that there is something to read, and a look every second makes up for one that got lost.
 */
import type { App } from '@careflex/core/app';
import { type Event, eventsAfter, newestSequence } from '@careflex/core/platform/events';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';

export interface EventFeed {
  /**
   * Null at once, which stands for how things are now, then the events that match, until the iterator is returned or
   * the feed closes.
   */
  follow(matches: (event: Event) => boolean): AsyncIterableIterator<Event | null>;
  /** Look for new events now. */
  wake(): void;
  close(): void;
}

const LOOK_EVERY_MS = 1_000;
const BATCH = 500;

export function createEventFeed(app: App): EventFeed {
  const followers = new Set<Follower>();
  let last: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let again = false;

  const scope = (): Scope => app.scope(SYSTEM, { id: 'event-feed', ip: null, userAgent: null });

  async function read(): Promise<void> {
    last ??= await newestSequence(scope());
    for (let batch: Event[] = []; ;) {
      batch = await eventsAfter(scope(), last, BATCH);
      for (const event of batch) for (const follower of followers) follower.offer(event);
      last = batch.at(-1)?.sequence ?? last;
      if (batch.length < BATCH) return;
    }
  }

  function wake(): void {
    if (followers.size === 0) return;
    if (reading) {
      again = true;
      return;
    }
    reading = read()
      .catch((error: unknown) => app.log.warn('Reading events failed', { error }))
      .finally(() => {
        reading = undefined;
        if (again) {
          again = false;
          wake();
        }
      });
  }

  function leave(follower: Follower): void {
    followers.delete(follower);
    if (followers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
    // The next follower begins with what is new then.
    last = undefined;
  }

  return {
    follow(matches) {
      const follower = new Follower(matches, leave);
      followers.add(follower);
      timer ??= setInterval(wake, LOOK_EVERY_MS).unref();
      wake();
      return follower;
    },
    wake,
    close() {
      for (const follower of followers) follower.end();
    },
  };
}

const MAX_WAITING = 1_000;

/** One subscriber's queue. A subscriber that does not keep up is ended rather than kept in memory. */
class Follower implements AsyncIterableIterator<Event | null> {
  readonly #matches: (event: Event) => boolean;
  readonly #leave: (follower: Follower) => void;
  readonly #waiting: (Event | null)[] = [null];
  #resume: (() => void) | undefined;
  #ended = false;

  constructor(matches: (event: Event) => boolean, leave: (follower: Follower) => void) {
    this.#matches = matches;
    this.#leave = leave;
  }

  offer(event: Event): void {
    if (this.#ended || !this.#matches(event)) return;
    this.#waiting.push(event);
    if (this.#waiting.length > MAX_WAITING) this.end();
    this.#resume?.();
  }

  end(): void {
    this.#ended = true;
    this.#leave(this);
    this.#resume?.();
  }

  async next(): Promise<IteratorResult<Event | null>> {
    while (!this.#ended && this.#waiting.length === 0) {
      await new Promise<void>((resolve) => (this.#resume = resolve));
    }
    const value = this.#ended ? undefined : this.#waiting.shift();
    return value === undefined ? { done: true, value: undefined } : { done: false, value };
  }

  async return(): Promise<IteratorResult<Event | null>> {
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
