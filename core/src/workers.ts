/** Every queue and every schedule on one screen: its rules, and which context does the work. */
import type { Config } from '#platform/config';
import type { Log } from '#platform/log';
import type { Answer, RunningJob } from '#platform/job-consumer';
import type { QueueRules } from '#platform/job-queues';
import type { Schedule } from '#platform/job-schedules';
import type { Queue, Queues } from '#platform/jobs';
import type { Scope } from '#platform/scope';
import type { Integrations } from './app.ts';
import { expireBenefits, proveBenefits, syncBenefits } from './workers/benefits.ts';
import { deliverReminders } from './workers/reminder-delivery.ts';
import { housekeeping } from './workers/housekeeping.ts';
import { syncProviders } from './workers/provider-sync.ts';
import { keepRiskReport, scoreAllRisks, trainRiskModel, workRiskNight } from './workers/risk.ts';
import { sendVerificationCode } from './workers/verification-code.ts';

declare module '#platform/jobs' {
  interface Queues {
    'benefit-expiry': Record<string, never>;
    'benefit-proof': Record<string, never>;
    'benefits-sync': Record<string, never>;
    housekeeping: Record<string, never>;
    'risk-nightly': Record<string, never>;
    'risk-report': Record<string, never>;
  }
}

/** What a worker gets: the system's scope, the payload, and the outside for the few that call it. */
export interface Work<Q extends Queue> extends Pick<RunningJob, 'attempt' | 'signal'> {
  readonly scope: Scope;
  readonly payload: Queues[Q];
  readonly config: Config;
  readonly integrations: Integrations;
  readonly log: Log;
}

export interface Worker<Q extends Queue> extends QueueRules {
  /** Jobs of this queue that one process runs at once. */
  readonly slots: number;
  /** Workers are told of a new job at once; else they find it within a second. */
  readonly quick?: true;
  run(this: void, work: Work<Q>): Promise<Answer>;
}

/** Nobody waits for it. */
const NIGHTLY = { slots: 1, timeoutSeconds: 1_800, retries: 3, firstRetrySeconds: 60, lastRetrySeconds: 900 } as const;

export const workers: { readonly [Q in Queue]: Worker<Q> } = {
  // Somebody waits for it, and it is good for ten minutes.
  'verification-code': {
    run: sendVerificationCode,
    quick: true,
    slots: 8,
    timeoutSeconds: 60,
    retries: 6,
    firstRetrySeconds: 2,
    lastRetrySeconds: 120,
  },
  'benefit-expiry': { ...NIGHTLY, run: expireBenefits },
  // What it finds stays found: a second look does not help.
  'benefit-proof': { ...NIGHTLY, run: proveBenefits, retries: 0 },
  // One goes on where the other one was. A run takes as many jobs as it needs; see benefits/sync.ts.
  'benefits-sync': { ...NIGHTLY, run: syncBenefits, atOnce: 1, timeoutSeconds: 300, retries: 10 },
  housekeeping: { ...NIGHTLY, run: housekeeping },
  // The next run comes in a quarter of an hour. Two at once would ask the same twice.
  'provider-sync': {
    run: syncProviders,
    quick: true,
    slots: 1,
    atOnce: 1,
    timeoutSeconds: 840,
    retries: 1,
    firstRetrySeconds: 60,
    lastRetrySeconds: 60,
  },
  'risk-nightly': { ...NIGHTLY, run: workRiskNight },
  'risk-scoring': { ...NIGHTLY, run: scoreAllRisks },
  'risk-training': { ...NIGHTLY, run: trainRiskModel },
  'risk-report': { ...NIGHTLY, run: keepRiskReport },
  // A run lasts some seconds. The ledger is the queue: a run that fails leaves nothing undone that the next one does not do.
  'reminder-delivery': {
    run: deliverReminders,
    quick: true,
    slots: 1,
    timeoutSeconds: 120,
    retries: 0,
    firstRetrySeconds: 1,
    lastRetrySeconds: 1,
  },
};

/** At the clinic's night; periods of benefits end at the midnight of any zone. */
export function schedules({ CLINIC_TIME_ZONE: timeZone }: Config): Schedule[] {
  return [
    { queue: 'benefit-expiry', payload: {}, cron: '5 * * * *', timeZone: 'UTC' },
    { queue: 'benefit-proof', payload: {}, cron: '30 3 * * *', timeZone },
    { queue: 'benefits-sync', payload: {}, cron: '0 3 * * *', timeZone },
    { queue: 'housekeeping', payload: {}, cron: '15 3 * * *', timeZone },
    { queue: 'provider-sync', payload: {}, cron: '*/15 * * * *', timeZone: 'UTC' },
    { queue: 'risk-nightly', payload: {}, cron: '0 2 * * *', timeZone },
    { queue: 'risk-report', payload: {}, cron: '0 4 * * 1', timeZone },
  ];
}
