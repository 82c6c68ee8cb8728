/**
 * A hand on the jobs: to try again, to cancel, to throw away, to hold a queue. For the system; who may is decided above.
 * All of it holds for every process: it changes rows that they look at before they start a job, or while they run one.
 */
import { sql } from 'kysely';
import { DomainError, NotFound } from './errors.ts';
import { getJob, type JobState } from './job-list.ts';
import { DEAD_LETTERS, JOBS_CHANNEL, type Queue, type Queues } from './jobs.ts';
import { afterCommit, type Scope } from './scope.ts';

/** What was asked for cannot be done with a job in this state. */
export class WrongJobState extends DomainError {
  readonly code = 'WRONG_JOB_STATE';
  readonly state: JobState;
  constructor(state: JobState, done: string) {
    super(`A job that is ${state} cannot be ${done}`);
    this.state = state;
  }
}

/**
 * Has a job tried again now that failed, was cancelled, or waits after a failure. Returns its id: of a dead letter, that of
 * the job that it was. Throws NotFound, {@link WrongJobState}.
 */
export async function retryJob(scope: Scope, id: string): Promise<string> {
  const { queue, state } = await getJob(scope, id);
  const [tried] =
    queue === DEAD_LETTERS ? await redrive(scope, { ids: [id], limit: 1 }) : await tryAgain(scope, [{ queue, id }]);
  if (tried === undefined) throw new WrongJobState(state, 'tried again');
  return tried;
}

/** Never starts the job again; one that runs is told to stop within seconds. Throws NotFound, {@link WrongJobState}. */
export async function cancelJob(scope: Scope, id: string): Promise<string> {
  const { queue, state } = await getJob(scope, id);
  if (state === 'CANCELLED') return id;
  const { rows } = await sql`
    update pgboss.job_common set state = 'cancelled', completed_on = now()
    where name = ${queue} and id = ${id} and state < 'completed' returning id`.execute(scope.db);
  if (rows.length === 0) throw new WrongJobState(state, 'cancelled');
  return id;
}

/** Removes the job; its attempts follow by {@link pruneAttempts}. One that runs is cancelled first. Throws NotFound, {@link WrongJobState}. */
export async function discardJob(scope: Scope, id: string): Promise<string> {
  const { queue, state } = await getJob(scope, id);
  const { rows } = await sql`
    delete from pgboss.job_common where name = ${queue} and id = ${id} and state <> 'active' returning id`.execute(
    scope.db,
  );
  if (rows.length === 0) throw new WrongJobState(state, 'discarded');
  await forgetLetters(scope, [id]);
  return id;
}

export interface DeadLetters {
  readonly ids?: readonly string[];
  readonly sourceQueue?: string | null | undefined;
  readonly errorClass?: string | null | undefined;
  /** Given up from this instant, inclusive, and to this one, exclusive. */
  readonly diedFrom?: Temporal.Instant | null | undefined;
  readonly diedTo?: Temporal.Instant | null | undefined;
  readonly limit: number;
}

/**
 * Has dead letters tried again, the oldest first: the job itself where it is still there, with its attempts, else the
 * same anew, under its id. Those of a queue that is no more stay. Returns the jobs' ids.
 */
export async function redrive(scope: Scope, of: DeadLetters): Promise<string[]> {
  const letters = await lockLetters(scope, of);
  if (letters.length === 0) return [];
  const back = new Set(
    await tryAgain(
      scope,
      letters.map(({ queue, sourceId }) => ({ queue, id: sourceId })),
    ),
  );
  const gone = letters.filter(({ sourceId }) => !back.has(sourceId));
  for (const [queue, jobs] of Map.groupBy(gone, ({ queue }) => queue)) {
    await scope.jobs.enqueueAll(
      scope,
      queue as Queue,
      jobs.map(({ sourceId: id, payload, priority, singletonKey }) => ({ id, payload, priority, singletonKey })),
    );
  }
  const ids = letters.map(({ id }) => id);
  await sql`delete from pgboss.job_common where name = ${DEAD_LETTERS} and id = any (${ids}::uuid[])`.execute(scope.db);
  return letters.map(({ sourceId }) => sourceId);
}

