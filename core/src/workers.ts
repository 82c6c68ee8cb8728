/** Every queue and every schedule on one screen: its rules, and which context does the work. */
import { forgetOldKeys } from '#platform/idempotency';
import type { Config } from '#platform/config';
import type { Answer, RunningJob } from '#platform/job-consumer';
import type { QueueRules, Schedule } from '#platform/job-queues';
import type { Queue, Queues } from '#platform/jobs';
import type { Scope } from '#platform/scope';
import type { Integrations } from './app.ts';

declare module '#platform/jobs' {
  interface Queues {
    housekeeping: Record<string, never>;
  }
}

/** What a worker gets: the system's scope, the payload, and the outside for the few that call it. */
export interface Work<Q extends Queue> extends Pick<RunningJob, 'attempt' | 'signal'> {
  readonly scope: Scope;
  readonly payload: Queues[Q];
  readonly integrations: Integrations;
}

export interface Worker<Q extends Queue> extends QueueRules {
  /** Jobs of this queue that one process runs at once. */
  readonly slots: number;
  /** Workers are told of a new job at once; else they find it within a second. */
  readonly quick?: true;
  run(work: Work<Q>): Promise<Answer>;
}

export const workers: { readonly [Q in Queue]: Worker<Q> } = {
  housekeeping: {
    slots: 1,
    timeoutSeconds: 300,
    retries: 3,
    firstRetrySeconds: 60,
    lastRetrySeconds: 900,
    run: async ({ scope }) => void (await forgetOldKeys(scope)),
  },
};

/** At the clinic's night. */
export function schedules({ CLINIC_TIME_ZONE: timeZone }: Config): Schedule[] {
  return [{ queue: 'housekeeping', payload: {}, cron: '15 3 * * *', timeZone }];
}
