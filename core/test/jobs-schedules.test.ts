import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { declareQueues } from '../src/platform/job-queues.ts';
import { dueTimes, findSchedules, fireSchedules, type Schedule } from '../src/platform/job-schedules.ts';
import type { Jobs, Queue } from '../src/platform/jobs.ts';
import { type Scope, SYSTEM, transact } from '../src/platform/scope.ts';
import { openTestJobs, quiet, RULES, type TestJobs } from './support/jobs.ts';
import { assertSame } from './support/same.ts';
import { asSuperuser, databaseReady, testScope, urls } from './support/testing.ts';

const NEW_YORK = 'America/New_York';

const schedule = (name: string, cron: string, timeZone = NEW_YORK): Schedule => ({
  name,
  queue: 'nightly' as Queue,
  payload: {},
  cron,
  timeZone,
});

async function declare(...schedules: Schedule[]): Promise<void> {
  await declareQueues(urls.admin, { queues: { nightly: RULES }, schedules }, quiet);
}

/** As if the schedules had been there before. */
async function begin(at: Temporal.Instant, ...schedules: Schedule[]): Promise<void> {
  await declare(...schedules);
  for (const { name, ...times } of schedules) {
    const [next] = dueTimes(times, at, 1);
    await asSuperuser('update job_schedules set next_at = $1 where name = $2', [next?.toString(), name]);
  }
}

const instant = (text: string) => Temporal.Instant.from(text);
const localTimes = (times: readonly Temporal.Instant[], timeZone = NEW_YORK) =>
  times.map((time) => time.toZonedDateTimeISO(timeZone).toString({ timeZoneName: 'never', smallestUnit: 'minute' }));

let jobs: TestJobs;
const system = (): Scope => testScope({ actor: SYSTEM, jobs: jobs as unknown as Jobs });

/** Every minute of the time between, two workers look at once. What each schedule fired for, in local time. */
async function minuteByMinute(from: string, to: string): Promise<Record<string, string[]>> {
  const fired: Record<string, string[]> = {};
  for (let at = instant(from); Temporal.Instant.compare(at, instant(to)) <= 0; at = at.add({ minutes: 1 })) {
    const found = await Promise.all([fireSchedules(system(), at), fireSchedules(system(), at)]);
    for (const name of found.flat()) (fired[name] ??= []).push(...localTimes([at]));
    // They are run at once, so that the next one is not held back.
    if (found.flat().length > 0) await asSuperuser(`update pgboss.job set state = 'completed' where name = 'nightly'`);
  }
  return fired;
}

