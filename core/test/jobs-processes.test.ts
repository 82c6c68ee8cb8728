import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openPool } from '../src/platform/database.ts';
import { declareQueues, type Schedule } from '../src/platform/job-queues.ts';
import { openBoss, type Queue } from '../src/platform/jobs.ts';
import { transact } from '../src/platform/scope.ts';
import { Arrivals, openTestJobs, quiet, RULES, type TestJobs } from './support/jobs.ts';
import { asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

const AN_HOUR_AND_A_HALF_AGO = Temporal.Now.zonedDateTimeISO('Asia/Kolkata').subtract({ minutes: 90 });
const SCHEDULES: Schedule[] = [
  { queue: 'due' as Queue, payload: {}, cron: '* * * * *', timeZone: 'UTC' },
  {
    queue: 'missed' as Queue,
    payload: {},
    cron: `${AN_HOUR_AND_A_HALF_AGO.minute} ${AN_HOUR_AND_A_HALF_AGO.hour} * * *`,
    timeZone: 'Asia/Kolkata',
  },
];

async function states(queue: string): Promise<string[]> {
  const rows = await asSuperuser<{ state: string }>('select state from pgboss.job where name = $1', [queue]);
  return rows.map(({ state }) => state);
}

/** What every worker process has: it gives lost jobs out again, and fires schedules. */
async function maintainer(): Promise<AsyncDisposable> {
  const pool = openPool(urls.login, { max: 2, role: 'careflex_system' });
  const boss = openBoss({ pool, log: quiet, maintain: true });
  await boss.start();
  return {
    async [Symbol.asyncDispose]() {
      await boss.stop({ graceful: false });
      await pool.end();
    },
  };
}

describe('jobs over several processes', { concurrency: true }, () => {
  let jobs: TestJobs;
  before(async () => {
    await databaseReady;
    const queues = { killed: RULES, kept: RULES, due: RULES, missed: RULES };
    await declareQueues(urls.admin, { queues, schedules: SCHEDULES }, quiet);
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

    await using __ = await maintainer();
    const done = new Arrivals<{ payload: object; attempt: number }>();
    await using ___ = jobs.run('killed', async ({ payload, attempt }) => done.add({ payload, attempt }));
    const again = [await done.next(), await done.next(), await done.next()];
    const n = ({ payload }: { payload: object }) => (payload as { n: number }).n;
    assert.deepEqual(
      again.toSorted((a, b) => n(a) - n(b)),
      payloads.map((payload) => ({ payload, attempt: 2 })),
    );
    assert.deepEqual(await states('kept'), ['active']);
    finish.resolve();
    await _[Symbol.asyncDispose]();
    assert.deepEqual([runs, await states('kept')], [1, ['completed']]);
  });

  it('fire a schedule once for a due time, and catch up once with what an outage has missed', async () => {
    // Nobody has looked for three hours; the schedules are older than that.
    await asSuperuser(`update pgboss.version set cron_on = now() - interval '3 hours'`);
    await asSuperuser(`update pgboss.schedule set created_on = now() - interval '1 day'`);
    const ran = { due: 0, missed: 0 };
    const counting = (queue: keyof typeof ran) =>
      jobs.run(queue, async () => {
        ran[queue]++;
        return undefined;
      });
    await using _ = counting('due');
    await using __ = counting('missed');
    await using ___ = await maintainer();
    await using ____ = await maintainer();
    while (ran.missed === 0 || ran.due === 0) await sleep(50);

    // Both look again and again, in the same minutes.
    for (let looks = 0; looks < 3; looks++) {
      await asSuperuser(`update pgboss.version set cron_on = now() - interval '10 seconds'`);
      await sleep(2_000);
    }
    const [due] = await asSuperuser<{ times: number }>(
      `select count(*)::int as times from pgboss.job where name = '__pgboss__send-it' and data->>'name' = 'due'`,
    );
    assert.equal(ran.missed, 1);
    assert.ok(ran.due > 0 && ran.due <= (due?.times ?? 0));
  });
});
