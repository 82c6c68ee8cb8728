/**
 * Messages between processes, for waking somebody up: nothing depends on one that gets lost. What must not be
 * missed is read from its table, from the last sequence on; `reconnected` says when to look.
 *
 * One connection per process listens, for all channels. PostgreSQL's NOTIFY carries the messages, each in a
 * transaction of its own: inside a change's transaction it would make all commits queue up.
 */
import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from './database.ts';
import type { Log } from './log.ts';
import { pause } from './ticker.ts';

export interface Subscriber {
  message(payload: string): void;
  /** Messages may have been lost before this moment. Also called once at the start. */
  reconnected?(): void;
}

export interface PubSub extends AsyncDisposable {
  /** At most 8,000 bytes; ids and names only. */
  publish(channel: string, payload: string): Promise<void>;
  /** Returns what ends the subscription. */
  subscribe(channel: string, subscriber: Subscriber): () => void;
}

export interface PubSubOptions {
  readonly url: string;
  readonly db: Db;
  readonly log: Log;
}

/** Over PostgreSQL. It connects with the first subscription, and again and again when the connection is lost. */
export function postgresPubSub(options: PubSubOptions): PubSub {
  const listener = new Listener(options);
  return {
    async publish(channel, payload) {
      await sql`select pg_notify(${channel}, ${payload})`.execute(options.db);
    },
    subscribe: (channel, subscriber) => listener.subscribe(channel, subscriber),
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

const PROBE_MS = 10_000;
const ANSWER_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;

class Listener {
  readonly #options: PubSubOptions;
  readonly #subscribers = new Map<string, Set<Subscriber>>();
  readonly #closed = new AbortController();
  #connecting: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(options: PubSubOptions) {
    this.#options = options;
  }

  subscribe(channel: string, subscriber: Subscriber): () => void {
    const subscribers = this.#subscribers.get(channel) ?? new Set();
    this.#subscribers.set(channel, subscribers.add(subscriber));
    this.#connecting ??= this.#stayConnected();
    this.#changed.resolve();
    return () => void subscribers.delete(subscriber);
  }

  async close(): Promise<void> {
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
        this.#options.log.warn('The listening connection is lost', { error });
        await pause(wait / 2 + (wait / 2) * Math.random(), this.#closed.signal);
        wait = Math.min(wait * 2, LAST_RETRY_MS);
      }
    }
  }

  /** Returns when closed; throws when the connection is lost. */
  async #listen(connected: () => void): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: 'careflex listen',
      connectionTimeoutMillis: ANSWER_MS,
      query_timeout: ANSWER_MS,
    });
    const lost = Promise.withResolvers<void>();
    lost.promise.catch(() => undefined);
    client.on('error', lost.reject).on('end', () => lost.reject(new Error('The server closed the connection')));
    client.on('notification', ({ channel, payload = '' }) => this.#deliver(channel, payload));
    try {
      await client.connect();
      connected();
      await this.#follow(client, lost.promise);
    } finally {
      await Promise.race([client.end().catch(() => undefined), pause(ANSWER_MS)]);
    }
  }

  async #follow(client: pg.Client, lost: Promise<void>): Promise<void> {
    const channels = new Set<string>();
    const told = new Set<Subscriber>();
    while (!this.#closed.signal.aborted) {
      this.#changed = Promise.withResolvers();
      for (const [channel, subscribers] of this.#subscribers) {
        if (!channels.has(channel)) await client.query(`listen ${pg.escapeIdentifier(channel)}`);
        channels.add(channel);
        for (const subscriber of subscribers) {
          if (!told.has(subscriber)) subscriber.reconnected?.();
          told.add(subscriber);
        }
      }
      const probe = new AbortController();
      await Promise.race([lost, this.#changed.promise, pause(PROBE_MS, probe.signal)]).finally(() => probe.abort());
      // A peer that vanished without a word would otherwise go unnoticed for hours.
      await client.query('select');
    }
  }

  #deliver(channel: string, payload: string): void {
    for (const subscriber of this.#subscribers.get(channel) ?? []) subscriber.message(payload);
  }
}
