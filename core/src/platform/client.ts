/**
 * The connection's client: statements with names, and transactions of few round trips.
 *
 * What need not be answered at once is held back and goes out in front of the next statement, in one write: the
 * word that begins a transaction, and the statements declared {@link unanswered}. Statements that do not wait for each
 * other leave in one write as well. The server runs all of them in this order, and after a failure refuses what follows
 * in the transaction, its commit too; the first failure is the one thrown.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { NamedQuery } from './named-query.ts';

/** Texts that get a name. A text that varies without end (a generated list) must not fill the server's memory. */
const MAX_STATEMENTS = 1_000;
const names = new Map<string, string>();

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (names.size >= MAX_STATEMENTS) return undefined;
  const name = createHash('sha256').update(text).digest('base64url').slice(0, 24);
  names.set(text, name);
  return name;
}

type Callback = (thrown: Error | null, result: unknown) => void;

/** Runs Kysely's (text, values), the one signature of pg's many that is used here, with or without a callback. */
export class NamedClient extends pg.Client {
  override query(...args: unknown[]): never {
    const [text, values, callback] = args;
    if (typeof text === 'string' && Array.isArray(values) && values.length > 0) {
      const name = nameOf(text);
      if (name === undefined) return super.query({ text, values }, callback as never) as never;
      return this.#named(new NamedQuery({ name, text, values }), callback as Callback | undefined) as never;
    }
    // Without values: the simple protocol, which alone can carry several statements at once.
    return super.query(...(args as [string])) as never;
  }

  #named(query: NamedQuery, callback: Callback | undefined): unknown {
    const submit = (done: Callback) => super.query(query as never, done as never);
    if (callback) return submit(callback);
    return new Promise((resolve, reject) => {
      void submit((thrown, result) => (thrown ? reject(thrown) : resolve(result)));
    });
  }
}

const heldBack = new Set<string>();

/**
 * Within a transaction this statement is written with the next one, at the latest the commit, and its failure is that
 * one's. For statements that write and whose answer nobody needs.
 */
export function unanswered(text: string): void {
  heldBack.add(text);
}

type Statement = readonly [text: string, values?: readonly unknown[] | undefined];

/** What PostgreSQL answers, as far as it is read. */
export interface Answer<Row = unknown> {
  readonly command: string;
  readonly rowCount: number | null;
  readonly rows: Row[];
}

const NOTHING: Answer<never> = { command: '', rowCount: 0, rows: [] };

/** Of a statement behind a failure that nobody has undone. */
const IN_FAILED_TRANSACTION = '25P02';

export class TransactionClient extends NamedClient {
  #isOpen = false;
  #held: Statement[] = [];
  /** The first one since the transaction began, or since something of it was undone. */
  #failure: Error | undefined;
  #savepoints = 0;
  #isCorked = false;

  constructor(config: pg.ClientConfig) {
    super({ ...config, pipeline: true });
  }

  override query(...args: unknown[]): never {
    const [text, values, callback] = args;
    // With a callback it is the pool's own.
    if (typeof text !== 'string' || typeof (callback ?? values) === 'function') return super.query(...args);
    return this.ask(text, values as unknown[] | undefined) as never;
  }

  /** The answer to one statement. Those that are asked in the same turn of the event loop leave in one write. */
  ask<Row>(text: string, values?: readonly unknown[]): Promise<Answer<Row>> {
    if (this.#isOpen && heldBack.has(text)) {
      this.#held.push([text, values]);
      return Promise.resolve(NOTHING);
    }
    return this.#send([text, values]) as Promise<Answer<Row>>;
  }

  /** Begins a transaction, with its first statement. */
  begin(): void {
    this.#isOpen = true;
    this.#failure = undefined;
    this.#held.push(['begin']);
  }

  /**
   * A place to come back to by {@link undo}. Each has a name of its own: one that a failure kept from being made must
   * not pass for an older one.
   */
  savepoint(): string {
    const savepoint = `savepoint p${++this.#savepoints}`;
    this.#held.push([savepoint]);
    return savepoint;
  }

  /**
   * Leaves the place: what came since belongs to what is around it. Throws what failed within; once all of it is
   * answered nothing can fail any more, and the word for it waits for the next statement.
   */
  async keep(savepoint: string): Promise<void> {
    const isAlone = this.#held.at(-1)?.[0] === savepoint;
    if (isAlone) this.#held.pop();
    else if (this.#held.length === 0 && !this.#failure) this.#held.push([`release ${savepoint}`]);
    else await this.ask(`release ${savepoint}`);
  }

  /** Undoes what came since; what was held back meanwhile is never sent. */
  async undo(savepoint: string): Promise<void> {
    const at = this.#held.findIndex(([text]) => text === savepoint);
    if (at >= 0) this.#held.length = at;
    else await this.ask(`rollback to ${savepoint}`);
  }

  #send(statement: Statement): Promise<Answer> {
    const [text] = statement;
    const held = this.#held;
    if (text === 'commit' || text === 'rollback') this.#isOpen = false;
    if (text.startsWith('rollback')) {
      this.#failure = undefined;
      this.#held = [];
      // What is undone need not be done first: a savepoint has sent what was held before it.
      return held[0]?.[0] === 'begin' ? Promise.resolve(NOTHING) : this.#answer(statement);
    }
    if (held.length === 0) return this.#answer(statement);
    this.#held = [];
    return this.#sendBehind(held, statement);
  }

  async #sendBehind(held: readonly Statement[], statement: Statement): Promise<Answer> {
    let failure: Error | undefined;
    this.#cork();
    for (const [text, values] of held) {
      const note = (thrown: Error | null) => {
        if (thrown === null) return;
        failure ??= thrown;
        this.#failure ??= thrown;
      };
      super.query(text, values, note);
      // Not even sent, it leaves the transaction whole, and a commit would succeed without it.
      if (failure) throw failure;
    }
    const answer = await this.#answer(statement);
    // A commit that follows a failure is answered like a rollback, without an error.
    if (failure) throw failure;
    return answer;
  }

  async #answer([text, values]: Statement): Promise<Answer> {
    this.#cork();
    const answer: Promise<Answer> = super.query(text, values);
    try {
      return await answer;
    } catch (thrown) {
      const isBehind = thrown instanceof pg.DatabaseError && thrown.code === IN_FAILED_TRANSACTION;
      if (isBehind && this.#failure) throw this.#failure;
      this.#failure ??= thrown as Error;
      throw thrown;
    }
  }

  /** Until the end of this turn. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { stream } = this.connection;
    stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }
}
