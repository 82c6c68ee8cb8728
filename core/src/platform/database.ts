/**
 * The connection pool, and statements with names.
 *
 * Every statement is prepared under a name derived from its text, which makes it two to three times
 * faster. One connection runs one query at a time, each awaited.
 */
import { createHash } from 'node:crypto';
import { type CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';

/** Every table. Each context merges its own in, from its `tables.ts`; the keys are snake_case table names. */
// oxlint-disable-next-line typescript/no-empty-interface -- filled by declaration merging
export interface Database {}
export type Db = Kysely<Database>;

export interface ConnectOptions {
  /** Most connections of this process. 2 to 4 is best; 32 halve a booking. */
  readonly max?: number;
  /** Shown in pg_stat_activity. */
  readonly name?: string;
  /** A role that every connection has from its start; none unless given, so that `transact` chooses one. */
  readonly role?: string;
}

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

class NamedClient extends pg.Client {
  // One signature of pg's many is used here: Kysely's (text, values).
  override query(...args: unknown[]): never {
    const [text, values] = args;
    if (typeof text === 'string' && Array.isArray(values) && values.length > 0) {
      const name = nameOf(text);
      return super.query(name === undefined ? { text, values } : { name, text, values }) as never;
    }
    // Without values: the simple protocol, which alone can carry several statements at once.
    return super.query(...(args as [string])) as never;
  }
}

const INT8 = 20;
const DATE = 1082;
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
    if (oid === INT8) return toSafeInteger;
    // A plain date has no zone: pg's default would read it in the server's.
    if (oid === DATE) return String;
    return pg.types.getTypeParser(oid, format);
  },
};

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('A bigint does not fit a JavaScript number');
  return value;
}

/** Opens a pool. `await db.destroy()` closes it. */
export function connect(connectionString: string, options: ConnectOptions = {}): Db {
  const pool = openPool(connectionString, options);
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  pools.set(db, pool);
  return db;
}

const pools = new WeakMap<Db, pg.Pool>();

/** How many connections the pool behind `db` has in use and idle, and how many callers wait for one. */
export function poolCounts(db: Db): { used: number; idle: number; waiting: number } {
  const { totalCount = 0, idleCount = 0, waitingCount = 0 } = pools.get(db) ?? {};
  return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
}

/** The bare pool, for what brings its own SQL. `await pool.end()` closes it. */
export function openPool(connectionString: string, { max = 4, name = 'careflex', role }: ConnectOptions = {}): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    application_name: name,
    ...(role === undefined ? {} : { options: `-c role=${role}` }),
    types,
    Client: NamedClient,
    connectionTimeoutMillis: 10_000,
  });
  // A connection that the server closes is replaced on next use, and a query under way is rejected; without a
  // listener, for idle ones and for those in use, it would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/**
 * A statement that is compiled once and then only run. `build` gets a marker for each parameter and is called
 * on first use; what it does with a marker is decided there, so it must not branch on one.
 */
export function statement<P extends object, Row>(
  build: (db: Db, parameters: P) => { compile(): CompiledQuery<Row> },
): (db: Db, parameters: P) => Promise<Row[]> {
  let compiled: CompiledQuery<Row> | undefined;
  let order: (keyof P | undefined)[] = [];

  return async (db, parameters) => {
    if (compiled === undefined) {
      const markers = new Map<unknown, keyof P>();
      const marked = new Proxy({} as P, {
        get(_target, key) {
          const marker = { parameter: key };
          markers.set(marker, key as keyof P);
          return marker;
        },
      });
      compiled = build(db, marked).compile();
      order = compiled.parameters.map((value) => markers.get(value));
    }
    const query = compiled;
    const values = order.map((key, i) => (key === undefined ? query.parameters[i] : parameters[key]));
    return (await db.executeQuery<Row>({ ...query, parameters: values })).rows;
  };
}

/** Turns the violation of a named constraint into the domain error it stands for. */
export function onViolation(constraint: string, toError: () => Error) {
  return (thrown: unknown): never => {
    throw thrown instanceof pg.DatabaseError && thrown.constraint === constraint ? toError() : thrown;
  };
}

/** The five-character SQLSTATE of an error from the database, if it is one. */
export function sqlState(thrown: unknown): string | undefined {
  return thrown instanceof pg.DatabaseError ? thrown.code : undefined;
}
