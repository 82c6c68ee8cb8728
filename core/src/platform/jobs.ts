/** Jobs: work that follows from a change, written in the change's own transaction. The queue is the outbox. */
import type { Scope } from './scope.ts';

/** Every queue and its payload. Contexts merge theirs in. Payloads carry ids, never PHI. */
// oxlint-disable-next-line typescript/no-empty-interface -- filled by declaration merging
export interface Queues {}

export type Queue = keyof Queues;

export interface JobOptions {
  /** Not before this instant; now unless given. */
  readonly startAt?: Temporal.Instant;
  /** At most one waiting job per queue and key. */
  readonly singletonKey?: string;
  /** Larger runs first; 0 unless given. */
  readonly priority?: number;
}

/** The producing side, carried by the scope. */
export interface Jobs {
  enqueue<Q extends Queue>(scope: Scope, queue: Q, payload: Queues[Q], options?: JobOptions): Promise<void>;
}
