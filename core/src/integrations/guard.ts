/**
 * How every call to the outside is made: with a time limit, tried again where that can help, refused at once while
 * the other side is down or has too much to do. So a slow neighbour does not become an outage of our own.
 *
 * What must happen once is never tried again while it may have happened. No error that leaves an integration says
 * whom a message was for or what it said.
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

/** It did not happen and may work later: the other side is down or busy, or it is not configured. */
export class Unavailable extends Error {
  /** What the other side or the operating system calls it: `503`, `ECONNREFUSED`. */
  readonly code: string;
  constructor(code: string) {
    super(`The other side cannot be reached (${code})`);
    this.code = code;
  }
}

/** It did not happen and never will: the other side does not take this message, or does not know this address. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`The other side refuses (${code})`);
    this.code = code;
  }
}

/** It may have happened: the call went out, and no answer came that says yes or no. Look before doing it again. */
export class Unknown extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`The other side may have done it or not (${code})`);
    this.code = code;
  }
}

type Call<T> = (signal: AbortSignal) => Promise<T>;

export interface Guarded {
  /** What may be asked twice; a timeout too is tried again. Throws {@link Refused} or {@link Unavailable}. */
  ask<T>(call: Call<T>): Promise<T>;
  /** What must not happen twice: tried again only after {@link Unavailable}. A timeout is {@link Unknown}. */
  send<T>(call: Call<T>): Promise<T>;
}

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

/** One guard per neighbour. */
export function guard(options: GuardOptions = GUARD): Guarded {
  const unanswered = handleType(Unknown).orType(TaskCancelledError);
  const failed = unanswered.orType(Unavailable);
  const room = bulkhead(options.atOnce, options.atOnce * 2);
  const circuit = circuitBreaker(failed, {
    halfOpenAfter: options.reopenAfterMs,
    breaker: new ConsecutiveBreaker(options.failuresToOpen),
  });
  const again = {
    maxAttempts: options.retries,
    backoff: new ExponentialBackoff({ initialDelay: options.firstRetryMs }),
  };
  const inTime = timeout(options.timeoutMs, TimeoutStrategy.Aggressive);
  const asking = wrap(room, retry(failed, again), circuit, inTime);
  const sending = wrap(room, retry(handleType(Unavailable), again), circuit, inTime);
  return {
    async ask(call) {
      try {
        return await asking.execute(({ signal }) => call(signal));
      } catch (thrown) {
        if (thrown instanceof Unknown) throw new Unavailable(thrown.code);
        if (thrown instanceof TaskCancelledError) throw new Unavailable('TIMEOUT');
        throw withoutBegun(thrown);
      }
    },
    async send(call) {
      try {
        return await sending.execute(({ signal }) => call(signal));
      } catch (thrown) {
        if (thrown instanceof TaskCancelledError) throw new Unknown('TIMEOUT');
        throw withoutBegun(thrown);
      }
    },
  };
}

/** What the guard itself refuses was never begun. */
function withoutBegun(thrown: unknown): unknown {
  if (thrown instanceof BulkheadRejectedError) return new Unavailable('OVERLOADED');
  if (thrown instanceof BrokenCircuitError) return new Unavailable('CIRCUIT_OPEN');
  return thrown;
}
