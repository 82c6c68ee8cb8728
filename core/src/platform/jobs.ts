/**
 * Jobs: work that follows from a change, written in the change's own transaction. The queue is the outbox.
 *
 * pg-boss keeps them, in its schema `pgboss`. Every role may add a job and only the system may see one, so a job
 * is written under the role of whoever caused it. A job runs at least once: the worker that lost its claim and
 * the one that took it over may both have done the work, so workers look before they act.
 */
import { CompiledQuery, sql } from 'kysely';
import type pg from 'pg';
import { type Db as Database, PgBoss } from 'pg-boss';
import type { Log } from './log.ts';
import { afterCommit, asSystem, type Scope, transact } from './scope.ts';

/** Every queue and its payload. Contexts merge theirs in. Payloads carry ids, never PHI. */
// oxlint-disable-next-line typescript/no-empty-interface -- filled by declaration merging
export interface Queues {}

export type Queue = keyof Queues;

export interface JobOptions {
  /** A new one unless given. */
  readonly id?: string;
  /** Not before this instant; now unless given. */
  readonly startAt?: Temporal.Instant;
  /** At most one waiting job per queue and key; a second one is dropped. */
  readonly singletonKey?: string;
  /** Larger runs first; 0 unless given. */
  readonly priority?: number;
}

export interface NewJob<Q extends Queue> extends JobOptions {
  readonly payload: Queues[Q];
}

/** The producing side, carried by the scope. A payload that holds more than ids is refused with a TypeError. */
export interface Jobs {
  /** Adds a job to the scope's transaction; call it inside `transact`. */
  enqueue<Q extends Queue>(scope: Scope, queue: Q, payload: Queues[Q], options?: JobOptions): Promise<void>;
  /** The same for many of one queue, in one statement; thousands are fine. */
  enqueueAll<Q extends Queue>(scope: Scope, queue: Q, jobs: readonly NewJob<Q>[]): Promise<void>;
}

/** Where a job ends that failed for good. It has no worker; its length is a metric. */
export const DEAD_LETTERS = 'dead-letter';

/** The channel on which workers hear of queues that must start quickly; the payload is the queue's name. */
export const JOBS_CHANNEL = 'jobs';

export interface JobsOptions {
  readonly boss: PgBoss;
  /** Queues whose workers are told at once. The others wait for the next poll, a second at most. */
  readonly quick: ReadonlySet<string>;
  /** Tells the workers. After the commit: a notification inside one makes all commits queue up. */
  readonly notify: (queue: string) => void;
}

export function createJobs({ boss, quick, notify }: JobsOptions): Jobs {
  const start = startOnce(boss);
  const enqueueAll: Jobs['enqueueAll'] = async (scope, queue, jobs) => {
    if (jobs.length === 0) return;
    const rows = jobs.map(({ payload, ...options }) => newJob(payload, options));
    await start();
    await boss.insert(queue, rows, { db: within(scope), returnId: false });
    const isDue = ({ startAt }: JobOptions) => !startAt || Temporal.Instant.compare(startAt, scope.now) <= 0;
    if (quick.has(queue) && jobs.some(isDue)) afterCommit(scope, () => notify(queue));
  };
  return {
    enqueueAll,
    enqueue: (scope, queue, ...[payload, options]) => enqueueAll(scope, queue, [{ ...options, payload }]),
  };
}

/** Ids, names of our own (`REMINDER_24H`, `es`) and instants. What people are called or reached by mostly is none. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[a-z][\w-]{0,63}$|^\d{4}-\d\d-\d\dT[\d:.]+Z$/i;

export function refuseAllButIds(payload: object): void {
  for (const [name, value] of Object.entries(payload)) {
    const isId = typeof value === 'string' ? ID.test(value) : ['number', 'boolean'].includes(typeof value);
    if (!isId) throw new TypeError(`A job's payload holds ids only; ${name} is something else`);
  }
}

/** A job as pg-boss inserts it. */
export function newJob(payload: object, { id, startAt, singletonKey, priority }: JobOptions) {
  refuseAllButIds(payload);
  return {
    data: payload,
    ...(id === undefined ? {} : { id }),
    // Queues keep one waiting job per key; without a key of its own a job is its own.
    singletonKey: singletonKey ?? crypto.randomUUID(),
    ...(startAt === undefined ? {} : { startAfter: startAt.toString() }),
    ...(priority === undefined ? {} : { priority }),
  };
}

