import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { connect, type Db } from '../src/platform/database.ts';
import { emit, sequenceEvents } from '../src/platform/events.ts';
import { postgresPubSub, type PubSub } from '../src/platform/pubsub.ts';
import { transact } from '../src/platform/scope.ts';
import { Arrivals, quiet } from './support/jobs.ts';
import { as, asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

describe('pubsub', () => {
  let db: Db;
  let pubsub: PubSub;
  before(async () => {
    await databaseReady;
    db = connect(urls.login, { max: 2 });
    pubsub = postgresPubSub({ url: urls.login, db, log: quiet });
  });
  after(async () => {
    await pubsub[Symbol.asyncDispose]();
    await db.destroy();
  });

  function listen(channel: string) {
    const messages = new Arrivals<string>();
    const connections = new Arrivals<void>();
    const stop = pubsub.subscribe(channel, {
      message: (payload) => messages.add(payload),
      reconnected: () => connections.add(),
    });
    return { messages, connections, stop };
  }

  it('carries a message to every subscriber of its channel, and to no other', async () => {
    const [a, b, other] = [listen('visits'), listen('visits'), listen('others')];
    await Promise.all([a, b, other].map(({ connections }) => connections.next()));
    await pubsub.publish('visits', '42');
    await pubsub.publish('others', 'x');
    assert.deepEqual(
      [await a.messages.next(), await b.messages.next(), await other.messages.next()],
      ['42', '42', 'x'],
    );

    a.stop();
    await pubsub.publish('visits', '43');
    assert.equal(await b.messages.next(), '43');
    assert.equal(a.messages.size, 0);
  });

  it('comes back after its connection was cut, and says that it was away', async () => {
    const { messages, connections } = listen('cut');
    await connections.next();
    await asSuperuser(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'careflex listen'
      and datname = current_database()`);
    await connections.next();
    await pubsub.publish('cut', 'again');
    assert.equal(await messages.next(), 'again');
  });

  it('hears of events when they have their numbers', async () => {
    const { messages, connections } = listen('events');
    await connections.next();
    const system = as(testScope(), 'system');
    await transact(system, (scope) => emit(scope, 'test.happened' as never, {} as never));
    const newest = await sequenceEvents(system);
    assert.equal(await messages.next(), String(newest));
  });
});

describe('a connection that is cut in the middle of a transaction', () => {
  it('fails that transaction and nothing else', async () => {
    const scope = testScope();
    const cut = transact(scope, async ({ db }) => {
      await sql`select set_config('application_name', 'to be cut', false)`.execute(db);
      await asSuperuser(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'to be cut'`);
      await sql`select 1`.execute(db);
    });
    await assert.rejects(cut);
    await transact(scope, ({ db }) => sql`select 1`.execute(db));
  });
});
