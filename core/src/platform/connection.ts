/**
 * One connection for a transaction alone, with a query builder of its own. Kysely would lend it for one statement at a
 * time; here statements that do not wait for each other go out together, in the order in which they were called.
 */
import { type CompiledQuery, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { TransactionClient } from './client.ts';
import type { Database, Db } from './database.ts';

export interface Connection {
  readonly client: TransactionClient;
  readonly db: Db;
}

const connections = new WeakMap<TransactionClient, Connection>();
const clients = new WeakMap<Db, TransactionClient>();

export function connectionOf(client: TransactionClient): Connection {
  let connection = connections.get(client);
  if (connection === undefined) {
    connection = { client, db: builderOver(client) };
    connections.set(client, connection);
    clients.set(connection.db, client);
  }
  return connection;
}

/** The client behind a connection's builder; none behind that of a whole pool. */
export const clientOf = (db: Db): TransactionClient | undefined => clients.get(db);

const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

function builderOver(client: TransactionClient): Db {
  const one = {
    async executeQuery<Row>({ sql, parameters }: CompiledQuery) {
      const { command, rowCount, rows } = await client.ask<Row>(sql, parameters);
      return CHANGING.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows };
    },
    // oxlint-disable-next-line eslint/require-yield -- Kysely asks for it
    async *streamQuery(): AsyncGenerator<never> {
      throw new Error('Rows are not streamed within a transaction');
    },
  };
  const nothing = async () => undefined;
  const driver = {
    init: nothing,
    acquireConnection: async () => one,
    releaseConnection: nothing,
    destroy: nothing,
    // Transactions are `transact`'s.
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
  };
  return new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
}