describe('schedules', () => {
  before(async () => {
    await databaseReady;
    await declare();
    jobs = openTestJobs(urls.login);
    await jobs.boss.start();
  });
  after(() => jobs[Symbol.asyncDispose]());

  it('fire once for a due time in the night in which the clocks go forward', async () => {
    const night = [
      schedule('in-the-gap', '30 2 * * *'),
      schedule('before-it', '30 1 * * *'),
      schedule('both', '30 1,2 * * *'),
      schedule('quarterly', '*/15 * * * *'),
      schedule('after-it', '15 3 * * *'),
    ];
    await begin(instant('2026-03-08T05:59:00Z'), ...night);
    assert.deepEqual(await minuteByMinute('2026-03-08T06:00:00Z', '2026-03-08T08:00:00Z'), {
      'before-it': ['2026-03-08T01:30-05:00'],
      both: ['2026-03-08T01:30-05:00', '2026-03-08T03:00-04:00'],
      quarterly: [
        '2026-03-08T01:00-05:00',
        '2026-03-08T01:15-05:00',
        '2026-03-08T01:30-05:00',
        '2026-03-08T01:45-05:00',
        '2026-03-08T03:00-04:00',
        '2026-03-08T03:15-04:00',
        '2026-03-08T03:30-04:00',
        '2026-03-08T03:45-04:00',
        '2026-03-08T04:00-04:00',
      ],
      'in-the-gap': ['2026-03-08T03:00-04:00'],
      'after-it': ['2026-03-08T03:15-04:00'],
    });
    const next = (await transact(system(), findSchedules)).map(({ name, nextAt }) => [name, nextAt.toString()]);
    assert.deepEqual(Object.fromEntries(next)['in-the-gap'], '2026-03-09T06:30:00Z');
  });

  it('fire once for a due time in the night in which the clocks go back', async () => {
    const night = [
      schedule('twice-there', '30 1 * * *'),
      schedule('once-there', '30 2 * * *'),
      schedule('both', '30 1,2 * * *'),
      schedule('half-hourly', '*/30 * * * *'),
    ];
    await begin(instant('2026-11-01T04:59:00Z'), ...night);
    assert.deepEqual(await minuteByMinute('2026-11-01T05:00:00Z', '2026-11-01T08:00:00Z'), {
      'half-hourly': [
        '2026-11-01T01:00-04:00',
        '2026-11-01T01:30-04:00',
        '2026-11-01T01:00-05:00',
        '2026-11-01T01:30-05:00',
        '2026-11-01T02:00-05:00',
        '2026-11-01T02:30-05:00',
        '2026-11-01T03:00-05:00',
      ],
      both: ['2026-11-01T01:30-04:00', '2026-11-01T02:30-05:00'],
      'twice-there': ['2026-11-01T01:30-04:00'],
      'once-there': ['2026-11-01T02:30-05:00'],
    });
  });

  it('come due once a day on every day, whatever the zone does with its clocks', () => {
    const NIGHTS: [string, string][] = [
      [NEW_YORK, '2026-03-08'],
      [NEW_YORK, '2026-11-01'],
      ['Australia/Lord_Howe', '2026-04-05'],
      ['Australia/Lord_Howe', '2026-10-04'],
      ['America/Havana', '2026-03-08'],
      ['Europe/London', '2026-10-25'],
      ['Asia/Kolkata', '2026-03-08'],
      ['America/Phoenix', '2026-03-08'],
      ['Pacific/Kiritimati', '2026-03-08'],
    ];
    const minuteOfDay = fc.integer({ min: 0, max: 24 * 60 - 1 });
    fc.assert(
      fc.property(fc.constantFrom(...NIGHTS), minuteOfDay, ([timeZone, date], minutes) => {
        const day = Temporal.PlainDate.from(date);
        const time = Temporal.PlainTime.from('00:00').add({ minutes });
        const on = (day: Temporal.PlainDate) => day.toZonedDateTime({ timeZone, plainTime: time });
        // A time in a gap comes when the gap is over.
        const expected = [0, 1].map((days) => {
          const due = on(day.add({ days }));
          const isSkipped = !due.toPlainTime().equals(time);
          return isSkipped ? due.add({ nanoseconds: 1 }).getTimeZoneTransition('previous') : due;
        });
        const after = on(day.subtract({ days: 1 })).toInstant();
        const found = dueTimes({ cron: `${time.minute} ${time.hour} * * *`, timeZone }, after, 2);
        assertSame(
          found,
          expected.map((due) => due?.toInstant()),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('catch up once with all that an outage has missed', async () => {
    await begin(instant('2026-03-02T12:00:00Z'), schedule('often', '*/5 * * * *'), schedule('daily', '0 9 * * *'));
    const at = instant('2026-03-04T17:02:30Z');
    assert.deepEqual(await fireSchedules(system(), at), ['daily', 'often']);
    assert.deepEqual(await fireSchedules(system(), at), []);
    const [daily, often] = await transact(system(), findSchedules);
    assertSame(
      [daily?.nextAt, daily?.lastDueAt, daily?.lastFiredAt, often?.nextAt],
      [instant('2026-03-05T14:00:00Z'), instant('2026-03-02T14:00:00Z'), at, instant('2026-03-04T17:05:00Z')],
    );
    const rows = await asSuperuser(`select id from pgboss.job where name = 'nightly' and state = 'created'`);
    assert.deepEqual(new Set(rows.map(({ id }) => id as string)), new Set([daily?.lastJobId, often?.lastJobId]));
  });

  it('do not pile up jobs that nobody runs', async () => {
    await begin(instant('2026-03-02T12:00:00Z'), schedule('held-up', '*/5 * * * *'));
    const ids = [];
    for (const minutes of [0, 5, 10]) {
      await fireSchedules(system(), instant('2026-03-02T12:05:00Z').add({ minutes }));
      ids.push((await transact(system(), findSchedules))[0]?.lastJobId);
    }
    assert.equal(new Set(ids).size, 1);
    const waiting = await asSuperuser(`select id from pgboss.job where singleton_key = 'schedule:held-up'`);
    assert.deepEqual(waiting, [{ id: ids[0] }]);
  });

  it('are due still when the job could not be added', async () => {
    await begin(instant('2026-03-02T12:00:00Z'), schedule('unlucky', '0 8 * * *'));
    const at = instant('2026-03-02T13:00:00Z');
    const enqueue = () => Promise.reject(new Error('no'));
    await assert.rejects(fireSchedules({ ...system(), jobs: { ...system().jobs, enqueue } }, at), /no/);
    assert.deepEqual(await fireSchedules(system(), at), ['unlucky']);
  });

  it('keep what they are due over a migration, unless their times change', async () => {
    const missed = instant('2026-03-02T12:00:00Z');
    await begin(missed, schedule('kept', '0 8 * * *'), schedule('moved', '0 8 * * *'), schedule('gone', '0 8 * * *'));
    await declare(schedule('kept', '0 8 * * *'), schedule('moved', '0 8 * * *', 'Asia/Kolkata'));
    const [kept, moved, ...others] = await transact(system(), findSchedules);
    assertSame(kept?.nextAt, instant('2026-03-02T13:00:00Z'));
    assert.ok(moved && Temporal.Instant.compare(moved.nextAt, Temporal.Now.instant()) > 0);
    assert.deepEqual(others, []);
  });

  for (const [cron, what] of [
    ['0 0 31 2 *', 'never comes due'],
    ['0 0 0 * * *', 'has seconds'],
    ['soon', 'is none'],
  ] as const) {
    it(`are refused when their expression ${what}`, async () => {
      await assert.rejects(declare(schedule('wrong', cron)), TypeError);
    });
  }

  it('fire once over several processes, of which one is killed', async () => {
    await declare(schedule('raced', '0 0 1 1 *'));
    const script = fileURLToPath(new URL('support/firing-worker.ts', import.meta.url));
    const told: string[] = [];
    const children = await Promise.all(
      [1, 2, 3].map(async () => {
        const child = spawn(process.execPath, [script, urls.login], { stdio: ['ignore', 'pipe', 'inherit'] });
        child.stdout.on('data', (chunk) => told.push(...String(chunk).trim().split('\n')));
        await once(child.stdout, 'data');
        return child;
      }),
    );
    const DUE_TIMES = 12;
    for (let n = 1; n <= DUE_TIMES; n++) {
      await asSuperuser(`update job_schedules set next_at = now() where name = 'raced'`);
      if (n === DUE_TIMES / 2) children[0]?.kill('SIGKILL');
      const isDue = async () => (await asSuperuser('select from job_schedules where next_at <= now()')).length > 0;
      while (await isDue()) await sleep(10);
      await asSuperuser(`update pgboss.job set state = 'completed' where singleton_key = 'schedule:raced'`);
    }
    for (const child of children) child.kill('SIGKILL');
    const [row] = await asSuperuser<{ jobs: number }>(
      `select count(*)::int as jobs from pgboss.job where singleton_key = 'schedule:raced'`,
    );
    assert.equal(row?.jobs, DUE_TIMES);
    // The one that was killed may have had no time to tell.
    const firings = told.filter((line) => line === 'raced').length;
    assert.ok(firings === DUE_TIMES || firings === DUE_TIMES - 1, String(firings));
  });
});
