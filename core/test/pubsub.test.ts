import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { connect, type Db } from '../src/platform/database.ts';
import { emit, EVENTS_CHANNEL, sequenceEvents } from '../src/platform/events.ts';
import type { PubSub } from '../src/platform/pubsub.ts';
import { postgresPubSub } from '../src/platform/pubsub-postgres.ts';
import { redisPubSub } from '../src/platform/pubsub-redis.ts';
import { transact } from '../src/platform/scope.ts';
import { Arrivals, quiet } from './support/jobs.ts';
import { noRedis, startRedis, type TestRedis } from './support/redis.ts';
import { as, asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

let db: Db;
before(async () => {
  await databaseReady;
  db = connect(urls.login, { max: 2 });
});
after(() => db.destroy());

describe('pubsub over PostgreSQL', () => {
  let pubsub: PubSub;
  before(() => (pubsub = postgresPubSub({ url: urls.login, db, log: quiet })));
  after(() => pubsub[Symbol.asyncDispose]());

  carriesMessages(() => pubsub, {
    cut: () =>
      asSuperuser(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'careflex listen'
        and datname = current_database()`),
  });
});

describe('pubsub over Redis', { skip: noRedis }, () => {
  let redis: TestRedis;
  let pubsub: PubSub;
  before(async () => {
    redis = await startRedis();
    pubsub = redisPubSub({ url: redis.url, log: quiet });
  });
  after(async () => {
    await pubsub[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  carriesMessages(() => pubsub, {
    async cut() {
      await redis.stop();
      await redis.start();
    },
  });

  it('says that a message could not be sent while the server is away, and sends the next one when it is back', async () => {
    const { messages, connections } = listenTo(pubsub, 'outage');
    await connections.next();
    await redis.stop();
    await assert.rejects(pubsub.publish('outage', 'lost'));
    await redis.start();
    await connections.next();
    await pubsub.publish('outage', 'after');
    assert.equal(await messages.next(), 'after');
  });

  it('ends while it is not connected', async () => {
    const nowhere = redisPubSub({ url: 'redis://127.0.0.1:1', log: quiet });
    nowhere.subscribe('any', { message: () => undefined });
    await assert.rejects(nowhere.publish('any', 'x'));
    await nowhere[Symbol.asyncDispose]();
  });
});

function listenTo(pubsub: PubSub, channel: string) {
  const messages = new Arrivals<string>();
  const connections = new Arrivals<void>();
  const stop = pubsub.subscribe(channel, {
    message: (payload) => messages.add(payload),
    reconnected: () => connections.add(),
  });
  return { messages, connections, stop };
}

/** What is promised whatever carries the messages. */
function carriesMessages(pubsub: () => PubSub, { cut }: { cut: () => Promise<unknown> }): void {
  const listen = (channel: string) => listenTo(pubsub(), channel);

  it('carries a message to every subscriber of its channel, and to no other', async () => {
    const [a, b, other] = [listen('visits'), listen('visits'), listen('others')];
    await Promise.all([a, b, other].map(({ connections }) => connections.next()));
    await pubsub().publish('visits', '42');
    await pubsub().publish('others', 'x');
    assert.deepEqual(
      [await a.messages.next(), await b.messages.next(), await other.messages.next()],
      ['42', '42', 'x'],
    );

    a.stop();
    await pubsub().publish('visits', '43');
    assert.equal(await b.messages.next(), '43');
    assert.equal(a.messages.size, 0);
  });

  it('comes back after its connection was cut, and says that it was away', async () => {
    const { messages, connections } = listen('cut');
    await connections.next();
    await cut();
    await connections.next();
    await pubsub().publish('cut', 'again');
    assert.equal(await messages.next(), 'again');
  });

  it('keeps the order of the messages that one process sends one after the other', async () => {
    const { messages, connections } = listen('order');
    await connections.next();
    const sent = Array.from({ length: 50 }, (_, i) => String(i));
    for (const payload of sent) await pubsub().publish('order', payload);
    const heard: string[] = [];
    while (heard.length < sent.length) heard.push(await messages.next());
    assert.deepEqual(heard, sent);
  });

  it('tells of events when they have their numbers', async () => {
    const { messages, connections } = listen(EVENTS_CHANNEL);
    await connections.next();
    const announce = (channel: string, payload: string) => void pubsub().publish(channel, payload);
    const system = { ...as(testScope(), 'system'), announce };
    await transact(system, (scope) => emit(scope, 'test.happened' as never, {} as never));
    const newest = await sequenceEvents(system);
    assert.equal(await messages.next(), String(newest));
  });
}

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
