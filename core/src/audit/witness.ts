/**
 * The process that wrote an entry as its witness, until the entry is sealed.
 *
 * A row that is deleted before the sealer has seen it leaves no gap in the tree. But who committed it remembers it:
 * an entry of ours that is neither sealed nor waiting to be was removed, and that goes into the trail itself.
 */
import { sql } from 'kysely';
import { afterCommit, type Scope } from '#platform/scope';
import type { Vault } from '#platform/vault';
import { firstIdAt } from './entry.ts';

/** About 2 MiB. With more unsealed entries than that, the oldest lose their witness. */
const MOST = 20_000;

/** Per vault, which is per process. In the order of commits. */
const committed = new WeakMap<Vault, Set<string>>();

/** Remembers the entry once its transaction has committed. */
export function remember(scope: Scope, entryId: string): void {
  afterCommit(scope, () => {
    const ids = remembered(scope);
    ids.add(entryId);
    const [oldest] = ids.size > MOST ? ids : [];
    if (oldest !== undefined) ids.delete(oldest);
  });
}

function remembered({ vault }: Scope): Set<string> {
  let ids = committed.get(vault);
  if (ids === undefined) committed.set(vault, (ids = new Set()));
  return ids;
}

/** How many of the remembered are not known to be sealed or gone. */
export function countWaiting(scope: Scope): number {
  return remembered(scope).size;
}

const PATIENCE = { seconds: 30 };

/** How many of them are older than sealing ever takes. */
export function countOverdue(scope: Scope): number {
  const late = firstIdAt(scope.now.subtract(PATIENCE));
  let count = 0;
  for (const id of remembered(scope)) if (id < late) count += 1;
  return count;
}

/** Which of the remembered entries are gone. Forgets them, and what is sealed, once the transaction has committed. */
export async function findLost(scope: Scope): Promise<string[]> {
  const ids = remembered(scope);
  if (ids.size === 0) return [];
  const { rows } = await sql<{ id: string; is_sealed: boolean }>`
    select mine.id, l.entry_id is not null as is_sealed
    from unnest(${[...ids]}::uuid[]) mine (id) left join audit_leaves l on l.entry_id = mine.id
    where l.entry_id is not null or not exists (select from audit_entries e where e.id = mine.id)`.execute(scope.db);
  afterCommit(scope, () => {
    for (const { id } of rows) ids.delete(id);
  });
  return rows.filter((row) => !row.is_sealed).map((row) => row.id);
}
