/**
 * Live events, read once per process and handed to every subscriber. The event table is the truth; a message only says
 * that there is something to read, and a look every second makes up for one that got lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '@careflex/core/app';
import { InvalidInput } from '@careflex/core/platform/errors';
import { type Event, eventsAfter, newestSequence, sequenceEvents } from '@careflex/core/platform/events';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { Follower, type FollowerSource } from './follower.ts';

export interface Follow {
  readonly matches: (event: Event) => boolean;
  /** Begins with what came after it; without it, with what comes from now on. */
  readonly since?: number | null | undefined;
  /** Begins with null, which stands for how things are now. */
  readonly withPresent?: boolean;
}

const LOOK_EVERY_MS = 1_000;
const PAGE = 500;

export class EventFeed implements FollowerSource {
  readonly #app: App;
  readonly #lookEveryMs: number;
  readonly #followers = new Set<Follower>();
  /** Up to where events were handed out; undefined while nobody follows. */
  #last: number | undefined;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #again = false;

  constructor(app: App, lookEveryMs = LOOK_EVERY_MS) {
    this.#app = app;
    this.#lookEveryMs = lookEveryMs;
  }

  /**
   * The events that match, each once and in the order of their sequence, until the iterator is returned or the feed
   * closes. Nothing is missed that is numbered after this has resolved. Throws InvalidInput for a `since` that is
   * no sequence yet.
   */
  async follow({ matches, since, withPresent = false }: Follow): Promise<AsyncIterableIterator<Event | null>> {
    // What is committed before now gets its number before now, or it would come as if it were new.
    if (since === null || since === undefined) await sequenceEvents(this.#scope());
    const newest = await newestSequence(this.#scope());
    refuseUnknown(since, newest);
    const after = since ?? newest;
    this.#last ??= newest;
    const follower = new Follower(this, { matches, after, isBehind: after < this.#last, withPresent });
    if (this.#closed) return follower.return().then(() => follower);
    this.#followers.add(follower);
    this.#timer ??= setInterval(() => this.wake(), this.#lookEveryMs).unref();
    this.wake();
    return follower;
  }

  /** Looks for new events now. */
  wake(): void {
    this.#again = true;
    if (this.#reading || this.#followers.size === 0) return;
    this.#reading = true;
    void this.#read();
  }

  close(): void {
    this.#closed = true;
    for (const follower of this.#followers) follower.end();
  }

  handedOut(): number {
    return this.#last ?? 0;
  }

  /** An outage of the database is waited for. */
  async pageAfter(sequence: number, isWanted: () => boolean): Promise<Event[]> {
    while (isWanted()) {
      try {
        return await eventsAfter(this.#scope(), sequence, PAGE);
      } catch (error) {
        this.#app.log.warn('Reading events again failed', { error });
        await sleep(LOOK_EVERY_MS);
      }
    }
    return [];
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#last = undefined;
  }

  async #read(): Promise<void> {
    while (this.#again && this.#last !== undefined) {
      this.#again = false;
      try {
        const page = await eventsAfter(this.#scope(), this.#last, PAGE);
        for (const event of page) for (const follower of this.#followers) follower.offer(event);
        this.#handOut(page.at(-1)?.sequence);
        this.#again ||= page.length === PAGE;
      } catch (error) {
        this.#app.log.warn('Reading events failed', { error });
      }
    }
    this.#reading = false;
  }

  /** Meanwhile everybody may have left, and somebody may have come. */
  #handOut(upTo: number | undefined): void {
    if (this.#last !== undefined && upTo !== undefined) this.#last = Math.max(this.#last, upTo);
  }

  #scope(): Scope {
    return this.#app.scope(SYSTEM, { id: 'event-feed', ip: null, userAgent: null });
  }
}

/** A sequence that nobody can have seen was seen in another database: one that a backup has taken back, perhaps. */
function refuseUnknown(since: number | null | undefined, newest: number): void {
  if (since === null || since === undefined) return;
  if (Number.isInteger(since) && since >= 0 && since <= newest) return;
  throw new InvalidInput([{ path: ['since'], message: `expected a sequence from 0 to the newest, ${newest}` }]);
}
