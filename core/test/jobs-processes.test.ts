import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { declareQueues } from '../src/platform/job-queues.ts';
import { transact } from '../src/platform/scope.ts';
import { Arrivals, openTestJobs, quiet, RULES, type TestJobs } from './support/jobs.ts';
import { asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

async function states(queue: string): Promise<string[]> {
  const rows = await asSuperuser<{ state: string }>('select state from pgboss.job where name = $1', [queue]);
  return rows.map(({ state }) => state);
}

/** How many attempts were taken for lost, and how many of them within ten seconds of a sign of life. */
async function losses(queue: string): Promise<{ lost: number; early: number }> {
  const [row] = await asSuperuser<{ lost: number; early: number }>(
    `select count(*)::int as lost, (count(*) filter (where ended_at < alive_at + interval '10 seconds'))::int as early
     from job_attempts where queue = $1 and outcome = 'LOST'`,
    [queue],
  );
  return row ?? { lost: 0, early: 0 };
}

describe('jobs over several processes', { concurrency: true }, () => {
  let jobs: TestJobs;
  before(async () => {
    await databaseReady;
    await declareQueues(urls.admin, { queues: { killed: RULES, kept: RULES }, schedules: [] }, quiet);
    jobs = openTestJobs(urls.login);
    await jobs.boss.start();
  });
  after(() => jobs[Symbol.asyncDispose]());

  it('run a job again elsewhere when its process is killed, lose none, and leave alone what is running', async () => {
    // This one runs for longer than any of those that are lost.
    const finish = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let runs = 0;
    await using _ = jobs.run('kept', async () => {
      runs++;
      begun.resolve();
      await finish.promise;
      return undefined;
    });
    await transact(testScope(), (scope) => jobs.enqueue(scope, 'kept', {}));
    await begun.promise;

    const script = fileURLToPath(new URL('support/hanging-worker.ts', import.meta.url));
    const child = spawn(process.execPath, [script, urls.login, 'killed'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const payloads = [{ n: 1 }, { n: 2 }, { n: 3 }];
    for (const payload of payloads) await transact(testScope(), (scope) => jobs.enqueue(scope, 'killed', payload));
    let started = '';
    while (started.split('\n').length <= payloads.length) started += String(await once(child.stdout, 'data'));
    child.kill('SIGKILL');
    await once(child, 'exit');

    const done = new Arrivals<{ payload: object; attempt: number }>();
    await using __ = jobs.run('killed', async ({ payload, attempt }) => done.add({ payload, attempt }));
    const again = [await done.next(), await done.next(), await done.next()];
    const n = ({ payload }: { payload: object }) => (payload as { n: number }).n;
    assert.deepEqual(
      again.toSorted((a, b) => n(a) - n(b)),
      payloads.map((payload) => ({ payload, attempt: 2 })),
    );
    finish.resolve();
    await _[Symbol.asyncDispose]();
    // On a machine that starves this process for as long as a lease lasts, it has rightly lost the job to itself.
    const { lost, early } = await losses('kept');
    assert.deepEqual([early, runs, await states('kept')], [0, 1 + lost, ['completed']]);
    assert.equal((await losses('killed')).early, 0);
  });
});
