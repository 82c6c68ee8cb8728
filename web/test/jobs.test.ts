import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { transact } from '@careflex/core/platform/scope';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();

/** A job of a queue that the platform has, for later, so that nobody takes it. */
async function scheduledJob(): Promise<string> {
  const [id, verificationId] = [randomUUID(), randomUUID()];
  const startAt = Temporal.Instant.from('2999-01-01T00:00:00Z');
  await transact(api.systemScope(), (scope) =>
    scope.jobs.enqueue(scope, 'verification-code', { verificationId }, { id, startAt }),
  );
  return id;
}

const asAdmin = async <T>(query: string, field: string, variables: object = {}) =>
  dataOf<T>(await api.graphql(query, variables, { as: 'admin' }), field);

describe('jobs, as an admin sees and steers them', () => {
  test('are listed, read with their attempts, cancelled, tried again and discarded', async () => {
    const id = await scheduledJob();
    const list = await asAdmin<{ edges: { node: { id: string; state: string } }[] }>(
      '{ jobs(queue: "verification-code", state: SCHEDULED, first: 1) { edges { node { id state } } pageInfo { hasNextPage } } }',
      'jobs',
    );
    assert.deepEqual(list, { edges: [{ node: { id, state: 'SCHEDULED' } }], pageInfo: { hasNextPage: false } });
    await asSuperuser(
      `insert into job_attempts values ($1, 1, 'verification-code', 'host:7', '2026-03-02T15:00:00Z', now(),
        '2026-03-02T15:00:01Z', 'FAILED', 'RangeError')`,
      [id],
    );
    const READ = `query($id: ID!) { job(id: $id) { queue startsAt payload errorClass sourceQueue
      attempts { number node startedAt endedAt outcome errorClass } } }`;
    const { payload, ...job } = await asAdmin<{ payload: object }>(READ, 'job', { id });
    assert.deepEqual(Object.keys(payload), ['verificationId']);
    assert.deepEqual(job, {
      queue: 'verification-code',
      startsAt: '2999-01-01T00:00:00.000Z',
      errorClass: null,
      sourceQueue: null,
      attempts: [
        {
          number: 1,
          node: 'host:7',
          startedAt: '2026-03-02T15:00:00.000Z',
          endedAt: '2026-03-02T15:00:01.000Z',
          outcome: 'FAILED',
          errorClass: 'RangeError',
        },
      ],
    });
    const change = (mutation: string) =>
      asAdmin(
        `mutation($id: ID!) { it: ${mutation}(id: $id) { ${mutation === 'discardJob' ? '... on Done { id }' : '... on Job { state }'}
          ... on Problem { code } ... on WrongJobState { state } } }`,
        'it',
        { id },
      );
    assert.deepEqual(await change('retryJob'), { code: 'WRONG_JOB_STATE', state: 'SCHEDULED' });
    assert.deepEqual(await change('cancelJob'), { state: 'CANCELLED' });
    assert.deepEqual(await change('retryJob'), { state: 'RETRY' });
    assert.deepEqual(await change('discardJob'), { id });
    assert.deepEqual(await change('discardJob'), { code: 'NOT_FOUND' });
    assert.equal(await asAdmin('query($id: ID!) { job(id: $id) { id } }', 'job', { id }), null);
  });

  test('stand in queues, which are paused and resumed', async () => {
    const QUEUES = `{ queues { name pausedAt atOnce rate { starts seconds } jobs { waiting scheduled retry active failed }
      startedPerMinute completedPerMinute failedPerMinute medianSeconds p99Seconds oldestWaitingSeconds } }`;
    const queues = await asAdmin<{ name: string; pausedAt: string | null }[]>(QUEUES, 'queues');
    assert.ok(
      ['dead-letter', 'housekeeping', 'verification-code'].every((name) => queues.some((q) => q.name === name)),
    );
    const hold = (mutation: string, name = 'housekeeping', key: string | null = null) =>
      asAdmin<{ pausedAt?: string | null }>(
        `mutation($name: String!, $key: String) { it: ${mutation}(name: $name, idempotencyKey: $key) {
          ... on JobQueue { pausedAt } ... on Problem { code } } }`,
        'it',
        { name, key },
      );
    assert.notEqual((await hold('pauseQueue')).pausedAt, null);
    assert.deepEqual(await hold('resumeQueue', 'housekeeping', 'k'), { pausedAt: null });
    assert.deepEqual(await hold('resumeQueue', 'dead-letter', 'k'), { code: 'IDEMPOTENCY_MISMATCH' });
    assert.deepEqual(await hold('pauseQueue', 'no such'), { code: 'NOT_FOUND' });
  });

  test('come from schedules, which can be run now, once per key', async () => {
    const schedules = await asAdmin<{ name: string; nextTimes: string[] }[]>(
      '{ schedules { name queue cron timeZone payload nextTimes lastDueAt lastFiredAt lastJobId } }',
      'schedules',
    );
    const nightly = schedules.find(({ name }) => name === 'housekeeping');
    assert.equal(nightly?.nextTimes.length, 5);
    assert.deepEqual(nightly.nextTimes, nightly.nextTimes.toSorted());
    const RUN = `mutation($key: String) { runScheduleNow(name: "housekeeping", idempotencyKey: $key) {
      ... on Job { id queue state } ... on Problem { code } } }`;
    const key = randomUUID();
    const job = await asAdmin<{ id: string; queue: string }>(RUN, 'runScheduleNow', { key });
    assert.equal(job.queue, 'housekeeping');
    assert.deepEqual(await asAdmin(RUN, 'runScheduleNow', { key }), job);
  });

  test('are brought back from the dead letters, as many as fit', async () => {
    await asSuperuser(
      `insert into pgboss.job (name, data, source_name, source_id, source_root_id, source_output)
       select 'dead-letter', '{}', 'housekeeping', id, id, jsonb_build_object('error', error)
       from unnest(array['RangeError', 'RangeError', 'TypeError'])
         with ordinality as died (error, n), lateral (select gen_random_uuid() as id, n) as of`,
    );
    const redrive = (input: object) =>
      asAdmin(
        `mutation($input: RedriveDeadLettersInput) { redriveDeadLetters(input: $input) {
          ... on RedrivenDeadLetters { count } ... on Problem { code } ... on InvalidInput { issues { path } } } }`,
        'redriveDeadLetters',
        { input },
      );
    const fitting = { sourceQueue: 'housekeeping', errorClass: 'RangeError' };
    assert.deepEqual(await redrive({ ...fitting, sourceQueue: 'verification-code' }), { count: 0 });
    assert.deepEqual(await redrive({ ...fitting, limit: 1 }), { count: 1 });
    assert.deepEqual(await redrive(fitting), { count: 1 });
    assert.deepEqual(await redrive({}), { count: 1 });
    assert.deepEqual(await redrive({ limit: 5_000 }), { code: 'INVALID_INPUT', issues: [{ path: ['limit'] }] });
  });

  test('are measured for each queue', async () => {
    const id = await scheduledJob();
    await asSuperuser(
      `insert into job_attempts
       values ($1, 1, 'verification-code', 'host:7', now() - interval '3 seconds', now(), now(), 'FAILED', 'RangeError')`,
      [id],
    );
    await asSuperuser(`update pgboss.job set start_after = now() - interval '90 seconds' where id = $1`, [id]);
    const text = await (await api.fetch('/metrics')).text();
    const value = (metric: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(metric))
          ?.split(' ')[1],
      );
    const queue = 'queue="verification-code"';
    assert.equal(value(`careflex_job_attempts{${queue},what="started"}`), 1);
    assert.equal(value(`careflex_job_attempts{${queue},what="completed"}`), 0);
    assert.equal(value(`careflex_job_attempts{${queue},what="failed"}`), 1);
    assert.equal(value(`careflex_job_duration_seconds{${queue},quantile="0.5"}`), 3);
    assert.equal(value(`careflex_job_duration_seconds{${queue},quantile="0.99"}`), 3);
    assert.ok(value(`careflex_job_oldest_waiting_seconds{${queue}}`) >= 90);
    assert.equal(value('careflex_job_oldest_waiting_seconds{queue="dead-letter"}'), 0);
  });
});
