/** Messages by PostgreSQL's NOTIFY, each in a transaction of its own. Nothing else has to run for it. */
import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from './database.ts';
import type { Log } from './log.ts';
import { ANSWER_MS, type Connect, Listener, type PubSub } from './pubsub.ts';

export interface PostgresPubSubOptions {
  readonly url: string;
  readonly db: Db;
  readonly log: Log;
}

export function postgresPubSub({ url, db, log }: PostgresPubSubOptions): PubSub {
  const listener = new Listener(connectTo(url), log);
  return {
    async publish(channel, payload) {
      // Nothing is written but a message, which no restart keeps anyway: nobody need wait for the disk.
      await sql`select set_config('synchronous_commit', 'off', true), pg_notify(${channel}, ${payload})`.execute(db);
    },
    subscribe: (channel, subscriber) => listener.subscribe(channel, subscriber),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

function connectTo(url: string): Connect {
  return async ({ message, lost }) => {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'careflex listen',
      connectionTimeoutMillis: ANSWER_MS,
      query_timeout: ANSWER_MS,
    });
    client.on('error', lost).on('end', () => lost(new Error('The server closed the connection')));
    client.on('notification', ({ channel, payload = '' }) => message(channel, payload));
    try {
      await client.connect();
    } catch (thrown) {
      await client.end().catch(() => undefined);
      throw thrown;
    }
    return {
      async listen(channel) {
        await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      },
      async probe() {
        await client.query('select');
      },
      close: () => client.end(),
    };
  };
}
