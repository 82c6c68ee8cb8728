import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pauseQueue, resumeQueue } from '../src/platform/job-steering.ts';
import { declareQueues } from '../src/platform/job-queues.ts';
import { type Scope, SYSTEM, transact } from '../src/platform/scope.ts';
import { openTestJobs, quiet, RULES, type TestJobs } from './support/jobs.ts';
import { asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

const QUEUES = {
  capped: { ...RULES, atOnce: 3 },
  rated: { ...RULES, rate: { starts: 5, seconds: 1 } },
  freed: { ...RULES, atOnce: 1 },
  held: RULES,
  doomed: { ...RULES, retries: 0 },
};

let jobs: TestJobs;
const system = (): Scope => testScope({ actor: SYSTEM });

async function add(queue: string, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, n) => ({ payload: { n } }));
  await transact(system(), (scope) => jobs.enqueueAll(scope, queue, all));
}

async function processes(count: number, ...of: string[]): Promise<AsyncDisposable & { children: ChildProcess[] }> {
  const script = fileURLToPath(new URL('support/limited-worker.ts', import.meta.url));
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [script, urls.login, ...of], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
  return {
    children,
    async [Symbol.asyncDispose]() {
      const living = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      const ends = living.map((child) => once(child, 'exit'));
      for (const child of living) child.kill('SIGKILL');
      await Promise.all(ends);
    },
  };
}

async function completed(queue: string): Promise<number> {
  const [row] = await asSuperuser<{ n: number }>(
    `select count(*)::int as n from pgboss.job where name = $1 and state = 'completed'`,
    [queue],
  );
  return row?.n ?? 0;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe('over several processes', () => {
  before(async () => {
    await databaseReady;
    await declareQueues(urls.admin, { queues: QUEUES, schedules: [] }, quiet);
    await asSuperuser(`
      create table running (queue text primary key, now int not null default 0, most int not null default 0);
      grant select, update on running to careflex_system;
      insert into running (queue) values ('capped'), ('rated'), ('held')`);
    jobs = openTestJobs(urls.login);
    await jobs.boss.start();
  });
  after(() => jobs[Symbol.asyncDispose]());

  it('a queue runs as many jobs at once as it may, and never more', async () => {
    await add('capped', 40);
    await using _ = await processes(3, 'capped');
    await until(async () => (await completed('capped')) === 40);
    const [row] = await asSuperuser<{ most: number }>(`select most from running where queue = 'capped'`);
    assert.equal(row?.most, 3);
  });

  it('a queue starts no more jobs than it may in any span of time', async () => {
    await add('rated', 18);
    await using _ = await processes(3, 'rated');
    await until(async () => (await completed('rated')) === 18);
    const [row] = await asSuperuser<{ most: number; starts: number }>(`
      select max(within)::int as most, count(*)::int as starts from (
        select count(*) over (order by started_at range between interval '1 second' preceding and current row) as within
        from job_attempts where queue = 'rated') windows`);
    assert.deepEqual(row, { most: 5, starts: 18 });
  });

  it('the permit of a killed process comes back, and its attempt ends as lost', async () => {
    await add('freed', 1);
    const hung = await processes(1, 'freed', 'hang');
    const attempts = () =>
      asSuperuser<{ node: string; outcome: string | null }>(
        `select attempt, node, outcome from job_attempts where queue = 'freed' order by attempt`,
      );
    await until(async () => (await attempts()).length === 1);
    await using _ = jobs.run('freed', async () => undefined, { atOnce: 1 });
    await hung[Symbol.asyncDispose]();
    await until(async () => (await completed('freed')) === 1);
    const [first, second, ...others] = await attempts();
    assert.deepEqual([first?.outcome, second?.outcome, others], ['LOST', 'DONE', []]);
    assert.deepEqual([first?.node === second?.node, second?.node], [false, `test:${process.pid}`]);
  });

  it('a job whose last attempt is lost with its process lies with the dead letters', async () => {
    await add('doomed', 1);
    const hung = await processes(1, 'doomed', 'hang');
    await until(async () => (await asSuperuser(`select from job_attempts where queue = 'doomed'`)).length === 1);
    await using _ = jobs.run('doomed', async () => undefined);
    await hung[Symbol.asyncDispose]();
    const letters = () =>
      asSuperuser(`select source_output from pgboss.job where name = 'dead-letter' and source_name = 'doomed'`);
    await until(async () => (await letters()).length > 0);
    assert.deepEqual(await letters(), [{ source_output: { error: 'WorkerLost' } }]);
    const attempts = await asSuperuser(`select outcome from job_attempts where queue = 'doomed'`);
    assert.deepEqual(attempts, [{ outcome: 'LOST' }]);
  });

  it('nobody starts a job of a paused queue, and what runs ends', async () => {
    await add('held', 300);
    await using _ = await processes(2, 'held');
    await until(async () => (await completed('held')) > 20);
    await transact(system(), (scope) => pauseQueue(scope, 'held'));
    const [moment] = await asSuperuser<{ at: string }>('select clock_timestamp()::text as at');
    const open = () => asSuperuser(`select from job_attempts where queue = 'held' and ended_at is null`);
    await until(async () => (await open()).length === 0);
    // Longer than a poll.
    await sleep(1_500);
    const late = await asSuperuser(`select from job_attempts where queue = 'held' and started_at > $1::timestamptz`, [
      moment?.at,
    ]);
    assert.deepEqual(late, []);
    assert.ok((await completed('held')) < 300);
    await transact(system(), (scope) => resumeQueue(scope, 'held'));
    await until(async () => (await completed('held')) === 300);
  });
});
