/**
 * The connection pool, and statements that are compiled once.
 *
 * Every statement is prepared under a name derived from its text, which makes it two to three times
 * faster. One connection runs one query at a time, each awaited.
 */
import { type CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { NamedClient, TransactionClient, unanswered } from './client.ts';
import { clientOf, type Connection, connectionOf } from './connection.ts';

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

const INT8 = 20;
const DATE = 1082;
const TIMESTAMPTZ = 1184;
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
    if (oid === INT8) return toSafeInteger;
    // A plain date has no zone: pg's default would read it in the server's.
    if (oid === DATE) return String;
    if (oid === TIMESTAMPTZ) return toDate;
    return pg.types.getTypeParser(oid, format);
  },
};

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('A bigint does not fit a JavaScript number');
  return value;
}

const otherwise = pg.types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;
const UTC = '+00';

/** `2026-03-08 14:00:00.123456+00`, which is nearly every one, without a pattern. A page of visits has 500 of them. */
function toDate(text: string): Date {
  if (text[4] !== '-' || text[10] !== ' ' || !text.endsWith(UTC)) return otherwise(text);
  const pair = (at: number) => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528;
  const fraction = text.slice(20, Math.min(23, text.length - UTC.length));
  const ms = fraction === '' ? 0 : Number(fraction.padEnd(3, '0'));
  return new Date(Date.UTC(pair(0) * 100 + pair(2), pair(5) - 1, pair(8), pair(11), pair(14), pair(17), ms));
}

/** Opens a pool. `await db.destroy()` closes it. */
export function connect(connectionString: string, options: ConnectOptions = {}): Db {
  const pool = poolOf(TransactionClient, connectionString, options);
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

export interface Lent extends Connection {
  readonly giveBack: () => void;
}

/**
 * A connection that is nobody else's until it is given back. Of what such a connection gave it is the same one again:
 * for locks that live with it. Whoever keeps one asks one thing at a time.
 */
export async function lend(db: Db): Promise<Lent> {
  const own = clientOf(db);
  if (own !== undefined) return { ...connectionOf(own), giveBack: () => undefined };
  const pool = pools.get(db);
  if (pool === undefined) throw new Error('Only what `connect` opened lends connections');
  const client = await pool.connect();
  return { ...connectionOf(client as unknown as TransactionClient), giveBack: () => client.release() };
}

/** Runs `work` on such a connection. */
export async function onConnection<T>(db: Db, work: (connection: Connection) => Promise<T>): Promise<T> {
  const { giveBack, ...connection } = await lend(db);
  try {
    return await work(connection);
  } finally {
    giveBack();
  }
}

/** The bare pool, for what brings its own SQL. `await pool.end()` closes it. */
export function openPool(connectionString: string, options: ConnectOptions = {}): pg.Pool {
  return poolOf(NamedClient, connectionString, options);
}

function poolOf(Client: typeof NamedClient, connectionString: string, options: ConnectOptions): pg.Pool {
  const { max = 4, name = 'careflex', role } = options;
  const pool = new pg.Pool({
    connectionString,
    max,
    application_name: name,
    ...(role === undefined ? {} : { options: `-c role=${role}` }),
    types,
    Client,
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
export function statement<P extends object, Row>(build: Build<P, Row>): (db: Db, parameters: P) => Promise<Row[]> {
  const compiled = compiledOnce(build);
  return async (db, parameters) => (await ask(db, compiled(db, parameters))).rows;
}

/** Past the query builder, where the connection is known. */
function ask<Row>(db: Db, query: CompiledQuery<Row>): Promise<{ rows: Row[] }> {
  return clientOf(db)?.ask<Row>(query.sql, query.parameters) ?? db.executeQuery(query);
}

/**
 * The same for a write whose answer nobody needs: within a transaction it goes out with the next statement, at the
 * latest the commit, and it is that one which fails when this one does.
 */
export function unansweredStatement<P extends object>(
  build: Build<P, never>,
): (db: Db, parameters: P) => Promise<void> {
  const compiled = compiledOnce(build, ({ sql }) => unanswered(sql));
  return async (db, parameters) => void (await ask(db, compiled(db, parameters)));
}

type Build<P, Row> = (db: Db, parameters: P) => { compile(): CompiledQuery<Row> };

function compiledOnce<P extends object, Row>(
  build: Build<P, Row>,
  onCompiled: (query: CompiledQuery<Row>) => void = () => undefined,
): (db: Db, parameters: P) => CompiledQuery<Row> {
  let compiled: CompiledQuery<Row> | undefined;
  let order: (keyof P | undefined)[] = [];

  return (db, parameters) => {
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
      onCompiled(compiled);
    }
    const query = compiled;
    const values = order.map((key, i) => (key === undefined ? query.parameters[i] : parameters[key]));
    return { ...query, parameters: values };
  };
}

/**
 * What several reads answer that do not wait for each other: asked within a transaction, in one write, and run in this
 * order. Of several failures the first in this order is thrown, once all are over.
 */
export async function together<T extends readonly unknown[]>(reads: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const answers = await Promise.allSettled(reads);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return answers.map((answer) => (answer as PromiseFulfilledResult<unknown>).value) as unknown as T;
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
