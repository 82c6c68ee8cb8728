/**
 * Runs the jobs of a process: for each queue so many at once, refilled as they finish.
 *
 * The process says every few seconds that a running job is alive. If it dies the job is given to another one (see
 * job-claims.ts); if only the connection was lost, or somebody cancelled the job, its signal tells it to stop, and what
 * it answers no longer counts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Claim, Claims, type ClaimsOptions, reclaim } from './job-claims.ts';
import type { QueueLimits } from './job-queues.ts';
import type { Queue, Queues } from './jobs.ts';
import type { Log } from './log.ts';
import { pause, ticker } from './ticker.ts';

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
export interface Consumed extends QueueLimits {
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
  /** Aborted on timeout, at shutdown, when the job is cancelled, and when another process has taken it over. */
  readonly signal: AbortSignal;
}

export interface ConsumerOptions extends ClaimsOptions {
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
const SHORTEST_POLL_MS = 100;
const KEEP_MS = 3_000;
const RECLAIM_MS = 1_000;

/** Begins to run jobs. Disposing of it takes no new ones, waits for those that run, and hands the rest back. */
export function consume(options: ConsumerOptions): Consumer {
  const queues = Object.keys(options.queues);
  const lanes = new Map(queues.map((queue) => [queue, new Lane(queue, options)]));
  const reclaimer = ticker({
    everyMs: RECLAIM_MS,
    async run() {
      for (const queue of await reclaim(queues, options)) lanes.get(queue)?.wake();
    },
    onError: (error) => options.log.error('Lost jobs could not be looked for', { error }),
  });
  return {
    wake: (queue) => lanes.get(queue)?.wake(),
    async [Symbol.asyncDispose]() {
      await Promise.all(lanes.values().map((lane) => lane.stop()));
      await reclaimer[Symbol.asyncDispose]();
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
  readonly #claims: Claims;
  readonly #running = new Map<string, Running>();
  readonly #settling = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #stopped = new AbortController();
  readonly #fetching: Promise<void>;
  readonly #keeping: Promise<void>;
  #backlog = false;
  #wake = Promise.withResolvers<void>();

  constructor(queue: string, options: ConsumerOptions) {
    this.#queue = queue;
    this.#options = options;
    this.#consumed = options.queues[queue] as Consumed;
    this.#claims = new Claims(queue, options);
    this.#fetching = this.#fetchUntilStopping();
    this.#keeping = this.#keepUntilStopped();
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
    await this.#keeping;
  }

  async #fetchUntilStopping(): Promise<void> {
    const pollMs = pollOf(this.#consumed);
    while (!this.#stopping.signal.aborted) {
      this.#wake = Promise.withResolvers();
      await this.#fill().catch((error: unknown) =>
        this.#options.log.error('Jobs could not be fetched', { queue: this.#queue, error }),
      );
      const poll = new AbortController();
      await Promise.race([this.#wake.promise, pause(pollMs, poll.signal)]);
      poll.abort();
    }
  }

  async #fill(): Promise<void> {
    const free = this.#consumed.slots - this.#running.size;
    if (free <= 0) return;
    const claims = await this.#claims.take(free);
    // Under a limit there may be more to do although it gave less than was asked for.
    this.#backlog = claims.length === free || isLimited(this.#consumed);
    for (const claim of claims) this.#start(claim);
  }

  #start(claim: Claim): void {
    const running = { claim, abort: new AbortController() };
    this.#running.set(claim.id, running);
    const settling = this.#run(running)
      .catch((error: unknown) =>
        // Nobody says any more that it is alive, so it is given out again.
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
    const timer = setTimeout(() => abort.abort(new TimedOut()), this.#consumed.timeoutSeconds * 1_000);
    const { id, data: payload, attempt } = claim;
    try {
      const answer = await orAborted(this.#consumed.run({ id, payload, attempt, signal: abort.signal }), abort.signal);
      await this.#settle(claim, answer);
    } catch (error) {
      await this.#settleFailed(claim, error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #settle(claim: Claim, answer: Answer): Promise<void> {
    if (answer instanceof Snooze) await this.#claims.again(claim, 'SNOOZED', answer.until);
    else if (answer instanceof Cancel) {
      const { id: jobId, attempt } = claim;
      this.#options.log.info('A job is cancelled', { queue: this.#queue, jobId, attempt, reason: answer.reason });
      await this.#claims.cancel(claim);
    } else await this.#claims.complete(claim);
  }

  async #settleFailed(claim: Claim, error: unknown): Promise<void> {
    if (error instanceof LostClaim) return this.#claims.letGo(claim);
    if (error instanceof ShuttingDown) return this.#claims.again(claim, 'HANDED_BACK');
    this.#options.log.warn('A job failed', { queue: this.#queue, jobId: claim.id, attempt: claim.attempt, error });
    // The class alone: a message may quote data.
    const errorClass = error instanceof Error ? error.constructor.name : typeof error;
    await this.#claims.fail(claim, error instanceof TimedOut ? 'TIMED_OUT' : 'FAILED', errorClass);
  }

  async #keepUntilStopped(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await pause(KEEP_MS, this.#stopped.signal);
      await this.#keep().catch((error: unknown) =>
        this.#options.log.warn('Running jobs could not be kept', { queue: this.#queue, error }),
      );
    }
  }

  async #keep(): Promise<void> {
    const kept = [...this.#running.values()];
    if (kept.length === 0) return;
    const held = await this.#claims.keep(kept.map(({ claim }) => claim));
    for (const { claim, abort } of kept) if (!held.has(claim.id)) abort.abort(new LostClaim());
  }
}

function isLimited({ atOnce, rate }: QueueLimits): boolean {
  return atOnce !== undefined || rate !== undefined;
}

/** A rate is used up to its end only by those who look often enough. */
function pollOf({ rate }: QueueLimits): number {
  return rate ? Math.min(POLL_MS, Math.max(SHORTEST_POLL_MS, (rate.seconds * 1_000) / rate.starts)) : POLL_MS;
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
