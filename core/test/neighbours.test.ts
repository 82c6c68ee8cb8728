import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Guarded, Unavailable } from '#integrations/guard';
import * as neighbours from '#neighbours';
import { systemClock } from '#platform/clock';
import { connect, type Db } from '#platform/database';
import type { PubSub } from '#platform/pubsub';
import { type Actor, type Role, type Scope, SYSTEM } from '#platform/scope';
import { postgresPubSub } from '../src/platform/pubsub-postgres.ts';
import { quiet } from './support/jobs.ts';
import { startNeighbour } from './support/neighbour.ts';
import { testRights } from './support/rights.ts';
import { assertSame } from './support/same.ts';
import { actor, as, asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

const FAST = { timeoutMs: 1_000, atOnce: 4, retries: 0, firstRetryMs: 1, failuresToOpen: 2, reopenAfterMs: 60_000 };

let db: Db;
let pubsub: PubSub;
let admin: Actor;

before(async () => {
  await databaseReady;
  db = connect(urls.login, { max: 4 });
  pubsub = postgresPubSub({ url: urls.login, db, log: quiet });
  admin = actor('admin');
  await asSuperuser(
    `insert into users (id, role, data_key, identity, email_index, email_verified, created_at, updated_at)
     values ($1, 'admin', '\\x01', '\\x02', '\\x03', true, now(), now())`,
    [admin.id],
  );
});
after(async () => {
  await pubsub[Symbol.asyncDispose]();
  await db.destroy();
});

const scope = (who: Actor = admin): Scope =>
  testScope({
    actor: who,
    now: systemClock.now(),
    announce: (channel, payload) => void pubsub.publish(channel, payload),
  });

/** A process, as far as its neighbours go. */
function open(node = `host:${randomUUID()}`): neighbours.Neighbours & { readonly node: string } {
  const options = { scope: () => testScope({ actor: SYSTEM, db }), pubsub, clock: systemClock, log: quiet, node };
  return Object.assign(neighbours.openNeighbours(options), { node });
}

const fail = async (code: string): Promise<never> => {
  throw new Unavailable(code);
};
const codeOf = (guarded: Guarded, call: () => Promise<unknown> = async () => 'done'): Promise<unknown> =>
  guarded.send(call).catch(({ code }: { code: string }) => code);

async function find(name: neighbours.Neighbour): Promise<neighbours.Integration> {
  const found = (await neighbours.integrations(scope())).find((one) => one.name === name);
  assert.ok(found);
  return found;
}

/** The process's own part, as it has told it. */
async function part(name: neighbours.Neighbour, node: string): Promise<neighbours.IntegrationProcess | undefined> {
  return (await find(name)).processes.find((process) => process.node === node);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe('integrations', () => {
  it('tells how the calls of each process fare, and of an error its code alone', async () => {
    await using first = open();
    await using second = open();
    const calls = [first, second].map((process) => process.guard('voice', FAST));
    const before = (await find('voice')).calls;
    await codeOf(calls[0] as Guarded);
    await codeOf(calls[0] as Guarded, () => fail('Ada Lovelace, +1 212 555 0123'));
    await codeOf(calls[1] as Guarded, () => fail('ECONNREFUSED'));
    await codeOf(calls[1] as Guarded, () => fail('503'));
    await codeOf(calls[1] as Guarded);
    await until(async () => (await part('voice', first.node))?.failed === 1);
    await until(async () => (await part('voice', second.node))?.rejected === 1);
    const { state, tripped, calls: all, processes } = await find('voice');
    assert.deepEqual([state, tripped], ['OPEN', null]);
    assert.deepEqual(
      Object.entries(all).map(([end, count]) => count - before[end as neighbours.CallEnd]),
      [1, 0, 3, 1],
    );
    const told = Object.fromEntries(processes.map((process) => [process.node, process]));
    const { lastErrorAt, reportedAt, ...more } = told[first.node] as neighbours.IntegrationProcess;
    assert.ok(lastErrorAt && Temporal.Instant.compare(lastErrorAt, reportedAt) <= 0);
    const zeros = { refused: 0, rejected: 0, retries: 0, timeouts: 0, running: 0, waiting: 0 };
    assert.deepEqual(more, {
      ...zeros,
      node: first.node,
      state: 'CLOSED',
      succeeded: 1,
      failed: 1,
      lastErrorCode: 'OTHER',
    });
    assert.deepEqual([told[second.node]?.state, told[second.node]?.lastErrorCode], ['OPEN', '503']);
  });

  it('forgets at once a process that ends in order, keeps its calls in the sum, and a silent one after ten seconds', async () => {
    const process = open();
    const before = (await find('email')).calls.succeeded;
    await codeOf(process.guard('email', FAST));
    await until(async () => (await part('email', process.node)) !== undefined);
    await process[Symbol.asyncDispose]();
    assert.equal(await part('email', process.node), undefined);
    assert.equal((await find('email')).calls.succeeded, before + 1);

    await using another = open();
    another.guard('email', FAST);
    await asSuperuser(
      `insert into neighbour_processes values
       ('email', 'host:silent', 'OPEN', 0, 0, 0, 0, 0, 0, 0, 0, null, null, now() - interval '11 seconds'),
       ('email', 'host:long', 'OPEN', 0, 0, 0, 0, 0, 0, 0, 0, null, null, now() - interval '2 minutes')`,
    );
    assert.equal(await part('email', 'host:silent'), undefined);
    assert.equal((await find('email')).state, 'CLOSED');
    another.attend();
    const nodes = async () =>
      (await asSuperuser<{ node: string }>(`select node from neighbour_processes where name = 'email'`)).map(
        ({ node }) => node,
      );
    await until(async () => !(await nodes()).includes('host:long'));
    assert.ok((await nodes()).includes('host:silent'));
  });
});

describe('trip and reset', () => {
  it('stop the calls of another process, and let them go on', async () => {
    await using other = await startNeighbour(urls.login);
    assert.equal(await other.call(), 'done');
    const { state, tripped } = await neighbours.trip(scope(), 'sms', { reason: 'They bill twice' });
    assert.equal(state, 'TRIPPED');
    assert.deepEqual([tripped?.by, tripped?.reason], [admin.id, 'They bill twice']);
    await until(async () => (await other.call()) === 'TRIPPED');
    assert.equal(await other.call(), 'TRIPPED');
    // It has told so; and the answer to the reset does not wait for it to tell again.
    await until(async () => (await find('sms')).processes.some((process) => process.state === 'TRIPPED'));
    const open = await neighbours.reset(scope(), 'sms');
    assert.deepEqual([open.tripped, open.state], [null, 'CLOSED']);
    await until(async () => (await other.call()) === 'done');
  });

  it('hold for a process that starts later, from its first call on', async () => {
    await neighbours.trip(scope(), 'sms', { reason: 'Still' });
    {
      await using later = await startNeighbour(urls.login);
      assert.equal(await later.call(), 'TRIPPED');
    }
    await neighbours.reset(scope(), 'sms');
    await using last = await startNeighbour(urls.login);
    assert.equal(await last.call(), 'done');
  });

  it('close a circuit too that has opened by itself', async () => {
    await using process = open();
    const guarded = process.guard('directory', FAST);
    for (const _ of [1, 2]) await codeOf(guarded, () => fail('503'));
    assert.equal(await codeOf(guarded), 'CIRCUIT_OPEN');
    await neighbours.reset(scope(), 'directory');
    await until(async () => (await codeOf(guarded)) === 'done');
    // One more failure alone does not open it again.
    await codeOf(guarded, () => fail('503'));
    assert.equal(await codeOf(guarded), 'done');
  });

  it('begin no call while nobody can say what is ordered', async () => {
    const gone = connect('postgres://nobody:nothing@127.0.0.1:1/nowhere', { max: 1 });
    const deaf: PubSub = {
      publish: async () => undefined,
      subscribe: () => () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
    const lost = neighbours.openNeighbours({
      scope: () => testScope({ actor: SYSTEM, db: gone }),
      pubsub: deaf,
      clock: systemClock,
      log: quiet,
      node: 'host:lost',
    });
    const guarded = lost.guard('sms', FAST);
    assert.equal(await codeOf(guarded, () => assert.fail('It was called')), 'ORDERS_UNKNOWN');
    await assert.rejects(
      guarded.ask(async () => assert.fail('It was called')),
      Unavailable,
    );
    await lost[Symbol.asyncDispose]();
    await gone.destroy();
  });

  it('are done once per key, and are on record', async () => {
    const idempotencyKey = randomUUID();
    const order = { reason: 'Once', idempotencyKey };
    const first = await neighbours.trip(scope(), 'payer', order);
    await neighbours.reset(scope(), 'payer');
    const again = await neighbours.trip(scope(), 'payer', order);
    assert.deepEqual([first.state, again.state], ['TRIPPED', 'CLOSED']);
    await assert.rejects(neighbours.trip(scope(), 'payer', { ...order, reason: 'Other' }), {
      code: 'IDEMPOTENCY_MISMATCH',
    });
    const trail = await asSuperuser<{ action: string }>(
      `select action, resource_type, resource_id from audit_entries where resource_id = 'payer' order by id`,
    );
    const of = { resource_type: 'Integration', resource_id: 'payer' };
    assert.deepEqual(trail, [
      { action: 'integration.trip', ...of },
      { action: 'integration.reset', ...of },
    ]);
    const { tripped } = await neighbours.trip(scope(), 'payer', { reason: 'Again' });
    const later = { ...scope(), now: systemClock.now().add({ seconds: 5 }) };
    const newer = await neighbours.trip(later, 'payer', { reason: 'For another reason' });
    assert.equal(newer.tripped?.reason, 'For another reason');
    assertSame(newer.tripped?.at.since(tripped?.at ?? later.now).sign, 1);
  });

  it('are for admins, and for neighbours that there are', async () => {
    for (const role of ['agent', 'patient', 'auditor', 'system'] satisfies Role[]) {
      const who = as(scope(), role);
      await assert.rejects(neighbours.integrations(who), { code: 'FORBIDDEN' });
      await assert.rejects(neighbours.trip(who, 'sms', { reason: 'x' }), { code: 'FORBIDDEN' });
      await assert.rejects(neighbours.reset(who, 'sms'), { code: 'FORBIDDEN' });
    }
    await assert.rejects(neighbours.trip(scope(), 'fax', { reason: 'x' }), { code: 'NOT_FOUND' });
    await assert.rejects(neighbours.trip(scope(), 'sms', { reason: ' ' }), { code: 'INVALID_INPUT' });
  });
});

describe('the tables of neighbours', () => {
  testRights({
    neighbours: {
      staff: '',
      patient: '',
      auditor: '',
      system: 'select insert update',
      written: 'reason',
      seen: 'name',
    },
    neighbour_processes: {
      staff: '',
      patient: '',
      auditor: '',
      system: 'select insert update delete',
      written: 'state',
      seen: 'name',
    },
  });

  it('are under row-level security with one policy for the one role', async () => {
    const rows = await asSuperuser(
      `select relname, relrowsecurity,
         (select count(*)::int from pg_policies where tablename = relname) as policies
       from pg_class where relkind = 'r' and relname like 'neighbour%' order by 1`,
    );
    assert.deepEqual(
      rows,
      ['neighbour_processes', 'neighbours'].map((relname) => ({ relname, relrowsecurity: true, policies: 1 })),
    );
  });
});
