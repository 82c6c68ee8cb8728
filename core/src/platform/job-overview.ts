/** Queues as an admin and the metrics see them: what waits, what was done lately, what is allowed. For the system. */
import { sql } from 'kysely';
import { queueCounts, type QueueCount } from './jobs.ts';
import { asSystem, type Scope, transact } from './scope.ts';

/** What happened lately is what happened within so many minutes. */
export const LATELY_MINUTES = 5;

export interface QueueActivity {
  readonly queue: string;
  /** Attempts that were started, that did their job, and that failed, lately. */
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  /** Of the attempts that ended lately, in seconds; null where there were none. */
  readonly medianSeconds: number | null;
  readonly p99Seconds: number | null;
  /** How long the oldest job that may start waits for it, in seconds; null where none does. */
  readonly oldestWaitingSeconds: number | null;
}

export interface QueueState {
  readonly name: string;
  readonly activity: QueueActivity;
  readonly jobs: Readonly<Record<QueueCount['state'], number>>;
  readonly pausedAt: Temporal.Instant | null;
  /** Over all processes; null for any number. */
  readonly atOnce: number | null;
  readonly rate: { readonly starts: number; readonly seconds: number } | null;
}

/** What each queue did lately. */
export async function queueActivity(scope: Scope): Promise<QueueActivity[]> {
  return transact(asSystem(scope), async ({ db }) => {
    const { rows } = await sql<QueueActivity>`
      select q.name as queue, begun.started, coalesce(done.completed, 0) as completed, coalesce(done.failed, 0) as failed,
        done.seconds[1] as "medianSeconds", done.seconds[2] as "p99Seconds", waiting.seconds as "oldestWaitingSeconds"
      from pgboss.queue q cross join (select now() - make_interval(mins => ${LATELY_MINUTES}) as lately) since
      cross join lateral (
        select count(*)::int as started from job_attempts a where a.queue = q.name and a.started_at > lately
      ) begun
      cross join lateral (
        select count(*) filter (where a.outcome = 'DONE')::int as completed,
          count(*) filter (where a.outcome in ('FAILED', 'TIMED_OUT', 'LOST'))::int as failed,
          percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from a.ended_at - a.started_at)) as seconds
        from job_attempts a where a.queue = q.name and a.ended_at > lately
      ) done
      cross join lateral (
        select extract(epoch from now() - min(j.start_after))::float8 as seconds
        from pgboss.job_common j where j.name = q.name and j.state in ('created', 'retry') and j.start_after <= now()
      ) waiting
      where q.name not like '\\_\\_%' order by q.name`.execute(db);
    return rows;
  });
}

/** Every queue, by name. */
export async function findQueues(scope: Scope): Promise<QueueState[]> {
  const counts = Map.groupBy(await queueCounts(scope), ({ queue }) => queue);
  const activities = await queueActivity(scope);
  return transact(asSystem(scope), async ({ db }) => {
    const rows = await db.selectFrom('job_queues').selectAll().execute();
    const rules = new Map(rows.map((row) => [row.name, row]));
    return activities.map((activity) => {
      const { paused_at = null, at_once = null, rate_starts = null, rate_seconds } = rules.get(activity.queue) ?? {};
      const states = (counts.get(activity.queue) ?? []).map(({ state, jobs }) => [state, jobs]);
      return {
        name: activity.queue,
        activity,
        jobs: Object.fromEntries(states) as QueueState['jobs'],
        pausedAt: paused_at?.toTemporalInstant() ?? null,
        atOnce: at_once,
        rate: rate_starts === null ? null : { starts: rate_starts, seconds: rate_seconds ?? 0 },
      };
    });
  });
}
