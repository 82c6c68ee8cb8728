/**
 * The delivery of what is due. The ledger is its own queue: a run claims some, gives them to the providers many at once,
 * writes down what became of them as the answers come, and claims more, until nothing is due or its time is over.
 */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { onConnection } from '#platform/database';
import type { Log } from '#platform/log';
import { type Scope, transact } from '#platform/scope';
import { pause } from '#platform/ticker';
import type { Cap } from './cap.ts';
import { claim } from './claim.ts';
import { beginToClaim, unlockEverything, unlockMessages } from './claim-locks.ts';
import { recordOutcomes } from './outcome-record.ts';
import type { Answered, Message } from './outgoing.ts';
import { lookUp, takeLost } from './recovery.ts';
import { type Outside, send } from './send.ts';

declare module '#platform/jobs' {
  interface Queues {
    'reminder-delivery': Record<string, never>;
  }
}

export interface DeliveryOptions {
  readonly outside: Outside;
  readonly cap: Cap;
  readonly log: Log;
  /** Once it is aborted no call begins, and what was claimed for one is handed back. */
  readonly signal: AbortSignal;
}

const CLAIM = 200;
const RECOVER = 20;
/** Calls at once. The adapters' guards take as many. */
export const CALLS_AT_ONCE = 32;
/** So many answers are written down at once, or what there is after so long. */
const RECORD = 100;
const RECORD_WITHIN_MS = 100;
/** Shorter than a worker is given to end. */
const RUN_MS = 4_000;

/** Whether a run has something to do. For the system. */
export async function isDeliveryDue(scope: Scope): Promise<boolean> {
  return transact(scope, async ({ db, now }) => {
    const { rows } = await sql<{ due: boolean }>`
      select exists (select from notifications where status = 'PLANNED' and due_at <= ${now.toString()}::timestamptz)
        or exists (select from notifications
          where status = 'CLAIMED' and merged_into is null and lease_until < clock_timestamp()) as due`.execute(db);
    return rows[0]?.due ?? false;
  });
}

/** Has a worker deliver what is due, if anything is. For the system. */
export async function callForDelivery(scope: Scope): Promise<void> {
  if (!(await isDeliveryDue(scope))) return;
  await transact(scope, (scope) => scope.jobs.enqueue(scope, 'reminder-delivery', {}, { singletonKey: 'due' }));
}

/** Delivers for a few seconds. Returns whether more is due. For the system. */
export async function deliverDue(scope: Scope, options: DeliveryOptions): Promise<boolean> {
  return onConnection(scope.db, async ({ db }) => {
    const run = new Run({ ...scope, db }, options);
    try {
      return await run.toTheEnd();
    } finally {
      // Whatever went wrong: what was claimed is nobody's now, and is looked for at the provider.
      await unlockEverything({ ...scope, db }).catch(() => undefined);
    }
  });
}

/** One run, on one connection, which keeps the locks. Its statements wait for one another; its calls do not. */
class Run {
  readonly #scope: Scope;
  readonly #options: DeliveryOptions;
  readonly #claimant = randomUUID();
  readonly #over: AbortSignal;
  readonly #waiting: Message[] = [];
  readonly #calls = new Set<Promise<void>>();
  #answers: Answered[] = [];
  #more = true;
  #isDown = false;

  constructor(scope: Scope, options: DeliveryOptions) {
    this.#scope = scope;
    this.#options = options;
    this.#over = AbortSignal.any([options.signal, AbortSignal.timeout(RUN_MS)]);
  }

  async toTheEnd(): Promise<boolean> {
    await beginToClaim(this.#scope, this.#claimant);
    await this.#recover();
    for (;;) {
      if (this.#mayClaim()) await this.#claim();
      if (this.#options.signal.aborted) this.#handBack();
      this.#call();
      if (this.#calls.size === 0 && this.#answers.length === 0) return this.#more && !this.#isDown;
      await this.#answered();
      await this.#record();
    }
  }

  async #recover(): Promise<void> {
    const lost = await takeLost(this.#scope, { claimant: this.#claimant, limit: RECOVER });
    if (lost.length === 0) return;
    this.#options.log.warn('Messages whose worker is gone are looked for', { count: lost.length });
    await this.#write(await lookUp(this.#scope, this.#options.outside, lost));
  }

  #mayClaim(): boolean {
    return this.#more && !this.#isDown && !this.#over.aborted && this.#waiting.length < CALLS_AT_ONCE;
  }

  async #claim(): Promise<void> {
    const { claimant, limit } = { claimant: this.#claimant, limit: CLAIM };
    const { messages, more } = await claim(this.#scope, { claimant, limit, cap: this.#options.cap });
    this.#waiting.push(...messages);
    this.#more = more;
  }

  #handBack(): void {
    for (const message of this.#waiting.splice(0)) this.#answers.push({ message, outcome: { kind: 'NOT_SENT' } });
  }

  #call(): void {
    while (this.#waiting.length > 0 && this.#calls.size < CALLS_AT_ONCE && !this.#options.signal.aborted) {
      const message = this.#waiting.shift() as Message;
      const call: Promise<void> = send(this.#options.outside, message).then((outcome) => {
        this.#answers.push({ message, outcome });
        this.#calls.delete(call);
        this.#call();
      });
      this.#calls.add(call);
    }
  }

  /** Until there is enough to write down, or room for more. */
  async #answered(): Promise<void> {
    const waited = new AbortController();
    const timeout = pause(RECORD_WITHIN_MS, waited.signal).then(() => 'late' as const);
    while (this.#calls.size > 0 && this.#answers.length < RECORD && !this.#mayClaim()) {
      if ((await Promise.race([timeout, ...this.#calls])) === 'late') break;
    }
    waited.abort();
  }

  async #record(): Promise<void> {
    const answers = this.#answers;
    this.#answers = [];
    if (answers.length === 0) return;
    // Not behind the write: whoever waits for the lock may hold what the write waits for.
    await unlockMessages(
      this.#scope,
      answers.flatMap(({ message }) => message.rows.map(({ id }) => id)),
    );
    await this.#write(answers);
    if (answers.every(({ outcome }) => outcome.kind === 'UNAVAILABLE')) this.#isDown = true;
  }

  async #write(answers: readonly Answered[]): Promise<void> {
    const failed = await recordOutcomes(this.#scope, answers);
    if (failed.length > 0) {
      this.#options.log.error('What became of messages could not be recorded', { count: failed.length });
    }
  }
}
