/**
 * How every call to the outside is made: with a time limit, tried again where that can help, refused at once while
 * the other side is down or has too much to do. So a slow neighbour does not become an outage of our own.
 *
 * No error that leaves an integration says whom a message was for or what it said.
 */
import {
  bulkhead,
  BulkheadRejectedError,
  BrokenCircuitError,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleType,
  retry,
  TaskCancelledError,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel';

/** It may work later: the other side is down, busy or too slow, or it is not configured. */
export class Unavailable extends Error {
  /** What the other side or the operating system calls it: `503`, `ECONNREFUSED`. */
  readonly code: string;
  constructor(code: string) {
    super(`The other side cannot be reached (${code})`);
    this.code = code;
  }
}

/** It will never work: the other side does not take this message, or does not know this address. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`The other side refuses (${code})`);
    this.code = code;
  }
}

export type Guarded = <T>(call: (signal: AbortSignal) => Promise<T>) => Promise<T>;

export interface GuardOptions {
  readonly timeoutMs: number;
  /** Calls at once from this process; twice as many may wait. */
  readonly atOnce: number;
  /** After the first attempt, in this call. A job has attempts of its own, minutes apart. */
  readonly retries: number;
  readonly firstRetryMs: number;
  /** So many failures in a row open the circuit: then calls are refused at once, until a single one gets through. */
  readonly failuresToOpen: number;
  readonly reopenAfterMs: number;
}

export const GUARD: GuardOptions = {
  timeoutMs: 10_000,
  atOnce: 8,
  retries: 2,
  firstRetryMs: 200,
  failuresToOpen: 5,
  reopenAfterMs: 10_000,
};

/** One guard per neighbour. What its calls throw is {@link Refused} or {@link Unavailable}. */
export function guard(options: GuardOptions = GUARD): Guarded {
  const transient = handleType(Unavailable).orType(TaskCancelledError);
  const policy = wrap(
    bulkhead(options.atOnce, options.atOnce * 2),
    retry(transient, {
      maxAttempts: options.retries,
      backoff: new ExponentialBackoff({ initialDelay: options.firstRetryMs }),
    }),
    circuitBreaker(transient, {
      halfOpenAfter: options.reopenAfterMs,
      breaker: new ConsecutiveBreaker(options.failuresToOpen),
    }),
    timeout(options.timeoutMs, TimeoutStrategy.Aggressive),
  );
  return async (call) => {
    try {
      return await policy.execute(({ signal }) => call(signal));
    } catch (thrown) {
      if (thrown instanceof BulkheadRejectedError) throw new Unavailable('OVERLOADED');
      if (thrown instanceof BrokenCircuitError) throw new Unavailable('CIRCUIT_OPEN');
      if (thrown instanceof TaskCancelledError) throw new Unavailable('TIMEOUT');
      throw thrown;
    }
  };
}
