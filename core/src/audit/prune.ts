/**
 * Retention: entries past it leave the trail, their leaves stay, and the tree can still be verified.
 *
 * What was dropped is recorded under the platform's key together with its retention. So nobody can pass a removal
 * off as a pruning: the signed head that covers the entries must be older than the retention at that time.
 */
import { sql } from 'kysely';
import type { Db } from '#platform/database';
import type { Scope } from '#platform/scope';
import { hmac, sameBytes, type Vault } from '#platform/vault';
import { findHead, isGenuine, publicKey, TrailDamaged } from './head.ts';

/** About as many leaves are pruned in one transaction. */
const BATCH = 50_000;

interface Pruning {
  readonly size: number;
  /** UTC, milliseconds. */
  readonly at: string;
  readonly years: number;
}

export interface PrunedBatch {
  /** The leaves below it have no entry any more. */
  readonly size: number;
  readonly dropped: number;
}

/** Drops the next entries whose signed head is older than `years`; null when there are none. */
export async function pruneBatch({ db, now, vault }: Scope, years: number): Promise<PrunedBatch | null> {
  const before = now.toZonedDateTimeISO('UTC').subtract({ years }).toInstant();
  const { rows } = await sql<{ size: number | null }>`
    with done as (select coalesce(max(size), 0) as size from audit_prunings),
    due as (select h.size, h.size - done.size <= ${BATCH} as fits from audit_heads h, done
      where h.at <= ${before.toString()} and h.size > done.size)
    select coalesce(max(size) filter (where fits), min(size)) as size from due`.execute(db);
  const size = rows[0]?.size ?? null;
  if (size === null) return null;
  const head = await findHead(db, size);
  if (head === null || !isGenuine(head, publicKey(vault))) {
    throw new TrailDamaged(`The tree head of size ${size} was not signed by us`);
  }
  const at = now.toString({ fractionalSecondDigits: 3 });
  const { rows: pruned } = await sql<{ dropped: number }>`
    select prune_audit(${size}, ${at}, ${years}, ${pruningMac(vault, { size, at, years })}) as dropped`.execute(db);
  return { size, dropped: pruned[0]?.dropped ?? 0 };
}

/** The leaf below which entries may be missing: as far as genuine prunings reach. */
export async function prunedBelow(db: Db, vault: Vault): Promise<number> {
  const prunings = await db
    .selectFrom('audit_prunings as p')
    .innerJoin('audit_heads as h', 'h.size', 'p.size')
    .select(['p.size', 'p.at', 'p.retention_years as years', 'p.mac', 'h.at as sealed_at'])
    .orderBy('p.size', 'desc')
    .execute();
  const genuine = prunings.find((row) => {
    const [at, sealedAt] = [(row.at as Date).toTemporalInstant(), (row.sealed_at as Date).toTemporalInstant()];
    const due = sealedAt.toZonedDateTimeISO('UTC').add({ years: row.years }).toInstant();
    const text = at.toString({ fractionalSecondDigits: 3 });
    const mac = pruningMac(vault, { size: row.size, at: text, years: row.years });
    return sameBytes(row.mac, mac) && Temporal.Instant.compare(due, at) <= 0;
  });
  return genuine?.size ?? 0;
}

function pruningMac(vault: Vault, { size, at, years }: Pruning): Buffer {
  return hmac(vault.keyFor('audit:pruning'), `${size} ${at} ${years}`);
}
