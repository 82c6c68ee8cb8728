/**
 * Looks after the guards of this process: tells everybody how they are, and does to them what admins order, wherever
 * the order was given. No call begins before the orders are known, so one holds over restarts too.
 */
import { type Guard, guard, GUARD, type Guarded, type GuardOptions, NotBegun } from '#integrations/guard';
import type { Clock } from '#platform/clock';
import type { Log } from '#platform/log';
import type { PubSub } from '#platform/pubsub';
import { sayOnce } from '#platform/repetition';
import { type Scope, transact } from '#platform/scope';
import { pause, type Ticker, ticker } from '#platform/ticker';
import { findOrders, forgetSilent, leave, type Order, type Reports, tell } from './reports.ts';
import type { Neighbour } from './state.ts';

/** Tells processes that there is an order. */
export const ORDERS_CHANNEL = 'neighbours';

export interface AttendantOptions {
  /** By the system. */
  readonly scope: () => Scope;
  readonly pubsub: PubSub;
  readonly clock: Clock;
  readonly log: Log;
  /** This process: host and process id. */
  readonly node: string;
}

export interface Neighbours extends AsyncDisposable {
  /** The guard of a neighbour. Its calls wait until the orders are known, and begin only then. */
  guard(name: Neighbour, options?: GuardOptions): Guarded;
  /** From now on carries out the orders, and tells how the guards are. Again: does nothing. */
  attend(): void;
}

const BEAT_MS = 1_000;
/** Nothing new is told in so many beats at the latest. */
const TELL_ANYWAY_BEATS = 3;
const LEAVE_WITHIN_MS = 2_000;

export class Attendant implements Neighbours {
  readonly #options: AttendantOptions;
  readonly #guards = new Map<Neighbour, Guard>();
  readonly #carriedOut = new Map<string, number>();
  #learning: Promise<void> | undefined;
  #ticker: Ticker | undefined;
  #unsubscribe: (() => void) | undefined;
  #told: Reports = new Map();
  #beats = 0;
  #ordered = false;

  constructor(options: AttendantOptions) {
    this.#options = options;
  }

  guard(name: Neighbour, options: GuardOptions = GUARD): Guarded {
    const made = guard(options, this.#options.clock);
    this.#guards.set(name, made);
    return {
      ask: async (call) => {
        await this.#ordersKnown();
        return made.ask(call);
      },
      send: async (call) => {
        await this.#ordersKnown();
        return made.send(call);
      },
    };
  }

  async #ordersKnown(): Promise<void> {
    this.attend();
    this.#learning ??= this.#learn();
    await this.#learning.catch(() => {
      this.#learning = undefined;
      throw new NotBegun('ORDERS_UNKNOWN');
    });
  }

  attend(): void {
    if (this.#ticker !== undefined) return;
    const { pubsub, log } = this.#options;
    const beat = ticker({
      everyMs: BEAT_MS,
      run: () => this.#beat(),
      onError: sayOnce((error, count) => log.warn('How neighbours are could not be told', { error, count })),
    });
    const look = () => {
      this.#ordered = true;
      beat.wake();
    };
    this.#ticker = beat;
    this.#unsubscribe = pubsub.subscribe(ORDERS_CHANNEL, { message: look, reconnected: look });
    beat.wake();
  }

  async #learn(): Promise<void> {
    this.#carryOut(await transact(this.#options.scope(), findOrders));
  }

  #carryOut(orders: readonly Order[]): void {
    for (const { name, revision, tripped } of orders) {
      // Two looks may cross: an older order is never carried out after a newer one.
      if (revision <= (this.#carriedOut.get(name) ?? 0)) continue;
      this.#carriedOut.set(name, revision);
      const guard = this.#guards.get(name as Neighbour);
      if (tripped) guard?.trip();
      else guard?.reset();
    }
  }

  async #beat(): Promise<void> {
    const now = this.#reports();
    const late = ++this.#beats >= TELL_ANYWAY_BEATS;
    if (!late && !this.#ordered && textOf(now) === textOf(this.#told)) return;
    this.#ordered = false;
    await this.#learn();
    await this.#tell(forgetSilent);
    this.#beats = 0;
  }

  async #tell(then: (scope: Scope) => Promise<void>): Promise<void> {
    const now = this.#reports();
    await transact(this.#options.scope(), async (scope) => {
      await tell(scope, { node: this.#options.node, now, before: this.#told });
      await then(scope);
    });
    this.#told = now;
  }

  #reports(): Reports {
    return new Map([...this.#guards].map(([name, guard]) => [name, guard.report()]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ticker === undefined) return;
    this.#unsubscribe?.();
    await this.#ticker[Symbol.asyncDispose]();
    const { node } = this.#options;
    // A database that does not answer any more forgets this process by itself.
    const over = new AbortController();
    const left = this.#tell((scope) => leave(scope, node)).catch(() => undefined);
    await Promise.race([left, pause(LEAVE_WITHIN_MS, over.signal)]);
    over.abort();
  }
}

const textOf = (reports: Reports): string => JSON.stringify([...reports]);
