/**
 * Runs the jobs of a process: for each queue so many at once, refilled as they finish.
 *
 * A running job is touched every few seconds. If its process dies the touches stop, and after ten seconds
 * pg-boss gives the job to another one; if only the connection was lost, the job's signal tells it to stop, and
 * what it answers no longer counts: pg-boss takes an answer only from the attempt that holds the job.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { newJob, type Queue, type Queues } from './jobs.ts';
import type { Log } from './log.ts';
import { pause } from './ticker.ts';

/** A worker's answer: run me again at this instant. It is a new start, not an attempt that failed. */
export class Snooze {
  readonly until: Temporal.Instant;
  constructor(until: Temporal.Instant) {
    this.until = until;
  }
}

/** A worker's answer: there is nothing left to do, and never will be. The reason is a constant, never data. */
export class Cancel {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** To return is to be done, to throw is to be tried again. */
export type Answer = undefined | Snooze | Cancel;

/** What becomes of a queue's jobs in this process. */
export interface Consumed {
  /** Jobs of this queue that one process runs at once. */
  readonly slots: number;
  /** A job that takes longer is told to stop and tried again. */
  readonly timeoutSeconds: number;
  run(job: RunningJob): Promise<Answer>;
}

export interface RunningJob {
  readonly id: string;
  readonly payload: Queues[Queue];
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborted on timeout, at shutdown, and when another process has taken the job over. */
  readonly signal: AbortSignal;
}

export interface ConsumerOptions {
  readonly boss: PgBoss;
  readonly pool: pg.Pool;
  readonly log: Log;
  readonly queues: Readonly<Record<string, Consumed>>;
  /** How long running jobs may go on when the consumer stops. What is not done by then is handed back. */
  readonly graceSeconds: number;
}

export interface Consumer extends AsyncDisposable {
  /** Looks at the queue now instead of at the next poll. */
  wake(queue: string): void;
}

const POLL_MS = 1_000;
const TOUCH_MS = 3_000;

type Claim = JobWithMetadata<Queues[Queue]>;

/** Begins to run jobs. Disposing of it takes no new ones, waits for those that run, and hands the rest back. */
export function consume(options: ConsumerOptions): Consumer {
  const lanes = new Map(Object.keys(options.queues).map((queue) => [queue, new Lane(queue, options)]));
  return {
    wake: (queue) => lanes.get(queue)?.wake(),
    async [Symbol.asyncDispose]() {
      await Promise.all(lanes.values().map((lane) => lane.stop()));
    },
  };
}

interface Running {
  readonly claim: Claim;
  readonly abort: AbortController;
}

/** One queue of this process. */
class Lane {
  readonly #queue: string;
  readonly #options: ConsumerOptions;
  readonly #consumed: Consumed;
  readonly #running = new Map<string, Running>();
  readonly #settling = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #stopped = new AbortController();
  readonly #fetching: Promise<void>;
  readonly #touching: Promise<void>;
  #backlog = false;
  #wake = Promise.withResolvers<void>();

  constructor(queue: string, options: ConsumerOptions) {
    this.#queue = queue;
    this.#options = options;
    this.#consumed = options.queues[queue] as Consumed;
    this.#fetching = this.#fetchUntilStopping();
    this.#touching = this.#touchUntilStopped();
  }

