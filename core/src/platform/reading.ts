/**
 * One transaction for what a request reads, where it would be several that follow each other: visits, then their
 * patients, then their providers. Each of them still is a `transact` of its own to who calls it: what it throws undoes
 * what it did, and nothing else; the session is checked with the first.
 *
 * What is read may only be answered once `end` has committed it: the entries of the audit trail are in there. While
 * the request waits for something else than its reads, no transaction is left open.
 */
import { type Lent, lend } from './database.ts';
import { asUnauthenticated, become, close, commit, enter, type Reads, type Scope, type Transaction } from './scope.ts';

interface Open {
  readonly lent: Lent;
  readonly transaction: Transaction;
}

type Work<T> = (scope: Scope) => Promise<T>;

export class Reading implements Reads {
  #open: Open | null = null;
  /** One after the other: they share a connection, and take turns at its role. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #failure: { readonly thrown: unknown } | null = null;

  run<T>(scope: Scope, work: Work<T>): Promise<T> {
    return this.#next(() => this.#read(scope, work));
  }

  /** Commits what was read. Throws when that failed, now or before: then nothing of it may be answered. */
  async end(): Promise<void> {
    await this.#next(() => this.#commit());
    if (this.#failure) throw this.#failure.thrown;
  }

  #next<T>(turn: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(turn).finally(() => {
      if (--this.#waiting === 0 && this.#open) setImmediate(() => this.#leave());
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Nothing has followed in this turn of the event loop: the connection is others' again. */
  #leave(): void {
    if (this.#waiting === 0 && this.#open) void this.#next(() => this.#commit());
  }

  async #read<T>(scope: Scope, work: Work<T>): Promise<T> {
    if (this.#failure) throw this.#failure.thrown;
    return this.#open ? this.#goOn(this.#open, scope, work) : this.#begin(scope, work);
  }

  async #begin<T>(scope: Scope, work: Work<T>): Promise<T> {
    const lent = await lend(scope.db);
    const transaction: Transaction = { actor: scope.actor, afterCommit: [], left: new Map() };
    const inner = { ...scope, db: lent.db, transaction };
    try {
      lent.client.begin();
      await enter(inner);
      const result = await work(inner);
      await close(inner, transaction);
      this.#open = { lent, transaction };
      return result;
    } catch (thrown) {
      await rollback(lent);
      throw asUnauthenticated(thrown);
    }
  }

  async #goOn<T>({ lent, transaction }: Open, scope: Scope, work: Work<T>): Promise<T> {
    const before = { actor: transaction.actor, hooks: transaction.afterCommit.length };
    const inner = { ...scope, db: lent.db, transaction };
    const savepoint = lent.client.savepoint();
    try {
      await become(inner, transaction, scope.actor);
      const result = await work(inner);
      await close(inner, transaction);
      return result;
    } catch (thrown) {
      transaction.actor = before.actor;
      transaction.afterCommit.length = before.hooks;
      transaction.left.clear();
      await lent.client.undo(savepoint).catch(() => this.#lose(lent, thrown));
      throw asUnauthenticated(thrown);
    }
  }

  async #commit(): Promise<void> {
    if (!this.#open) return;
    const { lent, transaction } = this.#open;
    try {
      await commit(lent.client);
    } catch (thrown) {
      return this.#lose(lent, asUnauthenticated(thrown));
    }
    this.#open = null;
    lent.giveBack();
    for (const callback of transaction.afterCommit) callback();
  }

  /** What was read before is lost as well, and with it its audit entries. */
  async #lose(lent: Lent, thrown: unknown): Promise<void> {
    this.#failure = { thrown };
    this.#open = null;
    await rollback(lent);
  }
}

/** When the connection itself is gone there is nothing to roll back. */
async function rollback({ client, giveBack }: Lent): Promise<void> {
  await client.ask('rollback').catch(() => undefined);
  giveBack();
}
