/**
 * The part of the jobs that only a migration does: pg-boss's schema, the queues with their rules, the schedules.
 * The roles of a running process may not change any of it.
 */
import pg from 'pg';
import { getConstructionPlans, getMigrationPlans } from 'pg-boss';
import boss from 'pg-boss/package.json' with { type: 'json' };
import { type JobsOptions, JOBS_SCHEMA, openBoss, type Queue, type Queues } from './jobs.ts';
import type { Log } from './log.ts';

export interface QueueRules {
  /** A job that takes longer is told to stop and tried again. */
  readonly timeoutSeconds: number;
  /** Attempts after the first. Then the job goes to the dead-letter queue, for a person to look at. */
  readonly retries: number;
  /** Before the first retry; doubled for each further one, up to the last, with jitter. */
  readonly firstRetrySeconds: number;
  readonly lastRetrySeconds: number;
}

export interface Schedule<Q extends Queue = Queue> {
  readonly queue: Q;
  readonly payload: Queues[Q];
  /** Minute, hour, day of the month, month, day of the week, on the wall clock of `timeZone`. */
  readonly cron: string;
  readonly timeZone: string;
}

export interface Declarations {
  readonly queues: Readonly<Record<string, QueueRules>>;
  readonly schedules: readonly Schedule[];
}

/** Where a job ends that failed for good. It has no worker; its length is a metric. */
export const DEAD_LETTERS = 'dead-letter';

/** A process dies without a word: its jobs are given out again after so many seconds. pg-boss's least. */
const HEARTBEAT_SECONDS = 10;
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
    for (const [queue, rules] of Object.entries(queues)) await declareQueue(boss, queue, rules);
    const wanted = new Set<string>(schedules.map(({ queue }) => queue));
    for (const { name, key } of await boss.getSchedules()) if (!wanted.has(name)) await boss.unschedule(name, key);
    for (const { queue, payload, cron, timeZone } of schedules) {
      await boss.schedule(queue, cron, payload, { tz: timeZone, missed: 'once', singletonKey: 'schedule' });
    }
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
    heartbeatSeconds: HEARTBEAT_SECONDS,
    retentionSeconds: 14 * DAY,
    deleteAfterSeconds: 7 * DAY,
    deadLetter: DEAD_LETTERS,
  };
  // Creating an existing queue leaves its rules as they were.
  await boss.createQueue(queue, { ...settings, policy: 'short' });
  await boss.updateQueue(queue, settings);
}