function within({ db }: Scope): Database {
  return { executeSql: async (text, values = []) => db.executeQuery(CompiledQuery.raw(text, [...values])) };
}

/** pg-boss reads its queues before its first job; a process that writes none need not. */
function startOnce(boss: PgBoss): () => Promise<unknown> {
  let started: Promise<unknown> | undefined;
  return () => {
    started ??= boss.start().catch((thrown: unknown) => {
      started = undefined;
      throw thrown;
    });
    return started;
  };
}

export interface BossOptions {
  /** Its connections have the role careflex_system: see `openPool`. */
  readonly pool: pg.Pool;
  readonly log: Log;
  /** Whether this process looks after the queues: expiry and deletion. */
  readonly maintain: boolean;
}

export const JOBS_SCHEMA = 'pgboss';
const MAINTENANCE_SECONDS = 5;

/** pg-boss over our pool. It never changes its schema: that is a migration's work. */
export function openBoss({ pool, log, maintain }: BossOptions): PgBoss {
  const boss = new PgBoss({
    db: over(pool),
    schema: JOBS_SCHEMA,
    migrate: false,
    createSchema: false,
    supervise: maintain,
    // Schedules are ours: see job-schedules.ts.
    schedule: false,
    superviseIntervalSeconds: MAINTENANCE_SECONDS,
    monitorIntervalSeconds: MAINTENANCE_SECONDS,
    // Rebuilding indexes takes their owner, which no role of a running process is.
    reindex: false,
    monitorVacuum: false,
    registerInstance: false,
    openTelemetry: { enabled: false },
  });
  // Neither the messages nor the data: both may quote a statement and its values.
  boss.on('error', (error) => log.error('The job queue reports an error', { error }));
  boss.on('warning', ({ data }) =>
    log.warn('The job queue warns', { reason: String((data as { type?: string }).type) }),
  );
  return boss;
}

/** What pg-boss asks of a database, over a pool. */
export function over(pool: pg.Pool): Database {
  return {
    async executeSql(text, values) {
      const client = await pool.connect();
      try {
        const result = await client.query(text, values as unknown[]);
        client.release();
        return result;
      } catch (thrown) {
        // Some of pg-boss's texts hold a whole transaction: a failed one leaves it open.
        client.release(true);
        throw thrown;
      }
    },
  };
}

export interface QueueCount {
  readonly queue: string;
  /** `waiting` may start now, `scheduled` later; `retry` waits after a failure; `failed` has no attempt left. */
  readonly state: 'waiting' | 'scheduled' | 'retry' | 'active' | 'failed';
  readonly jobs: number;
}

/**
 * How many unfinished jobs there are, for every queue and every state, none as well. Counted now, so it also tells
 * when no worker runs.
 */
export async function queueCounts(scope: Scope): Promise<QueueCount[]> {
  return transact(asSystem(scope), async ({ db }) => {
    // The list of states is the predicate of pg-boss's index over live jobs.
    const { rows } = await sql<{ queue: string; state: QueueCount['state']; jobs: number }>`
      with found as (
        select name as queue, count(*) as jobs,
          case when state <> 'created' then state::text when start_after > now() then 'scheduled' else 'waiting' end as state
        from pgboss.job where state in ('created', 'retry', 'active', 'failed') group by 1, 3
      )
      select queue, state, coalesce(jobs, 0) as jobs
      from (select name as queue from pgboss.queue where name not like '\\_\\_%') as declared
      cross join unnest(array['active', 'failed', 'retry', 'scheduled', 'waiting']) as state
      left join found using (queue, state) order by 1, 2`.execute(db);
    return rows;
  });
}
