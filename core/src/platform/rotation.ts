/**
 * Key rotation: what the key ring itself seals is sealed anew with its active key, while reads and writes go on: data
 * keys, and words that belong to no patient for certain.
 *
 * Each context names its columns; after the row is made others only empty them, or fill an empty one. One batch is one transaction and what is done stays done, so after a crash it is simply started again.
 */
import { sql } from 'kysely';
import { Forbidden } from './errors.ts';
import { type Scope, transact } from './scope.ts';
import { rewrapDataKey } from './vault.ts';

/** A column of data keys or words, sealed by the ring for the place (table, column, id). The table's primary key is `id uuid`. */
export interface KeyColumn {
  readonly table: string;
  readonly column: string;
}

export interface RotateOptions {
  /** Rows a transaction; 500 unless given. */
  readonly batch?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

const BATCH = 500;

/**
 * Returns how many keys were wrapped anew. For the system: call it with `asSystem(scope)`. Throws {@link Forbidden},
 * and VaultError when a key's wrapper is not in the ring.
 */
export async function rotateKeys(
  scope: Scope,
  columns: readonly KeyColumn[],
  { batch = BATCH, onProgress }: RotateOptions = {},
): Promise<number> {
  if (scope.actor.role !== 'system') throw new Forbidden('rotate keys');
  const totals: number[] = [];
  for (const column of columns) totals.push(await count(scope, column));
  const total = totals.reduce((sum, count) => sum + count, 0);
  let done = 0;
  let rewrapped = 0;
  for (const column of columns) {
    let after = '00000000-0000-0000-0000-000000000000';
    for (;;) {
      const rows = await rewrapBatch(scope, column, { after, batch });
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.id;
      done += rows.length;
      rewrapped += rows.filter((row) => row.changed).length;
      onProgress?.({ done, total: Math.max(total, done) });
    }
  }
  return rewrapped;
}

/** How many data keys each key of the ring wraps, by its id: also those that the ring does not hold. */
export async function wrappingKeys(scope: Scope, columns: readonly KeyColumn[]): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  for (const { table, column } of columns) {
    const wrapped = sql.ref(column);
    const { rows } = await transact(scope, ({ db }) =>
      // Bytes 2 to 5 of a sealed value name its key: see vault.ts.
      sql<{ id: Buffer; keys: number }>`
        select substring(${wrapped} from 2 for 4) as id, count(*) as keys
        from ${sql.table(table)} where ${wrapped} is not null group by 1`.execute(db),
    );
    for (const { id, keys } of rows) found.set(id.readUInt32BE(), (found.get(id.readUInt32BE()) ?? 0) + keys);
  }
  return found;
}

async function count(scope: Scope, { table, column }: KeyColumn): Promise<number> {
  return transact(scope, async ({ db }) => {
    const { rows } = await sql<{ count: number }>`select count(${sql.ref(column)}) from ${sql.table(table)}`.execute(
      db,
    );
    return rows[0]?.count ?? 0;
  });
}

/** Rows are locked in the order of their ids, as everywhere that several are, so that nobody waits in a circle. */
async function rewrapBatch(
  scope: Scope,
  { table, column }: KeyColumn,
  { after, batch }: { after: string; batch: number },
): Promise<{ id: string; changed: boolean }[]> {
  return transact(scope, async ({ db, vault }) => {
    const { rows } = await sql<{ id: string; wrapped: Buffer }>`
      select id, ${sql.ref(column)} as wrapped from ${sql.table(table)}
      where id > ${after} and ${sql.ref(column)} is not null
      order by id limit ${batch} for update`.execute(db);
    const renewed = rows.map(({ id, wrapped }) => ({
      id,
      wrapped: rewrapDataKey(vault.ring, { table, column, row: id }, wrapped),
    }));
    const changed = renewed.filter((row) => row.wrapped !== null);
    if (changed.length > 0) {
      await sql`
        update ${sql.table(table)} as t set ${sql.ref(column)} = renewed.wrapped
        from unnest(${changed.map(({ id }) => id)}::uuid[], ${changed.map(({ wrapped }) => wrapped)}::bytea[])
          as renewed (id, wrapped)
        where t.id = renewed.id`.execute(db);
    }
    return renewed.map(({ id, wrapped }) => ({ id, changed: wrapped !== null }));
  });
}
