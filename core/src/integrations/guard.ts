/**
 * How every call to the outside is made: with a time limit, tried again where that can help, refused at once while
 * the other side is down or has too much to do. So a slow neighbour does not become an outage of our own.
 *
 * What must happen once is never tried again while it may have happened. No error that leaves an integration says
 * whom a message was for or what it said, and a guard remembers nothing of one but its code.
 */
import {
  bulkhead,
  BulkheadRejectedError,
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleType,
  isIsolatedCircuitError,
  retry,
  TaskCancelledError,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel';
import { type Clock, systemClock } from '#platform/clock';

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

/** The guard refuses it by itself: nothing was begun. */
export class NotBegun extends Unavailable {}

type Call<T> = (signal: AbortSignal) => Promise<T>;

export interface Guarded {
  /** What may be asked twice; a timeout too is tried again. Throws {@link Refused} or {@link Unavailable}. */
  ask<T>(call: Call<T>): Promise<T>;
  /** What must not happen twice: tried again only after {@link Unavailable}. A timeout is {@link Unknown}. */
  send<T>(call: Call<T>): Promise<T>;
}

export const GUARD_STATES = ['CLOSED', 'HALF_OPEN', 'OPEN', 'TRIPPED'] as const;
/** OPEN refuses for a while by itself, HALF_OPEN tries with one call, TRIPPED refuses until somebody resets it. */
export type GuardState = (typeof GUARD_STATES)[number];

export interface GuardReport {
  readonly state: GuardState;
  /** Calls by how they ended: the other side did it, said no, could not be reached or did not answer; never begun. */
  readonly succeeded: number;
  readonly refused: number;
  readonly failed: number;
  readonly rejected: number;
  /** Attempts after the first one of a call, and attempts that took too long. */
  readonly retries: number;
  readonly timeouts: number;
  readonly running: number;
  readonly waiting: number;
  /** Of the last attempt that failed. */
  readonly lastErrorCode: string | null;
  readonly lastErrorAt: Temporal.Instant | null;
}

export interface Guard extends Guarded {
  report(): GuardReport;
  /** Refuses every call at once from now on; those that run go on. */
  trip(): void;
  /** Lets calls through again, whoever has stopped them. */
  reset(): void;
}

export interface GuardOptions {
  readonly timeoutMs: number;
  /** Calls at once from this process; twice as many may wait. */
  readonly atOnce: number;
  /** After the first attempt, in this call. A job has attempts of its own, minutes apart. */
  readonly retries: number;
  /** About how long before the first one; each further one about twice as long, and none as long as another caller's. */
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

const unanswered = handleType(Unknown).orType(TaskCancelledError);
const failed = unanswered.orType(Unavailable);

/** One guard per neighbour. */
export function guard(options: GuardOptions = GUARD, clock: Clock = systemClock): Guard {
  const tally = new Tally(clock);
  const room = bulkhead(options.atOnce, options.atOnce * 2);
  const breaker = new ConsecutiveBreaker(options.failuresToOpen);
  const circuit = circuitBreaker(failed, { halfOpenAfter: options.reopenAfterMs, breaker });
  circuit.onFailure(({ reason }) => tally.attemptFailed('error' in reason ? reason.error : undefined));
  const inTime = timeout(options.timeoutMs, TimeoutStrategy.Aggressive);
  inTime.onTimeout(() => tally.timeouts++);
  const again = (policy: typeof failed) => {
    // Each wait is a random one: callers who failed together do not come back together.
    const backoff = new ExponentialBackoff({ initialDelay: options.firstRetryMs });
    const trying = retry(policy, { maxAttempts: options.retries, backoff });
    trying.onRetry(() => tally.retries++);
    return trying;
  };
  const asking = wrap(room, again(failed), circuit, inTime);
  const sending = wrap(room, again(handleType(Unavailable)), circuit, inTime);
  let tripped: { dispose(): void } | undefined;
  return {
    ask: (call) => tally.counting(() => asking.execute(({ signal }) => call(signal)), toAsked),
    send: (call) => tally.counting(() => sending.execute(({ signal }) => call(signal)), toSent),
    trip() {
      tripped ??= circuit.isolate();
    },
    reset() {
      // Ends its own pause as well as ours.
      const held = tripped ?? circuit.isolate();
      tripped = undefined;
      breaker.success();
      held.dispose();
    },
    report: () => ({
      ...tally.counts(),
      state: STATES[circuit.state],
      running: options.atOnce - room.executionSlots,
      waiting: options.atOnce * 2 - room.queueSlots,
    }),
  };
}

const STATES: Readonly<Record<CircuitState, GuardState>> = {
  [CircuitState.Closed]: 'CLOSED',
  [CircuitState.HalfOpen]: 'HALF_OPEN',
  [CircuitState.Open]: 'OPEN',
  [CircuitState.Isolated]: 'TRIPPED',
};

function toAsked(thrown: unknown): unknown {
  if (thrown instanceof Unknown) return new Unavailable(thrown.code);
  return thrown instanceof TaskCancelledError ? new Unavailable('TIMEOUT') : withoutBegun(thrown);
}

function toSent(thrown: unknown): unknown {
  return thrown instanceof TaskCancelledError ? new Unknown('TIMEOUT') : withoutBegun(thrown);
}

/** What the guard itself refuses was never begun. */
function withoutBegun(thrown: unknown): unknown {
  if (thrown instanceof BulkheadRejectedError) return new NotBegun('OVERLOADED');
  if (isIsolatedCircuitError(thrown)) return new NotBegun('TRIPPED');
  return thrown instanceof BrokenCircuitError ? new NotBegun('CIRCUIT_OPEN') : thrown;
}

type Counts = Omit<GuardReport, 'state' | 'running' | 'waiting'>;

class Tally {
  retries = 0;
  timeouts = 0;
  readonly #clock: Clock;
  readonly #ended = { succeeded: 0, refused: 0, failed: 0, rejected: 0 };
  #lastErrorCode: string | null = null;
  #lastErrorAt: Temporal.Instant | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async counting<T>(call: () => Promise<T>, toError: (thrown: unknown) => unknown): Promise<T> {
    try {
      const answer = await call();
      this.#ended.succeeded++;
      return answer;
    } catch (thrown) {
      const error = toError(thrown);
      this.#ended[endOf(error)]++;
      throw error;
    }
  }

  attemptFailed(error: unknown): void {
    if (error instanceof Refused) return;
    this.#lastErrorCode = codeOf(error);
    this.#lastErrorAt = this.#clock.now();
  }

  counts(): Counts {
    const { retries, timeouts } = this;
    return {
      ...this.#ended,
      retries,
      timeouts,
      lastErrorCode: this.#lastErrorCode,
      lastErrorAt: this.#lastErrorAt,
    };
  }
}

function endOf(error: unknown): 'refused' | 'failed' | 'rejected' {
  if (error instanceof NotBegun) return 'rejected';
  return error instanceof Refused ? 'refused' : 'failed';
}

/** A status, a provider's number, or a name such as ECONNRESET: nothing else that the other side may have said. */
const CODE = /^(\d{3,5}|[A-Z][A-Z0-9]*(_[A-Z0-9]+)*)$/;
const LONGEST_CODE = 40;

function codeOf(error: unknown): string {
  if (error instanceof TaskCancelledError) return 'TIMEOUT';
  if (!(error instanceof Unavailable || error instanceof Unknown)) return 'UNEXPECTED';
  return CODE.test(error.code) && error.code.length <= LONGEST_CODE ? error.code : 'OTHER';
}
