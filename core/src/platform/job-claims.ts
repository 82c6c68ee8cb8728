/**
 * The leases under which jobs run. A job that is taken has an open attempt, and the process that took it says every few
 * seconds that it is alive. An attempt is ended by its own process; one that is not heard of for ten seconds, by whoever
 * finds it, and its job is given out again at once. An attempt that has ended has no say over its job any more.
 */
import type pg from 'pg';
import type { Db, PgBoss } from 'pg-boss';
import { newJob, type Queue, type Queues } from './jobs.ts';

export interface Claim {
  readonly id: string;
  readonly data: Queues[Queue];
  /** 1 for the first. */
  readonly attempt: number;
  readonly priority: number;
  readonly singleton_key: string | null;
}

export type Outcome = 'DONE' | 'FAILED' | 'TIMED_OUT' | 'SNOOZED' | 'CANCELLED' | 'HANDED_BACK' | 'LOST';

export interface ClaimsOptions {
  readonly boss: PgBoss;
  /** Its connections have the role careflex_system. */
  readonly pool: pg.Pool;
  /** Who takes the jobs: host and process id. */
  readonly node: string;
}

/** Say it every three seconds, and two may get lost. */
const SILENT_SECONDS = 10;

/** The claims of one queue. */
export class Claims {
  readonly #queue: string;
  readonly #options: ClaimsOptions;

  constructor(queue: string, options: ClaimsOptions) {
    this.#queue = queue;
    this.#options = options;
  }

  /** Starts up to so many jobs that are due, within the queue's limits; none while it is paused. */
  async take(wanted: number): Promise<Claim[]> {
    const { pool, node } = this.#options;
    const { rows } = await pool.query<Claim>('select * from take_jobs($1, $2, $3)', [this.#queue, wanted, node]);
    return rows;
  }

  /** Says that these are being worked on. Returns the ids of those whose job is still theirs. */
  async keep(claims: readonly Claim[]): Promise<Set<string>> {
    const { rows } = await this.#options.pool.query<{ id: string }>(KEEP, [
      this.#queue,
      claims.map(({ id }) => id),
      claims.map(({ attempt }) => attempt),
    ]);
    return new Set(rows.map(({ id }) => id));
  }

  async complete({ id, attempt }: Claim): Promise<void> {
    await this.#options.pool.query(SETTLE, [this.#queue, id, attempt, 'completed', 'DONE']);
  }

  async cancel({ id, attempt }: Claim): Promise<void> {
    await this.#options.pool.query(SETTLE, [this.#queue, id, attempt, 'cancelled', 'CANCELLED']);
  }

  /** Into a retry, or where none is left to the dead letters. Of the error its class alone is kept. */
  async fail(claim: Claim, outcome: 'FAILED' | 'TIMED_OUT', errorClass: string): Promise<void> {
    await this.#ending(claim, { outcome, errorClass }, async (db) => {
      await this.#options.boss.fail(this.#queue, fenced(claim), { error: errorClass }, { db });
    });
  }

  /** Ends this job and adds the same anew, both or neither. */
  async again(claim: Claim, outcome: 'SNOOZED' | 'HANDED_BACK', startAt?: Temporal.Instant): Promise<void> {
    const { boss } = this.#options;
    const options = {
      priority: claim.priority,
      ...(claim.singleton_key === null ? {} : { singletonKey: claim.singleton_key }),
      ...(startAt === undefined ? {} : { startAt }),
    };
    await this.#ending(claim, { outcome }, async (db) => {
      const { affected } = (await boss.complete(this.#queue, fenced(claim), null, { db })) as unknown as Settled;
      if (affected === 1) await boss.insert(this.#queue, [newJob(claim.data, options)], { db, returnId: false });
    });
  }

  /** Ends an attempt whose job is not its own any more. */
  async letGo({ id, attempt }: Claim): Promise<void> {
    await this.#options.pool.query(LET_GO, [this.#queue, id, attempt]);
  }

  async #ending(
    { id, attempt }: Claim,
    { outcome, errorClass = null }: { outcome: Outcome; errorClass?: string | null },
    settle: (db: Db) => Promise<void>,
  ): Promise<void> {
    await inTransaction(this.#options.pool, async (db) => {
      const { rows } = await db.executeSql(END, [id, attempt, outcome, errorClass]);
      if (rows.length === 1) await settle(db);
    });
  }
}

