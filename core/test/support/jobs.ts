/** Queues of the tests' own, and what runs them. */
import type { PgBoss } from 'pg-boss';
import { type Db, openPool } from '../../src/platform/database.ts';
import {
  type Answer,
  consume,
  type Consumed,
  type Consumer,
  type RunningJob,
} from '../../src/platform/job-consumer.ts';
import { declareQueues, type QueueRules } from '../../src/platform/job-queues.ts';
import { createJobs, type JobOptions, type NewJob, openBoss, type Queue } from '../../src/platform/jobs.ts';
import { createLog } from '../../src/platform/log.ts';
import { type Scope, SYSTEM } from '../../src/platform/scope.ts';

export const quiet = createLog('silent');

export const RULES: QueueRules = { timeoutSeconds: 20, retries: 1, firstRetrySeconds: 1, lastRetrySeconds: 1 };

export async function declareTestQueues(adminUrl: string, ...queues: string[]): Promise<void> {
  await declareQueues(
    adminUrl,
    { queues: Object.fromEntries(queues.map((queue) => [queue, RULES])), schedules: [] },
    quiet,
  );
}

export interface TestJobs extends AsyncDisposable {
  readonly boss: PgBoss;
  enqueue(scope: Scope, queue: string, payload: object, options?: JobOptions): Promise<void>;
  enqueueAll(scope: Scope, queue: string, jobs: readonly (JobOptions & { payload: object })[]): Promise<void>;
  /** Runs a queue until disposed of. */
  run(
    queue: string,
    run: (job: RunningJob) => Promise<Answer>,
    more?: Partial<Consumed & { graceSeconds: number }>,
  ): Consumer;
}

export function openTestJobs(url: string, notify: (queue: string) => void = () => undefined): TestJobs {
  const pool = openPool(url, { max: 4, role: 'careflex_system' });
  const boss = openBoss({ pool, log: quiet, maintain: false });
  const jobs = createJobs({ boss, quick: new Set(['quick']), notify });
  return {
    boss,
    enqueue: (scope, queue, ...rest) => jobs.enqueue(scope, queue as Queue, ...(rest as [never])),
    enqueueAll: (scope, queue, all) => jobs.enqueueAll(scope, queue as Queue, all as readonly NewJob<Queue>[]),
    run(queue, run, { graceSeconds = 5, ...more } = {}) {
      const consumed = { slots: 4, timeoutSeconds: 20, run, ...more };
      return consume({
        boss,
        pool,
        log: quiet,
        node: `test:${process.pid}`,
        queues: { [queue]: consumed },
        graceSeconds,
      });
    },
    async [Symbol.asyncDispose]() {
      await boss.stop({ graceful: false });
      await pool.end();
    },
  };
}

/** A queue whose items are awaited one by one. */
export class Arrivals<T> {
  readonly #items: T[] = [];
  #more = Promise.withResolvers<void>();
  add(item: T): undefined {
    this.#items.push(item);
    this.#more.resolve();
  }
  get size(): number {
    return this.#items.length;
  }
  async next(): Promise<T> {
    while (this.#items.length === 0) {
      this.#more = Promise.withResolvers();
      await this.#more.promise;
    }
    return this.#items.shift() as T;
  }
}

/** A scope of a process of its own, for what needs no more than database and jobs. */
export function scopeOfProcess(db: Db, jobs: TestJobs): Scope {
  const request = { id: 'process', ip: null, userAgent: null };
  return { db, jobs, actor: SYSTEM, request, now: Temporal.Now.instant() } as unknown as Scope;
}
