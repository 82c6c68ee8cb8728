import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as operations from '#operations';
import { IdempotencyMismatch, InvalidInput } from '#platform/errors';
import type { Jobs } from '#platform/jobs';
import { type Actor, type Role, type Scope, SYSTEM, transact } from '#platform/scope';
import { pruneAttempts } from '../src/platform/job-steering.ts';
import { declareQueues } from '../src/platform/job-queues.ts';
import type { Schedule } from '../src/platform/job-schedules.ts';
import { Arrivals, openTestJobs, quiet, RULES, type TestJobs } from './support/jobs.ts';
import { assertSame } from './support/same.ts';
import { actor, as, asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

const LIMITS = { atOnce: 3, rate: { starts: 10, seconds: 60 } };
const SCHEDULE = { name: 'mornings', queue: 'scheduled', payload: { kind: 'MORNING' }, cron: '0 8 * * 1-5' };
const FOREVER = () => new Promise<undefined>(() => undefined);

let jobs: TestJobs;
const announced: string[] = [];
const admin: Actor = actor('admin');

const scope = (who: Actor = admin): Scope =>
  testScope({ actor: who, jobs: jobs as unknown as Jobs, announce: (_channel, queue) => announced.push(queue) });

async function add(queue: string, more: object = {}): Promise<string> {
  const id = randomUUID();
  await transact(scope(), (scope) => jobs.enqueue(scope, queue, { id }, { id, ...more }));
  return id;
}

/** A job that has failed for good, and so has a dead letter. */
async function failed(queue: string, error: Error = new RangeError('Ada Lovelace')): Promise<string> {
  const id = await add(queue);
  await asSuperuser('update pgboss.job set retry_limit = 0 where id = $1', [id]);
  await using _ = jobs.run(queue, () => Promise.reject(error));
  await until(async () => (await state(id)) === 'FAILED');
  return id;
}

const find = async (id: string) => operations.findJob(scope(), id);
const state = async (id: string) => (await find(id))?.state;
const letters = (id: string) => asSuperuser<{ id: string }>('select id from pgboss.job where source_id = $1', [id]);

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

async function queue(name: string): Promise<operations.QueueState> {
  const found = (await operations.queues(scope())).find((queue) => queue.name === name);
  assert.ok(found);
  return found;
}

/** What the admin left in the trail since. */
async function trail(work: () => Promise<unknown>): Promise<object[]> {
  const [last] = await asSuperuser<{ id: string }>('select id from audit_entries order by id desc limit 1');
  await work();
  return asSuperuser(
    `select action, resource_type, resource_id, outcome from audit_entries
     where user_id = $1 and ($2::uuid is null or id > $2) order by id`,
    [admin.id, last?.id ?? null],
  );
}

const entry = (action: string, resource_type: string, resource_id: string | null = null) => ({
  action,
  resource_type,
  resource_id,
  outcome: 'SUCCESS',
});

describe('operations', () => {
  before(async () => {
    await databaseReady;
    const names = [
      'fitting',
      'unfitting',
      'raced',
      'plain',
      'letters',
      'other',
      'gone',
      'repeated',
      'held',
      'scheduled',
      'running',
      'counted',
      'listed',
    ];
    const queues = Object.fromEntries(names.map((name) => [name, RULES]));
    const schedules = [{ ...SCHEDULE, timeZone: 'America/New_York' } as unknown as Schedule];
    await declareQueues(urls.admin, { queues: { ...queues, limited: { ...RULES, ...LIMITS } }, schedules }, quiet);
    jobs = openTestJobs(urls.login);
    await jobs.boss.start();
  });
  after(() => jobs[Symbol.asyncDispose]());

  describe('queues', () => {
    it('tells what waits, what was done, and what is allowed', async () => {
      await failed('counted');
      const done = await add('counted');
      {
        await using _ = jobs.run('counted', async () => undefined);
        await until(async () => (await state(done)) === 'COMPLETED');
      }
      await add('counted');
      await add('counted', { startAt: Temporal.Instant.from('2999-01-01T00:00:00Z') });
      const { name, jobs: counts, activity, ...more } = await queue('counted');
      assert.deepEqual(counts, { waiting: 1, scheduled: 1, retry: 0, active: 0, failed: 1 });
      assert.deepEqual([activity.started, activity.completed, activity.failed], [2, 1, 1]);
      assert.ok(activity.medianSeconds !== null && activity.medianSeconds <= (activity.p99Seconds ?? 0));
      assert.ok(activity.oldestWaitingSeconds !== null && activity.oldestWaitingSeconds >= 0);
      assert.deepEqual({ name, ...more }, { name: 'counted', pausedAt: null, atOnce: null, rate: null });
      const { atOnce, rate } = await queue('limited');
      assert.deepEqual({ atOnce, rate }, LIMITS);
      assert.equal((await queue('limited')).activity.oldestWaitingSeconds, null);
      assert.ok((await queue('dead-letter')).jobs.waiting > 0);
    });
  });

  describe('jobs', () => {
    it('finds them by queue, state and age, the newest first, page by page', async () => {
      const ids = [];
      for (let n = 0; n < 5; n++) ids.unshift(await add('listed', n === 2 ? { startAt: SOON } : {}));
      const pages: string[] = [];
      let after: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof operations.jobs>> = await operations.jobs(scope(), {
          queue: 'listed',
          first: 2,
          after,
        });
        pages.push(...page.items.map(({ node }) => node.id));
        after = page.hasNextPage ? (page.items.at(-1)?.cursor ?? null) : null;
      } while (after !== null);
      assert.deepEqual(pages, ids);
      const idsOf = async (filter: operations.JobFilter) =>
        (await operations.jobs(scope(), { queue: 'listed', ...filter })).items.map(({ node }) => node.id);
      assert.deepEqual(await idsOf({ state: 'SCHEDULED' }), [ids[2]]);
      assert.deepEqual((await idsOf({ state: 'WAITING' })).length, 4);
      await asSuperuser(`update pgboss.job set created_on = '2026-01-01T00:00:00Z' where id = $1`, [ids[4]]);
      const newYear = Temporal.Instant.from('2026-01-01T00:00:00Z');
      assert.deepEqual(await idsOf({ createdTo: newYear }), []);
      assert.deepEqual(await idsOf({ createdTo: newYear.add({ seconds: 1 }) }), [ids[4]]);
      assert.deepEqual(await idsOf({ createdFrom: newYear.add({ seconds: 1 }) }), ids.slice(0, 4));
      const everywhere = await operations.jobs(scope(), { first: 100 });
      assert.ok(ids.every((id) => everywhere.items.some(({ node }) => node.id === id)));
      await assert.rejects(operations.jobs(scope(), { after: 'x' }), InvalidInput);
    });
  });

  describe('findJob', () => {
    it('tells every attempt, with its process, its end and the class of its error', async () => {
      const id = await add('plain', { priority: 2 });
      await using _ = jobs.run('plain', async ({ attempt }) => {
        if (attempt === 1) throw new RangeError('Ada Lovelace could not be reached');
        return undefined;
      });
      await until(async () => (await state(id)) === 'COMPLETED');
      const job = await find(id);
      assert.ok(job);
      const { attempts, queue, payload, priority } = job;
      assert.deepEqual({ queue, payload, priority }, { queue: 'plain', payload: { id }, priority: 2 });
      const node = `test:${process.pid}`;
      assert.deepEqual(
        attempts.map(({ number, node, outcome, errorClass }) => ({ number, node, outcome, errorClass })),
        [
          { number: 1, node, outcome: 'FAILED', errorClass: 'RangeError' },
          { number: 2, node, outcome: 'DONE', errorClass: null },
        ],
      );
      assert.ok(
        attempts.every(({ startedAt, endedAt }) => endedAt && Temporal.Instant.compare(startedAt, endedAt) <= 0),
      );
      assert.deepEqual([await find(randomUUID()), await find('no id')], [null, null]);
    });
  });

  describe('retryJob', () => {
    it('tries what failed for good once more, and takes back its dead letter', async () => {
      const id = await failed('letters');
      assert.equal((await letters(id)).length, 1);
      assert.equal((await operations.retryJob(scope(), id)).state, 'RETRY');
      assert.deepEqual(announced.splice(0), ['letters']);
      assert.deepEqual(await letters(id), []);
      await using _ = jobs.run('letters', async () => undefined);
      await until(async () => (await state(id)) === 'COMPLETED');
      assert.deepEqual(
        (await find(id))?.attempts.map(({ outcome }) => outcome),
        ['FAILED', 'DONE'],
      );
    });

    it('takes a dead letter for the job that it was', async () => {
      const id = await failed('letters');
      const [letter] = await letters(id);
      const { sourceJobId, sourceQueue, errorClass } = (await find(letter?.id ?? '')) ?? {};
      assert.deepEqual([sourceJobId, sourceQueue, errorClass], [id, 'letters', 'RangeError']);
      assert.equal((await operations.retryJob(scope(), letter?.id ?? '')).id, id);
      assert.equal(await find(letter?.id ?? ''), null);
    });

    it('brings back what was cancelled, and refuses what waits or is done', async () => {
      const id = await add('other');
      await assert.rejects(operations.retryJob(scope(), id), { code: 'WRONG_JOB_STATE', state: 'WAITING' });
      await operations.cancelJob(scope(), id);
      assert.equal((await operations.retryJob(scope(), id)).state, 'RETRY');
      await using _ = jobs.run('other', async () => undefined);
      await until(async () => (await state(id)) === 'COMPLETED');
      await assert.rejects(operations.retryJob(scope(), id), { code: 'WRONG_JOB_STATE', state: 'COMPLETED' });
      await assert.rejects(operations.retryJob(scope(), randomUUID()), { code: 'NOT_FOUND' });
    });

    it('does it once per key', async () => {
      const id = await failed('other');
      const keyed = { idempotencyKey: randomUUID() };
      await operations.retryJob(scope(), id, keyed);
      {
        await using _ = jobs.run('other', async () => undefined);
        await until(async () => (await state(id)) === 'COMPLETED');
      }
      assert.equal((await operations.retryJob(scope(), id, keyed)).state, 'COMPLETED');
      await assert.rejects(operations.retryJob(scope(), randomUUID(), keyed), { code: 'IDEMPOTENCY_MISMATCH' });
    });
  });

  describe('cancelJob', () => {
    it('keeps a job from being started, and says so twice', async () => {
      const id = await add('other');
      assert.equal((await operations.cancelJob(scope(), id)).state, 'CANCELLED');
      assert.equal((await operations.cancelJob(scope(), id)).state, 'CANCELLED');
    });

    it('tells a job that runs to stop, and keeps its attempt on record', async () => {
      const id = await add('running');
      const started = Promise.withResolvers<AbortSignal>();
      await using _ = jobs.run('running', ({ signal }) => {
        started.resolve(signal);
        return FOREVER();
      });
      const signal = await started.promise;
      await operations.cancelJob(scope(), id);
      await until(async () => signal.aborted);
      await until(async () => (await find(id))?.attempts[0]?.outcome === 'CANCELLED');
      assert.equal(await state(id), 'CANCELLED');
    });
  });

  describe('discardJob', () => {
    it('removes the job and its dead letter, and in time its attempts', async () => {
      const id = await failed('letters');
      await operations.discardJob(scope(), id);
      assert.deepEqual([await find(id), await letters(id)], [null, []]);
      const kept = await failed('letters');
      await asSuperuser(`update job_attempts set ended_at = now() - interval '61 minutes'`);
      assert.ok((await transact(scope(SYSTEM), pruneAttempts)) > 0);
      const attempts = await asSuperuser('select job_id from job_attempts where job_id = any ($1)', [[id, kept]]);
      assert.deepEqual(attempts, [{ job_id: kept }]);
      await operations.discardJob(scope(), kept);
    });

    it('refuses a job that runs', async () => {
      const id = await add('running');
      const started = Promise.withResolvers<void>();
      await using _ = jobs.run('running', ({ signal }) => {
        started.resolve();
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
      });
      await started.promise;
      await assert.rejects(operations.discardJob(scope(), id), { code: 'WRONG_JOB_STATE', state: 'ACTIVE' });
      await operations.cancelJob(scope(), id);
    });
  });

  describe('redriveDeadLetters', () => {
    it('takes those that fit, by queue, error and age, and leaves the others', async () => {
      const [range, type, foreign] = [
        await failed('fitting'),
        await failed('fitting', new TypeError('x')),
        await failed('unfitting'),
      ];
      const states = async () => [await state(range), await state(type), await state(foreign)];
      const redrive = (input: operations.Redrive) => operations.redriveDeadLetters(scope(), input);
      const past = Temporal.Instant.from('2026-01-01T00:00:00Z');
      assert.equal(await redrive({ diedTo: past }), 0);
      assert.equal(await redrive({ sourceQueue: 'fitting', errorClass: 'TypeError', diedFrom: past }), 1);
      assert.deepEqual(await states(), ['FAILED', 'RETRY', 'FAILED']);
      assert.equal(await redrive({ sourceQueue: 'fitting' }), 1);
      assert.deepEqual(await states(), ['RETRY', 'RETRY', 'FAILED']);
      await failed('unfitting');
      assert.equal(await redrive({ sourceQueue: 'unfitting', limit: 1 }), 1);
      assert.deepEqual(await states(), ['RETRY', 'RETRY', 'RETRY']);
      await assert.rejects(redrive({ limit: 0 }), InvalidInput);
    });

    it('adds anew what is no more, under its id', async () => {
      const id = await failed('gone');
      await asSuperuser(`delete from pgboss.job where name = 'gone'`);
      assert.equal(await operations.redriveDeadLetters(scope(), { sourceQueue: 'gone' }), 1);
      const ran = new Arrivals<object>();
      await using _ = jobs.run('gone', async ({ payload }) => ran.add(payload));
      assert.deepEqual(await ran.next(), { id });
      assert.deepEqual(await letters(id), []);
    });

    it('takes each once, of several who take at once', async () => {
      for (let n = 0; n < 6; n++) await failed('raced');
      const counts = await Promise.all(
        [1, 2, 3].map(() => operations.redriveDeadLetters(scope(), { sourceQueue: 'raced' })),
      );
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        6,
      );
    });
  });

  describe('pauseQueue', () => {
    it('lets nothing more start, until it is resumed', async () => {
      const paused = await operations.pauseQueue(scope(), 'held');
      assertSame((await operations.pauseQueue(scope(), 'held')).pausedAt, paused.pausedAt);
      const ran = new Arrivals<object>();
      await using consumer = jobs.run('held', async ({ payload }) => ran.add(payload));
      const id = await add('held');
      consumer.wake('held');
      await sleep(1_500);
      assert.deepEqual([ran.size, await state(id)], [0, 'WAITING']);
      announced.length = 0;
      assert.equal((await operations.resumeQueue(scope(), 'held')).pausedAt, null);
      assert.deepEqual(announced, ['held']);
      assert.deepEqual(await ran.next(), { id });
      await assert.rejects(operations.pauseQueue(scope(), 'no such'), { code: 'NOT_FOUND' });
    });
  });

  describe('with an idempotency key', () => {
    it('pauseQueue and resumeQueue do it once, and show the queue as it is by now', async () => {
      const [pause, resume] = [{ idempotencyKey: randomUUID() }, { idempotencyKey: randomUUID() }];
      await operations.pauseQueue(scope(), 'held', pause);
      await operations.resumeQueue(scope(), 'held', resume);
      assert.equal((await operations.pauseQueue(scope(), 'held', pause)).pausedAt, null);
      await operations.pauseQueue(scope(), 'held');
      assert.notEqual((await operations.resumeQueue(scope(), 'held', resume)).pausedAt, null);
      await operations.resumeQueue(scope(), 'held');
      await assert.rejects(operations.pauseQueue(scope(), 'other', pause), IdempotencyMismatch);
      assert.equal((await queue('other')).pausedAt, null);
    });

    it('redriveDeadLetters takes no more, and answers with the first count', async () => {
      const input = { sourceQueue: 'repeated', idempotencyKey: randomUUID() };
      for (let n = 0; n < 2; n++) await failed('repeated');
      assert.equal(await operations.redriveDeadLetters(scope(), input), 2);
      const later = await failed('repeated');
      assert.equal(await operations.redriveDeadLetters(scope(), input), 2);
      assert.equal(await state(later), 'FAILED');
      await assert.rejects(operations.redriveDeadLetters(scope(), { ...input, limit: 1 }), IdempotencyMismatch);
    });
  });

  describe('schedules', () => {
    it('tells the next times, and runs one now', async () => {
      const [schedule, ...others] = await operations.schedules(scope());
      assert.deepEqual(others, []);
      const { name, queue, payload, cron, nextTimes = [] } = schedule ?? {};
      assert.deepEqual({ name, queue, payload, cron }, SCHEDULE);
      assert.equal(nextTimes.length, 5);
      for (const time of nextTimes) {
        const local = time.toZonedDateTimeISO('America/New_York');
        assert.deepEqual([local.toPlainTime().toString(), local.dayOfWeek <= 5], ['08:00:00', true]);
      }
      const job = await operations.runScheduleNow(scope(), 'mornings');
      assert.deepEqual([job.queue, job.payload, job.state], ['scheduled', SCHEDULE.payload, 'WAITING']);
      assert.equal((await operations.runScheduleNow(scope(), 'mornings')).id, job.id);
      assertSame((await operations.schedules(scope()))[0]?.nextAt, schedule?.nextAt);
      await assert.rejects(operations.runScheduleNow(scope(), 'evenings'), { code: 'NOT_FOUND' });
    });
  });

  describe('everything', () => {
    it('is on record with who did it', async () => {
      const [id, other] = [await failed('other'), await add('other')];
      const entries = await trail(async () => {
        await operations.queues(scope());
        await operations.jobs(scope());
        await operations.findJob(scope(), id);
        await operations.retryJob(scope(), id);
        await operations.cancelJob(scope(), id);
        await operations.discardJob(scope(), other);
        await operations.redriveDeadLetters(scope());
        await operations.pauseQueue(scope(), 'other');
        await operations.resumeQueue(scope(), 'other');
        await operations.schedules(scope());
        await operations.runScheduleNow(scope(), 'mornings');
      });
      assert.deepEqual(entries, [
        entry('queue.list', 'JobQueue'),
        entry('job.list', 'Job'),
        entry('job.read', 'Job', id),
        entry('job.retry', 'Job', id),
        entry('job.cancel', 'Job', id),
        entry('job.discard', 'Job', other),
        entry('job.redrive', 'Job'),
        entry('queue.pause', 'JobQueue', 'other'),
        entry('queue.resume', 'JobQueue', 'other'),
        entry('schedule.list', 'JobSchedule'),
        entry('schedule.run', 'JobSchedule', 'mornings'),
      ]);
    });

    for (const role of ['agent', 'patient', 'auditor', 'system'] satisfies Role[]) {
      it(`is refused to the ${role}, on record, and changes nothing`, async () => {
        const id = await add('other');
        const who = as(scope(), role);
        const attempts = [
          () => operations.queues(who),
          () => operations.jobs(who),
          () => operations.findJob(who, id),
          () => operations.retryJob(who, id),
          () => operations.cancelJob(who, id),
          () => operations.discardJob(who, id),
          () => operations.redriveDeadLetters(who),
          () => operations.pauseQueue(who, 'other'),
          () => operations.resumeQueue(who, 'other'),
          () => operations.schedules(who),
          () => operations.runScheduleNow(who, 'mornings'),
        ];
        for (const attempt of attempts) await assert.rejects(attempt, { code: 'FORBIDDEN' });
        const [row] = await asSuperuser<{ denied: number }>(
          `select count(*)::int as denied from audit_entries where user_id = $1 and outcome = 'DENIED'`,
          [who.actor.id],
        );
        assert.deepEqual([row?.denied, await state(id)], [attempts.length, 'WAITING']);
      });
    }

    it('is refused to a key that does not cover it', async () => {
      const key = scope({ ...admin, scopes: ['job.read', 'queue'] });
      await operations.queues(key);
      await operations.findJob(key, randomUUID());
      await assert.rejects(operations.retryJob(key, randomUUID()), { code: 'FORBIDDEN' });
    });
  });
});

const SOON = Temporal.Instant.from('2999-01-01T00:00:00Z');
