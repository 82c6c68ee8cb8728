/**
 * Schedules: jobs that come at times on the wall clock of a zone.
 *
 * Each has a row that knows its next due time. Whoever finds it past locks the row, adds the job and moves the row on,
 * in one transaction: so there is one firing per due time over all processes, and after an outage a single one for all
 * that was missed. A time that does not exist in the night the clocks go forward fires as soon as it is over; one that
 * comes twice when they go back fires the first time. What has a wildcard or a step in its hours and minutes, as every
 * quarter of an hour, goes by elapsed time.
 */
import { randomUUID } from 'node:crypto';
import { Cron } from 'croner';
import { sql } from 'kysely';
import type pg from 'pg';
import { type Queue, type Queues, refuseAllButIds } from './jobs.ts';
import { type Scope, transact } from './scope.ts';

export interface Schedule<Q extends Queue = Queue> {
  /** The queue's name unless given. */
  readonly name?: string;
  readonly queue: Q;
  readonly payload: Queues[Q];
  /** Minute, hour, day of the month, month, day of the week, on the wall clock of `timeZone`. */
  readonly cron: string;
  readonly timeZone: string;
}

export interface FoundSchedule {
  readonly name: string;
  readonly queue: string;
  readonly payload: Record<string, unknown>;
  readonly cron: string;
  readonly timeZone: string;
  /** The due time that comes next, or, overdue, the first that was missed. */
  readonly nextAt: Temporal.Instant;
  /** The due time for which it fired last, and when it did. */
  readonly lastDueAt: Temporal.Instant | null;
  readonly lastFiredAt: Temporal.Instant | null;
  readonly lastJobId: string | null;
}

/** The first due times after an instant, at most so many. Throws TypeError for what is no such expression. */
export function dueTimes(
  { cron, timeZone }: Pick<Schedule, 'cron' | 'timeZone'>,
  after: Temporal.Instant,
  count: number,
): Temporal.Instant[] {
  const times = new Cron(cron, { timezone: timeZone, mode: '5-part', fixedTimeRule: 'no-wildcard' });
  return times.nextRuns(count, new Date(after.epochMilliseconds)).map((time) => time.toTemporalInstant());
}

function nextDue(schedule: Pick<Schedule, 'cron' | 'timeZone'>, after: Temporal.Instant): string {
  const [next] = dueTimes(schedule, after, 1);
  if (next === undefined) throw new TypeError(`${schedule.cron} never comes due`);
  return next.toString();
}

/** Makes the schedules those of this program; what is new begins now, and the rest keeps what it is due. For a migration. */
export async function declareSchedules(pool: pg.Pool, schedules: readonly Schedule[]): Promise<void> {
  const [{ now }] = (await pool.query<{ now: Date }>('select clock_timestamp() as now')).rows as [{ now: Date }];
  const names = schedules.map(({ name, queue }) => name ?? queue);
  await pool.query('delete from job_schedules where name <> all ($1::text[])', [names]);
  for (const schedule of schedules) {
    const { name = schedule.queue, queue, payload, cron, timeZone } = schedule;
    refuseAllButIds(payload);
    await pool.query(DECLARE, [name, queue, payload, cron, timeZone, nextDue(schedule, now.toTemporalInstant())]);
  }
}

const DECLARE = `
  insert into job_schedules as known (name, queue, payload, cron, time_zone, next_at) values ($1, $2, $3, $4, $5, $6)
  on conflict (name) do update set queue = excluded.queue, payload = excluded.payload, cron = excluded.cron,
    time_zone = excluded.time_zone,
    next_at = case when (known.cron, known.time_zone) = (excluded.cron, excluded.time_zone)
      then known.next_at else excluded.next_at end`;

/**
 * Adds the jobs of all schedules that are due at `at`, the database's own time unless given: one for each schedule,
 * however many times were missed. Returns the names of those that fired. For the system.
 */
export async function fireSchedules(scope: Scope, at?: Temporal.Instant): Promise<string[]> {
  return transact(scope, async (scope) => {
    const { rows } = await sql<ScheduleRow & { at: Date }>`
      select ${COLUMNS}, at from job_schedules, coalesce(${at?.toString() ?? null}::timestamptz, clock_timestamp()) as at
      where next_at <= at order by name for update of job_schedules skip locked`.execute(scope.db);
    for (const row of rows) await fire(scope, toSchedule(row), row.at.toTemporalInstant());
    return rows.map(({ name }) => name);
  });
}

async function fire(scope: Scope, schedule: FoundSchedule, at: Temporal.Instant): Promise<void> {
  const jobId = await addScheduled(scope, schedule);
  await sql`
    update job_schedules
    set next_at = ${nextDue(schedule, at)}, last_due_at = next_at, last_fired_at = ${at.toString()}, last_job_id = ${jobId}
    where name = ${schedule.name}`.execute(scope.db);
}

/**
 * Adds the schedule's job now. Returns its id, or that of the one that still waits to be started: a schedule whose jobs
 * are held up does not pile them up.
 */
export async function addScheduled(scope: Scope, { name, queue, payload }: FoundSchedule): Promise<string> {
  const id = randomUUID();
  const singletonKey = `schedule:${name}`;
  await scope.jobs.enqueue(scope, queue as Queue, payload as Queues[Queue], { id, singletonKey });
  const { rows } = await sql<{ id: string }>`
    select id from pgboss.job_common
    where name = ${queue} and singleton_key = ${singletonKey} and state = 'created'`.execute(scope.db);
  return rows[0]?.id ?? id;
}

/** By name. For the system. */
export async function findSchedules({ db }: Scope): Promise<FoundSchedule[]> {
  const { rows } = await sql<ScheduleRow>`select ${COLUMNS} from job_schedules order by name`.execute(db);
  return rows.map(toSchedule);
}

const COLUMNS = sql`name, queue, payload, cron, time_zone, next_at, last_due_at, last_fired_at, last_job_id`;

interface ScheduleRow {
  readonly name: string;
  readonly queue: string;
  readonly payload: Record<string, unknown>;
  readonly cron: string;
  readonly time_zone: string;
  readonly next_at: Date;
  readonly last_due_at: Date | null;
  readonly last_fired_at: Date | null;
  readonly last_job_id: string | null;
}

function toSchedule(row: ScheduleRow): FoundSchedule {
  return {
    name: row.name,
    queue: row.queue,
    payload: row.payload,
    cron: row.cron,
    timeZone: row.time_zone,
    nextAt: row.next_at.toTemporalInstant(),
    lastDueAt: row.last_due_at?.toTemporalInstant() ?? null,
    lastFiredAt: row.last_fired_at?.toTemporalInstant() ?? null,
    lastJobId: row.last_job_id,
  };
}
