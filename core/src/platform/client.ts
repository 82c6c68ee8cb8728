/**
 * The connection's client: statements with names, and transactions of few round trips.
 *
 * What need not be answered at once is held back and goes out in front of the next statement, in one write: the
 * words that begin a transaction, and the statements declared {@link unanswered}. The server runs them in this order,
 * and after a failure refuses what follows in the transaction, its commit too; the first failure is the one thrown.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';

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

/** Runs Kysely's (text, values), the one signature of pg's many that is used here. */
export class NamedClient extends pg.Client {
  override query(...args: unknown[]): never {
    const [text, values] = args;
    if (typeof text === 'string' && Array.isArray(values) && values.length > 0) {
      const name = nameOf(text);
      const query = name === undefined ? { text, values } : { name, text, values };
      return super.query(query, ...(args.slice(2) as [])) as never;
    }
    // Without values: the simple protocol, which alone can carry several statements at once.
    return super.query(...(args as [string])) as never;
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

type Statement = readonly [text: string, values?: unknown];

/** What Kysely makes of an answer without rows. */
const NOTHING = { command: '', rowCount: 0, rows: [] };

export class TransactionClient extends NamedClient {
  #isOpen = false;
  #held: Statement[] = [];

  constructor(config: pg.ClientConfig) {
    super({ ...config, pipeline: true });
  }

  override query(...args: unknown[]): never {
    const [text] = args;
    // With a callback it is the pool's own.
    if (typeof text !== 'string' || typeof args.at(-1) === 'function') return super.query(...args);
    return this.#run(args as unknown as Statement) as never;
  }

  #run(statement: Statement): Promise<unknown> {
    const [text] = statement;
    if (text.startsWith('begin')) this.#isOpen = true;
    else if (!this.#isOpen || !heldBack.has(text)) return this.#send(statement);
    this.#held.push(statement);
    return Promise.resolve(NOTHING);
  }

  #send(statement: Statement): Promise<unknown> {
    const [text] = statement;
    const held = this.#held;
    if (text === 'commit' || text === 'rollback') this.#isOpen = false;
    if (held.length === 0) return super.query(...statement);
    this.#held = [];
    if (!text.startsWith('rollback')) return this.#sendBehind(held, statement);
    // What is undone need not be done first: a savepoint has sent what was held before it.
    return held[0]?.[0].startsWith('begin') ? Promise.resolve(NOTHING) : super.query(...statement);
  }

  async #sendBehind(held: readonly Statement[], statement: Statement): Promise<unknown> {
    let failure: Error | undefined;
    const { stream } = this.connection;
    stream.cork();
    let answer: Promise<unknown>;
    try {
      for (const [text, values] of held) {
        super.query(text, values, (thrown: Error | null) => (failure ??= thrown ?? undefined));
        // Not even sent, it leaves the transaction whole, and a commit would succeed without it.
        if (failure) throw failure;
      }
      answer = super.query(...statement);
    } finally {
      stream.uncork();
    }
    const result = await answer.catch((thrown: unknown) => {
      throw failure ?? thrown;
    });
    // A commit that follows a failure is answered like a rollback, without an error.
    if (failure) throw failure;
    return result;
  }
}