/** Gives out again what runs nowhere any more. Returns the queues that have something to do by it. */
export async function reclaim(
  queues: readonly string[],
  { boss, pool }: Omit<ClaimsOptions, 'node'>,
): Promise<string[]> {
  return inTransaction(pool, async (db) => {
    const { rows } = await db.executeSql(RECLAIM, [queues, SILENT_SECONDS]);
    for (const { queue, id, attempt, spent } of rows as Lost[]) {
      if (spent) await boss.fail(queue, fenced({ id, attempt }), { error: 'WorkerLost' }, { db });
    }
    return [...new Set((rows as Lost[]).map(({ queue }) => queue))];
  });
}

interface Lost {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  /** Was its last attempt. */
  readonly spent: boolean;
}

/** What pg-boss answers beyond its own types: how many of the attempts still held their job. */
interface Settled {
  readonly affected: number;
}

/** The form in which pg-boss takes an answer only from the attempt that holds the job. */
function fenced({ id, attempt }: Pick<Claim, 'id' | 'attempt'>): { id: string; retryCount: number } {
  return { id, retryCount: attempt - 1 };
}

async function inTransaction<T>(pool: pg.Pool, work: (db: Db) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values as unknown[]) };
    await client.query('begin');
    const result = await work(db);
    await client.query('commit');
    client.release();
    return result;
  } catch (thrown) {
    client.release(true);
    throw thrown;
  }
}

// All of them take the attempt first and the job second, so that no two wait for each other.

const KEEP = `
  with kept as (
    update job_attempts a set alive_at = clock_timestamp()
    from unnest($2::uuid[], $3::integer[]) as mine (job_id, attempt)
    where a.job_id = mine.job_id and a.attempt = mine.attempt and a.ended_at is null
    returning a.job_id, a.attempt
  )
  select j.id from kept join pgboss.job_common j
    on j.name = $1 and j.id = kept.job_id and j.state = 'active' and j.retry_count + 1 = kept.attempt`;

const SETTLE = `
  with ended as (
    update job_attempts set ended_at = clock_timestamp(), outcome = $5
    where job_id = $2 and attempt = $3 and ended_at is null
    returning job_id, attempt
  )
  update pgboss.job_common j set state = $4::text::pgboss.job_state, completed_on = clock_timestamp(), output = null
  from ended where j.name = $1 and j.id = ended.job_id and j.state = 'active' and j.retry_count + 1 = ended.attempt`;

const END = `
  update job_attempts set ended_at = clock_timestamp(), outcome = $3, error_class = $4
  where job_id = $1 and attempt = $2 and ended_at is null returning job_id`;

const LET_GO = `
  update job_attempts set ended_at = clock_timestamp(), outcome = case
      when exists (select from pgboss.job_common where name = $1 and id = $2 and state = 'cancelled')
      then 'CANCELLED' else 'LOST' end
  where job_id = $2 and attempt = $3 and ended_at is null`;

const RECLAIM = `
  with lost as (
    select job_id, attempt, queue from job_attempts
    where queue = any ($1::text[]) and ended_at is null and alive_at < clock_timestamp() - make_interval(secs => $2)
    for update skip locked
  ), ended as (
    update job_attempts a set ended_at = clock_timestamp(), outcome = 'LOST'
    from lost where a.job_id = lost.job_id and a.attempt = lost.attempt
  ), again as (
    update pgboss.job_common j set state = 'retry', start_after = clock_timestamp()
    from lost where j.name = lost.queue and j.id = lost.job_id and j.state = 'active'
      and j.retry_count + 1 = lost.attempt and j.retry_count < j.retry_limit
  )
  select lost.queue, lost.job_id as id, lost.attempt, j.retry_count >= j.retry_limit as spent
  from lost join pgboss.job_common j
    on j.name = lost.queue and j.id = lost.job_id and j.state = 'active' and j.retry_count + 1 = lost.attempt`;
