/**
 * Messages between processes, for waking somebody up: nothing depends on one that gets lost. What must not be
 * missed is read from its table, from the last sequence on; `reconnected` says when to look.
 *
 * One connection per process listens, for all channels, and is made again whenever it is lost. PostgreSQL or Redis
 * carries the messages, never inside a change's transaction: there PostgreSQL's NOTIFY would make all commits queue up.
 */
import type { Log } from './log.ts';
import { pause } from './ticker.ts';

export interface Subscriber {
  message(payload: string): void;
  /** Messages may have been lost before this moment. Also called once at the start. */
  reconnected?(): void;
}

export interface PubSub extends AsyncDisposable {
  /** At most 8,000 bytes; ids and names only. Rejects when nobody could be told. */
  publish(channel: string, payload: string): Promise<void>;
  /** Returns what ends the subscription. */
  subscribe(channel: string, subscriber: Subscriber): () => void;
}

/** A connection that listens, to whichever server carries the messages. */
export interface Connection {
  listen(channel: string): Promise<void>;
  /** Rejects when the server does not answer any more. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectionEvents {
  message(this: void, channel: string, payload: string): void;
  lost(this: void, error: Error): void;
}

export type Connect = (events: ConnectionEvents) => Promise<Connection>;

const PROBE_MS = 10_000;
/** How long a server may take to answer before it counts as lost. */
export const ANSWER_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;

/** Connects with the first subscription, and again and again when the connection is lost. */
export class Listener implements AsyncDisposable {
  readonly #connect: Connect;
  readonly #log: Log;
  readonly #subscribers = new Map<string, Set<Subscriber>>();
  readonly #closed = new AbortController();
  #connecting: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(connect: Connect, log: Log) {
    this.#connect = connect;
    this.#log = log;
  }

  subscribe(channel: string, subscriber: Subscriber): () => void {
    const subscribers = this.#subscribers.get(channel) ?? new Set();
    this.#subscribers.set(channel, subscribers.add(subscriber));
    this.#connecting ??= this.#stayConnected();
    this.#changed.resolve();
    return () => void subscribers.delete(subscriber);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#changed.resolve();
    await this.#connecting;
  }

  async #stayConnected(): Promise<void> {
    let wait = FIRST_RETRY_MS;
    while (!this.#closed.signal.aborted) {
      try {
        await this.#listen(() => (wait = FIRST_RETRY_MS));
      } catch (error) {
        this.#log.warn('The listening connection is lost', { error });
        await pause(wait / 2 + (wait / 2) * Math.random(), this.#closed.signal);
        wait = Math.min(wait * 2, LAST_RETRY_MS);
      }
    }
  }

  /** Returns when closed; throws when the connection is lost. */
  async #listen(connected: () => void): Promise<void> {
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => undefined);
    const connection = await this.#connect({
      message: (channel, payload) => this.#deliver(channel, payload),
      lost: lost.reject,
    });
    try {
      connected();
      await this.#follow(connection, lost.promise);
    } finally {
      await Promise.race([connection.close().catch(() => undefined), pause(ANSWER_MS)]);
    }
  }

  async #follow(connection: Connection, lost: Promise<never>): Promise<void> {
    const channels = new Set<string>();
    const told = new Set<Subscriber>();
    while (!this.#closed.signal.aborted) {
      this.#changed = Promise.withResolvers();
      for (const [channel, subscribers] of this.#subscribers) {
        if (!channels.has(channel)) await connection.listen(channel);
        channels.add(channel);
        for (const subscriber of subscribers) {
          if (!told.has(subscriber)) subscriber.reconnected?.();
          told.add(subscriber);
        }
      }
      const probe = new AbortController();
      await Promise.race([lost, this.#changed.promise, pause(PROBE_MS, probe.signal)]).finally(() => probe.abort());
      // A peer that vanished without a word would otherwise go unnoticed for hours.
      await connection.probe();
    }
  }

  #deliver(channel: string, payload: string): void {
    for (const subscriber of this.#subscribers.get(channel) ?? []) subscriber.message(payload);
  }
}
