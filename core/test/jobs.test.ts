import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cancel, type RunningJob, Snooze } from '../src/platform/job-consumer.ts';
import { queueCounts } from '../src/platform/jobs.ts';
import { type Role, transact } from '../src/platform/scope.ts';
import { Arrivals, declareTestQueues, openTestJobs, type TestJobs } from './support/jobs.ts';
import { assertSame } from './support/same.ts';
import { as, asSuperuser, committed, NOW, testScope, urls } from './support/testing.ts';

const QUEUES = ['plain', 'quick', 'busy', 'failing', 'sleepy', 'endless', 'stopped', 'counted', 'cancelled'];
const woken: string[] = [];
let jobs: TestJobs;

const add = (queue: string, payload: object, options = {}) =>
  transact(testScope(), (scope) => jobs.enqueue(scope, queue, payload, options));

const states = (queue: string) =>
  asSuperuser<{ state: string; data: object }>(
    'select state, data from pgboss.job where name = $1 order by created_on',
    [queue],
  );

describe('jobs', () => {
  before(async () => {
    await declareTestQueues(urls.admin, ...QUEUES);
    jobs = openTestJobs(urls.login, (queue) => woken.push(queue));
    await jobs.boss.start();
  });
  after(() => jobs[Symbol.asyncDispose]());

  describe('enqueue', () => {
    it('keeps a job with the change that caused it, and loses it with a change that is undone', async () => {
      await add('plain', { kept: true });
      await assert.rejects(
        transact(testScope(), async (scope) => {
          await jobs.enqueue(scope, 'plain', { kept: false });
          throw new Error('undone');
        }),
        /undone/,
      );
      assert.deepEqual(
        (await states('plain')).map(({ data }) => data),
        [{ kept: true }],
      );
    });

    for (const role of ['admin', 'agent', 'patient', 'auditor', 'system'] satisfies Role[]) {
      it(`is open to the ${role}, who ${role === 'system' ? 'alone sees' : 'does not see'} jobs`, async () => {
        const scope = as(testScope(), role);
        await transact(scope, (scope) => jobs.enqueue(scope, 'plain', { by: role }));
        const read = transact(scope, ({ db }) =>
          db
            .selectFrom('pgboss.job' as never)
            .selectAll()
            .execute(),
        );
        if (role === 'system') await read;
        else await assert.rejects(read, { code: '42501' });
      });
    }

    it('keeps one waiting job per key', async () => {
      await add('plain', { n: 1 }, { singletonKey: 'one' });
      await add('plain', { n: 2 }, { singletonKey: 'one' });
      const rows = await asSuperuser(`select data from pgboss.job where singleton_key = 'one'`);
      assert.deepEqual(rows, [{ data: { n: 1 } }]);
    });

    it('wakes the workers of a quick queue after the commit, unless the job is for later', async () => {
      await transact(testScope(), async (scope) => {
        await jobs.enqueue(scope, 'quick', {});
        assert.deepEqual(woken, []);
      });
      assert.deepEqual(woken, ['quick']);
      await add('quick', {}, { startAt: Temporal.Instant.from('2999-01-01T00:00:00Z') });
      await add('plain', {});
      assert.deepEqual(woken, ['quick']);
      await add('quick', {}, { startAt: NOW });
      assert.deepEqual(woken, ['quick', 'quick']);
    });

    it('refuses what is more than an id, and does not repeat it', async () => {
      const refused = [{ to: 'Ada Lovelace' }, { to: '+14155550100' }, { to: 'ada@example.org' }, { to: '1980-01-02' }];
      for (const payload of [...refused, { to: ['a'] }, { to: { name: 'Ada' } }, { to: null }]) {
        await assert.rejects(add('plain', payload), {
          name: 'TypeError',
          message: /^A job's payload holds ids only; to /,
        });
      }
      await add('plain', { id: randomUUID(), kind: 'REMINDER_24H', language: 'es', at: NOW.toString(), revision: 2 });
    });
  });

  describe('enqueueAll', () => {
    it('adds many in one statement, each with its own start, key and priority, and wakes once', async () => {
      const before = woken.length;
      const startAt = NOW.add({ hours: 2 });
      let statements = 0;
      await transact(testScope(), async (scope) => {
        const db = scope.db.withPlugin({
          transformQuery: ({ node }) => node,
          transformResult: async ({ result }) => {
            statements++;
            return result;
          },
        });
        await jobs.enqueueAll({ ...scope, db }, 'quick', [
          { payload: { n: 1 }, startAt, priority: 5 },
          { payload: { n: 2 }, singletonKey: 'twice' },
          { payload: { n: 3 }, singletonKey: 'twice' },
        ]);
        await jobs.enqueueAll({ ...scope, db }, 'quick', []);
      });
      const rows = await asSuperuser<{ n: number; priority: number; start_after: Date }>(
        `select (data->>'n')::int as n, priority, start_after from pgboss.job where name = 'quick' and data ? 'n' order by n`,
      );
      assert.deepEqual(
        rows.map(({ n, priority }) => [n, priority]),
        [
          [1, 5],
          [2, 0],
        ],
      );
      assertSame(rows[0]?.start_after.toTemporalInstant(), startAt);
      assert.equal(statements, 1);
      assert.equal(woken.length, before + 1);
    });
  });

  describe('the consumer', { concurrency: true }, () => {
    it('runs no more at once than it has slots, and refills them', async () => {
      for (let n = 1; n <= 7; n++) await add('busy', { n });
      const done = new Set<unknown>();
      const all = Promise.withResolvers<void>();
      let atOnce = 0;
      let most = 0;
      await using consumer = jobs.run(
        'busy',
        async ({ payload }) => {
          most = Math.max(most, ++atOnce);
          await sleep(20);
          atOnce--;
          if (done.add((payload as unknown as { n: number }).n).size === 7) all.resolve();
          return undefined;
        },
        { slots: 2 },
      );
      await all.promise;
      await consumer[Symbol.asyncDispose]();
      assert.equal(most, 2);
      assert.deepEqual(new Set((await states('busy')).map(({ state }) => state)), new Set(['completed']));
    });

    it('tries again what threw, then lays it with the dead letters, without what the error said', async () => {
      const attempts = new Arrivals<number>();
      await using _ = jobs.run('failing', async ({ attempt }) => {
        attempts.add(attempt);
        throw new RangeError('Ada Lovelace could not be reached');
      });
      await add('failing', { visit: 7 });
      assert.deepEqual([await attempts.next(), await attempts.next()], [1, 2]);
      const dead = await eventually(
        () => asSuperuser(`select data, source_name, source_output from pgboss.job where name = 'dead-letter'`),
        (rows) => rows.length > 0,
      );
      assert.deepEqual(dead, [{ data: { visit: 7 }, source_name: 'failing', source_output: { error: 'RangeError' } }]);
    });

    it('runs a snoozed job again, and not as a failure', async () => {
      const runs = new Arrivals<RunningJob>();
      let first = true;
      await using _ = jobs.run('sleepy', async (job) => {
        runs.add(job);
        if (!first) return undefined;
        first = false;
        return new Snooze(Temporal.Now.instant());
      });
      await add('sleepy', { visit: 8 }, { priority: 3 });
      const [before, again] = [await runs.next(), await runs.next()];
      assert.deepEqual([again.payload, again.attempt], [before.payload, 1]);
      const [row] = await asSuperuser(`select priority from pgboss.job where id = $1`, [again.id]);
      assert.deepEqual(row, { priority: 3 });
    });

    it('never runs a cancelled job again', async () => {
      const ran = Promise.withResolvers<void>();
      const consumer = jobs.run('cancelled', async () => {
        ran.resolve();
        return new Cancel('nothing left to do');
      });
      await add('cancelled', {});
      await ran.promise;
      await consumer[Symbol.asyncDispose]();
      assert.deepEqual(
        (await states('cancelled')).map(({ state }) => state),
        ['cancelled'],
      );
    });

    it('tells a job that takes too long to stop, and tries it again', async () => {
      const runs = new Arrivals<number>();
      const consumer = jobs.run(
        'endless',
        async ({ attempt, signal }) => {
          runs.add(attempt);
          if (attempt === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return undefined;
        },
        { timeoutSeconds: 0.1 },
      );
      await add('endless', {});
      assert.deepEqual([await runs.next(), await runs.next()], [1, 2]);
      await consumer[Symbol.asyncDispose]();
      assert.deepEqual(
        (await states('endless')).map(({ state }) => state),
        ['completed'],
      );
    });

    it('hands back at its end what is not done, and another one does it', async () => {
      const started = Promise.withResolvers<void>();
      const first = jobs.run(
        'stopped',
        async ({ signal }) => {
          started.resolve();
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return undefined;
        },
        { graceSeconds: 0 },
      );
      await add('stopped', { visit: 9 });
      await started.promise;
      await first[Symbol.asyncDispose]();

      const again = new Arrivals<RunningJob>();
      await using _ = jobs.run('stopped', async (job) => again.add(job));
      const { payload, attempt } = await again.next();
      assert.deepEqual([payload, attempt], [{ visit: 9 }, 1]);
    });
  });

  describe('queueCounts', () => {
    it(
      'tells what waits, what is for later, and of what there is none',
      committed(async (scope) => {
        await add('counted', {});
        await add('counted', {}, { startAt: Temporal.Instant.from('2999-01-01T00:00:00Z') });
        const counts = await queueCounts(scope);
        assert.deepEqual(
          counts.filter(({ queue }) => queue === 'counted'),
          [
            { queue: 'counted', state: 'active', jobs: 0 },
            { queue: 'counted', state: 'failed', jobs: 0 },
            { queue: 'counted', state: 'retry', jobs: 0 },
            { queue: 'counted', state: 'scheduled', jobs: 1 },
            { queue: 'counted', state: 'waiting', jobs: 1 },
          ],
        );
      }),
    );
  });
});

async function eventually<T>(look: () => Promise<T>, enough: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (enough(seen)) return seen;
    await sleep(20);
  }
}
