/** Jobs as an admin sees them: where each stands, and every attempt at it. For the system; who may ask is decided above. */
import { type Expression, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import { NotFound } from './errors.ts';
import { isUuid } from './input.ts';
import type { Outcome } from './job-claims.ts';
import { decodeCursor, type Page, PageInput, toPage } from './page.ts';
import type { Scope } from './scope.ts';

/** `WAITING` may start now, `SCHEDULED` later; `RETRY` waits after a failure; `FAILED` has no attempt left. */
export const JOB_STATES = ['WAITING', 'SCHEDULED', 'RETRY', 'ACTIVE', 'COMPLETED', 'CANCELLED', 'FAILED'] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface JobAttempt {
  /** 1 for the first. */
  readonly number: number;
  /** The process: host and process id. */
  readonly node: string;
  readonly startedAt: Temporal.Instant;
  readonly endedAt: Temporal.Instant | null;
  /** Null while it runs. */
  readonly outcome: Outcome | null;
  readonly errorClass: string | null;
}

export interface Job {
  readonly id: string;
  readonly queue: string;
  readonly state: JobState;
  readonly priority: number;
  /** Ids only. */
  readonly payload: Record<string, unknown>;
  readonly createdAt: Temporal.Instant;
  /** Not before this instant. */
  readonly startsAt: Temporal.Instant;
  readonly endedAt: Temporal.Instant | null;
  /** Of the last failure. */
  readonly errorClass: string | null;
  /** Of a dead letter: the queue and the job that failed. */
  readonly sourceQueue: string | null;
  readonly sourceJobId: string | null;
  readonly attempts: readonly JobAttempt[];
}

const instant = z.instanceof(Temporal.Instant).nullish();

export const JobFilter = PageInput.extend({
  queue: z.string().max(200).nullish(),
  state: z.enum(JOB_STATES).nullish(),
  /** Added from this instant, inclusive. */
  createdFrom: instant,
  /** Added to this instant, exclusive. */
  createdTo: instant,
});
export type JobFilter = z.input<typeof JobFilter>;

const Cursor = z.tuple([z.iso.datetime({ precision: 6 }), z.uuid()]);

/** The newest first. Throws InvalidInput for a cursor of another list. */
export async function findJobs({ db }: Scope, filter: z.output<typeof JobFilter>): Promise<Page<Job>> {
  const { first, queue } = filter;
  const conditions = sql.join([...matching(filter)], sql` and `);
  // Queue by queue, because that is how the index goes.
  const { rows } = await sql<JobRow>`
    select j.* from pgboss.queue q cross join lateral (
      select ${COLUMNS} from pgboss.job_common j where j.name = q.name and ${conditions}
      order by j.created_on desc, j.id desc limit ${first + 1}
    ) j
    where q.name not like '\\_\\_%' and ${queue ? sql`q.name = ${queue}` : sql`true`}
    order by j.created_at desc, j.id desc limit ${first + 1}`.execute(db);
  const attempts = await attemptsOf(
    db,
    rows.map(({ id }) => id),
  );
  return toPage(rows, first, {
    node: (row) => toJob(row, attempts.get(row.id)),
    key: ({ created_at, id }) => [created_at, id],
  });
}

function* matching({
  state,
  createdFrom,
  createdTo,
  after,
}: z.output<typeof JobFilter>): Generator<Expression<SqlBool>> {
  yield sql`true`;
  if (state) yield IN_STATE[state];
  if (createdFrom) yield sql`j.created_on >= ${createdFrom.toString()}`;
  if (createdTo) yield sql`j.created_on < ${createdTo.toString()}`;
  if (after === null) return;
  const [createdAt, id] = decodeCursor(after, Cursor);
  yield sql`(j.created_on, j.id) < (${createdAt}::timestamptz, ${id}::uuid)`;
}

const IN_STATE: Record<JobState, Expression<SqlBool>> = {
  WAITING: sql`j.state = 'created' and j.start_after <= now()`,
  SCHEDULED: sql`j.state = 'created' and j.start_after > now()`,
  RETRY: sql`j.state = 'retry'`,
  ACTIVE: sql`j.state = 'active'`,
  COMPLETED: sql`j.state = 'completed'`,
  CANCELLED: sql`j.state = 'cancelled'`,
  FAILED: sql`j.state = 'failed'`,
};

/** Throws NotFound. */
export async function getJob(scope: Scope, id: string): Promise<Job> {
  const job = await findJob(scope, id);
  if (!job) throw new NotFound('The job');
  return job;
}

/** With every attempt. */
export async function findJob({ db }: Scope, id: string): Promise<Job | null> {
  if (!isUuid(id)) return null;
  const { rows } = await sql<JobRow>`
    select ${COLUMNS} from pgboss.queue q join pgboss.job_common j on j.name = q.name and j.id = ${id}::uuid`.execute(
    db,
  );
  const [row] = rows;
  return row ? toJob(row, (await attemptsOf(db, [row.id])).get(row.id)) : null;
}

/** A time as text: a JavaScript date would lose its microseconds, and with them the place in the list. */
const COLUMNS = sql`
  j.id, j.name as queue, j.priority, j.data as payload, j.start_after, j.completed_on,
  to_char(j.created_on at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
  case when j.state <> 'created' then upper(j.state::text) when j.start_after > now() then 'SCHEDULED' else 'WAITING' end
    as state,
  coalesce(j.output->>'error', j.source_output->>'error') as error_class, j.source_name, j.source_id`;

interface JobRow {
  readonly id: string;
  readonly queue: string;
  readonly state: JobState;
  readonly priority: number;
  readonly payload: Record<string, unknown> | null;
  readonly created_at: string;
  readonly start_after: Date;
  readonly completed_on: Date | null;
  readonly error_class: string | null;
  readonly source_name: string | null;
  readonly source_id: string | null;
}

function toJob(row: JobRow, attempts: readonly JobAttempt[] = []): Job {
  return {
    id: row.id,
    queue: row.queue,
    state: row.state,
    priority: row.priority,
    payload: row.payload ?? {},
    createdAt: Temporal.Instant.from(row.created_at),
    startsAt: row.start_after.toTemporalInstant(),
    endedAt: row.completed_on?.toTemporalInstant() ?? null,
    errorClass: row.error_class,
    sourceQueue: row.source_name,
    sourceJobId: row.source_id,
    attempts,
  };
}

async function attemptsOf(db: Scope['db'], ids: readonly string[]): Promise<Map<string, JobAttempt[]>> {
  const rows = await db
    .selectFrom('job_attempts')
    .selectAll()
    .where('job_id', '=', sql<string>`any (${ids}::uuid[])`)
    .orderBy('attempt')
    .execute();
  const byJob = Map.groupBy(rows, ({ job_id }) => job_id);
  return new Map(
    byJob.entries().map(([id, rows]) => [
      id,
      rows.map((row) => ({
        number: row.attempt,
        node: row.node,
        startedAt: row.started_at.toTemporalInstant(),
        endedAt: row.ended_at?.toTemporalInstant() ?? null,
        outcome: row.outcome,
        errorClass: row.error_class,
      })),
    ]),
  );
}