interface Letter {
  readonly id: string;
  readonly queue: string;
  readonly sourceId: string;
  readonly payload: Queues[Queue];
  readonly priority: number;
  readonly singletonKey: string;
}

async function lockLetters({ db }: Scope, of: DeadLetters): Promise<Letter[]> {
  const unless = (value: unknown, condition: ReturnType<typeof sql<boolean>>) =>
    value === undefined || value === null ? sql<boolean>`true` : condition;
  const { rows } = await sql<Letter>`
    select id, source_name as queue, source_id as "sourceId", data as payload, priority, singleton_key as "singletonKey"
    from pgboss.job_common
    where name = ${DEAD_LETTERS} and state = 'created' and source_name in (select name from pgboss.queue)
      and ${unless(of.ids, sql`id = any (${of.ids}::uuid[])`)}
      and ${unless(of.sourceQueue, sql`source_name = ${of.sourceQueue}`)}
      and ${unless(of.errorClass, sql`source_output->>'error' = ${of.errorClass}`)}
      and ${unless(of.diedFrom, sql`created_on >= ${of.diedFrom?.toString()}`)}
      and ${unless(of.diedTo, sql`created_on < ${of.diedTo?.toString()}`)}
    order by created_on limit ${of.limit} for update skip locked`.execute(db);
  return rows;
}

/** Returns the ids of those that will be tried again, with one attempt more where none was left. */
async function tryAgain(scope: Scope, jobs: readonly { queue: string; id: string }[]): Promise<string[]> {
  const queues = jobs.map(({ queue }) => queue);
  const { rows } = await sql<{ id: string }>`
    update pgboss.job_common j
    set state = 'retry', start_after = now(), completed_on = null, retry_limit = greatest(j.retry_limit, j.retry_count + 1),
      keep_until = greatest(j.keep_until, now() + q.retention_seconds * interval '1 second')
    from unnest(${queues}::text[], ${jobs.map(({ id }) => id)}::uuid[]) as wanted (queue, id), pgboss.queue q
    where j.name = wanted.queue and j.id = wanted.id and q.name = j.name and j.state in ('retry', 'cancelled', 'failed')
    returning j.id`.execute(scope.db);
  const ids = rows.map(({ id }) => id);
  await forgetLetters(scope, ids);
  wake(scope, queues);
  return ids;
}

/** What became of the job again is no dead letter any more. */
async function forgetLetters({ db }: Scope, ids: readonly string[]): Promise<void> {
  await sql`
    delete from pgboss.job_common
    where name = ${DEAD_LETTERS} and state = 'created' and source_root_id = any (${ids}::uuid[])`.execute(db);
}

/** From the commit on no process starts a job of the queue; those that run end. Throws NotFound. */
export async function pauseQueue(scope: Scope, name: string): Promise<void> {
  await hold(scope, name, scope.now);
}

/** Throws NotFound. */
export async function resumeQueue(scope: Scope, name: string): Promise<void> {
  await hold(scope, name, null);
  wake(scope, [name]);
}

async function hold({ db }: Scope, name: string, since: Temporal.Instant | null): Promise<void> {
  const pausedAt = since?.toString() ?? null;
  const { numUpdatedRows } = await db
    .updateTable('job_queues')
    .set({
      paused_at: sql`case when ${pausedAt}::timestamptz is null then null else coalesce(paused_at, ${pausedAt}) end`,
    })
    .where('name', '=', name)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw new NotFound('The queue');
}

function wake(scope: Scope, queues: readonly string[]): void {
  afterCommit(scope, () => {
    for (const queue of new Set(queues)) scope.announce?.(JOBS_CHANNEL, queue);
  });
}

/** An attempt is kept as long as its job, and at least as long as a rate may look back. Returns how many went. For the system. */
export async function pruneAttempts({ db }: Scope): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    delete from job_attempts a
    where a.ended_at < now() - interval '1 hour'
      and not exists (select from pgboss.job_common j where j.name = a.queue and j.id = a.job_id)`.execute(db);
  return Number(numAffectedRows);
}
