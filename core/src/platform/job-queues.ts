/**
 * The part of the jobs that only a migration does: pg-boss's schema, the queues with their rules, the schedules.
 * The roles of a running process may not change any of it.
 */
import pg from 'pg';
import { getConstructionPlans, getMigrationPlans } from 'pg-boss';
import boss from 'pg-boss/package.json' with { type: 'json' };
import { declareSchedules, type Schedule } from './job-schedules.ts';
import { DEAD_LETTERS, type JobsOptions, JOBS_SCHEMA, openBoss } from './jobs.ts';
import type { Log } from './log.ts';

/** What a queue may do over all processes, exactly; see `take_jobs()`. */
export interface QueueLimits {
  /** Jobs that run at once. */
  readonly atOnce?: number;
  /** Starts in any span of so many seconds, an hour at most. */
  readonly rate?: { readonly starts: number; readonly seconds: number };
}

export interface QueueRules extends QueueLimits {
  /** A job that takes longer is told to stop and tried again. */
  readonly timeoutSeconds: number;
  /** Attempts after the first. Then the job goes to the dead-letter queue, for a person to look at. */
  readonly retries: number;
  /** Before the first retry; doubled for each further one, up to the last, with jitter. */
  readonly firstRetrySeconds: number;
  readonly lastRetrySeconds: number;
}

export interface Declarations {
  readonly queues: Readonly<Record<string, QueueRules>>;
  readonly schedules: readonly Schedule[];
}

/** The worker ends a job in time. This is for a worker that cannot. */
const EXPIRY_MARGIN_SECONDS = 30;
const DAY = 86_400;

/** Brings pg-boss's schema to the version that this program is pinned to. */
export async function installJobs(client: pg.Client): Promise<void> {
  const { rows: there } = await client.query<{ exists: boolean }>(
    `select to_regclass('${JOBS_SCHEMA}.version') is not null as exists`,
  );
  if (!there[0]?.exists) {
    await client.query(getConstructionPlans(JOBS_SCHEMA));
    return;
  }
  const { rows } = await client.query<{ version: number }>(`select version from ${JOBS_SCHEMA}.version`);
  const installed = Number(rows[0]?.version);
  if (installed < boss.pgboss.schema) await client.query(getMigrationPlans(JOBS_SCHEMA, installed));
}

/** Makes the queues and schedules of the database those of this program. Repeatable, also by several at once. */
export async function declareQueues(adminUrl: string, { queues, schedules }: Declarations, log: Log): Promise<void> {
  const pool = new pg.Pool({ connectionString: adminUrl, application_name: 'careflex migrate', max: 2 });
  const boss = openBoss({ pool, log, maintain: false });
  try {
    await boss.start();
    await boss.createQueue(DEAD_LETTERS, { retentionSeconds: 365 * DAY });
    for (const [queue, rules] of Object.entries(queues)) {
      await declareQueue(boss, queue, rules);
      const { atOnce = null, rate } = rules;
      await pool.query(LIMITS, [queue, atOnce, rate?.starts ?? null, rate?.seconds ?? null]);
    }
    // Jobs of an earlier release that counted on pg-boss's heartbeat.
    await pool.query(`update pgboss.job set heartbeat_seconds = null where heartbeat_seconds is not null`);
    await declareSchedules(pool, schedules);
  } finally {
    await boss.stop({ graceful: false });
    await pool.end();
  }
}

async function declareQueue(boss: JobsOptions['boss'], queue: string, rules: QueueRules): Promise<void> {
  const settings = {
    retryLimit: rules.retries,
    retryBackoff: true,
    retryDelay: rules.firstRetrySeconds,
    retryDelayMax: rules.lastRetrySeconds,
    expireInSeconds: rules.timeoutSeconds + EXPIRY_MARGIN_SECONDS,
    retentionSeconds: 14 * DAY,
    deleteAfterSeconds: 7 * DAY,
    deadLetter: DEAD_LETTERS,
  };
  // Creating an existing queue leaves its rules as they were.
  await boss.createQueue(queue, { ...settings, policy: 'short' });
  await boss.updateQueue(queue, { ...settings, heartbeatSeconds: null });
}

/** A pause outlives a migration. */
const LIMITS = `
  insert into job_queues (name, at_once, rate_starts, rate_seconds) values ($1, $2, $3, $4)
  on conflict (name) do update
  set at_once = excluded.at_once, rate_starts = excluded.rate_starts, rate_seconds = excluded.rate_seconds`;