  wake(): void {
    this.#wake.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#fetching;
    await Promise.race([Promise.all(this.#settling), sleep(this.#options.graceSeconds * 1_000, undefined, UNREF)]);
    for (const { abort } of this.#running.values()) abort.abort(new ShuttingDown());
    await Promise.all(this.#settling);
    this.#stopped.abort();
    await this.#touching;
  }

  async #fetchUntilStopping(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = Promise.withResolvers();
      await this.#fill().catch((error: unknown) =>
        this.#options.log.error('Jobs could not be fetched', { queue: this.#queue, error }),
      );
      const poll = new AbortController();
      await Promise.race([this.#wake.promise, pause(POLL_MS, poll.signal)]);
      poll.abort();
    }
  }

  async #fill(): Promise<void> {
    const free = this.#consumed.slots - this.#running.size;
    if (free <= 0) return;
    const claims = await this.#options.boss.fetch<Queues[Queue]>(this.#queue, {
      batchSize: free,
      includeMetadata: true,
    });
    this.#backlog = claims.length === free;
    for (const claim of claims) this.#start(claim);
  }

  #start(claim: Claim): void {
    const running = { claim, abort: new AbortController() };
    this.#running.set(claim.id, running);
    const settling = this.#run(running)
      .catch((error: unknown) =>
        // The job stays claimed without a touch, so it is given out again.
        this.#options.log.error('A job could not be settled', { queue: this.#queue, jobId: claim.id, error }),
      )
      .finally(() => {
        this.#running.delete(claim.id);
        this.#settling.delete(settling);
        if (this.#backlog) this.wake();
      });
    this.#settling.add(settling);
  }

  async #run({ claim, abort }: Running): Promise<void> {
    const { boss, log } = this.#options;
    const job = { queue: this.#queue, jobId: claim.id, attempt: claim.retryCount + 1 };
    const timer = setTimeout(() => abort.abort(new TimedOut()), this.#consumed.timeoutSeconds * 1_000);
    try {
      const answer = await orAborted(
        this.#consumed.run({ id: claim.id, payload: claim.data, attempt: job.attempt, signal: abort.signal }),
        abort.signal,
      );
      if (answer instanceof Snooze) await this.#again(claim, answer.until);
      else if (answer instanceof Cancel) {
        log.info('A job is cancelled', { ...job, reason: answer.reason });
        await boss.cancel(this.#queue, claim);
      } else await boss.complete(this.#queue, claim);
    } catch (error) {
      if (error instanceof LostClaim) return;
      if (error instanceof ShuttingDown) return await this.#again(claim);
      log.warn('A job failed', { ...job, error });
      // The class alone: a message may quote data.
      await boss.fail(this.#queue, claim, { error: error instanceof Error ? error.constructor.name : typeof error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends this claim and adds the same job anew, both or neither. */
  async #again(claim: Claim, startAt?: Temporal.Instant): Promise<void> {
    const { boss, pool } = this.#options;
    const client = await pool.connect();
    try {
      const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values as unknown[]) };
      await client.query('begin');
      const { affected } = (await boss.complete(this.#queue, claim, null, { db })) as unknown as Settled;
      const options = {
        priority: claim.priority,
        ...(claim.singletonKey === null ? {} : { singletonKey: claim.singletonKey }),
        ...(startAt === undefined ? {} : { startAt }),
      };
      if (affected === 1) await boss.insert(this.#queue, [newJob(claim.data, options)], { db, returnId: false });
      await client.query('commit');
      client.release();
    } catch (thrown) {
      client.release(true);
      throw thrown;
    }
  }

  async #touchUntilStopped(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await pause(TOUCH_MS, this.#stopped.signal);
      await this.#touch().catch((error: unknown) =>
        this.#options.log.warn('Running jobs could not be touched', { queue: this.#queue, error }),
      );
    }
  }

  async #touch(): Promise<void> {
    const touched = [...this.#running.values()];
    if (touched.length === 0) return;
    const { boss } = this.#options;
    const { settled } = (await boss.touch(
      this.#queue,
      touched.map(({ claim }) => claim),
    )) as unknown as Settled;
    const held = new Set(settled);
    for (const { claim, abort } of touched) if (!held.has(claim.id)) abort.abort(new LostClaim());
  }
}

/** What pg-boss answers beyond its own types: how many of the attempts still held their job, and which. */
interface Settled {
  readonly affected: number;
  readonly settled: readonly string[];
}

class TimedOut extends Error {}
class ShuttingDown extends Error {}
class LostClaim extends Error {}

const UNREF = { ref: false };

/** A worker that does not listen to its signal is left behind: its slot is free and its answer ignored. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true });
  return Promise.race([work, aborted.promise]);
}
