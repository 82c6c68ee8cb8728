/**
 * The sealer: gives committed entries their place in the Merkle tree and signs the tree's new head.
 *
 * Entries are sealed in the order (transaction, id), and only those of transactions before which none is still
 * under way: so nothing can appear later behind a sealed point. Before it signs, the sealer convinces itself that
 * the stored tree still is the one it signed last, inside the database and in the head outside.
 */
import { sql } from 'kysely';
import { LOCKS } from '#platform/advisory-locks';
import type { Db } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import { sameBytes } from '#platform/vault';
import {
  canonical,
  contentColumns,
  type ContentRow,
  entryLeafHash,
  entryMac,
  firstIdAt,
  leafMac,
  subjectsOf,
  toContent,
} from './entry.ts';
import {
  findHead,
  headHash,
  isGenuine,
  NO_HEAD,
  publicKey,
  readHeadFile,
  type SignedHead,
  signHead,
  TrailDamaged,
  writeHeadFile,
} from './head.ts';
import { RightEdge } from './merkle.ts';
import { isStoredLevel, MissingNode, StoredTree } from './tree.ts';

const BATCH = 5_000;

export interface Sealed {
  /** How many entries got their place now. */
  readonly sealed: number;
  /** Ids of unsealed entries that the platform did not write, or not like this. They stay outside the tree. */
  readonly refused: readonly string[];
  /** Ids of entries that stood behind what was sealed already, and are sealed now: somebody had kept them back. */
  readonly late: readonly string[];
  /** The newest head; null while the trail is empty. */
  readonly head: SignedHead | null;
}

export interface SealOptions {
  /** Where the newest signed head is left, outside the database. */
  readonly headFile?: string | undefined;
  /** Whether to look for entries of the last minute that were kept from their place: one in ten passes is enough. */
  readonly lookBack?: boolean | undefined;
}

interface Sealing extends SealOptions {
  /** Leaves word of what was sealed late, in the same transaction. */
  readonly onLate: (scope: Scope, ids: readonly string[]) => Promise<void>;
}

export async function sealAll(scope: Scope, { headFile, lookBack = false, onLate }: Sealing): Promise<Sealed> {
  const outside = headFile === undefined ? null : await readHeadFile(headFile);
  const refused: string[] = [];
  const late: string[] = [];
  let sealed = 0;
  let batch: Batch | undefined;
  do {
    const begin = { from: batch?.through, outside, lookBack: lookBack && batch === undefined };
    batch = await transact(scope, async (scope) => {
      const batch = await sealBatch(scope, begin);
      if (batch.late.length > 0) await onLate(scope, batch.late);
      return batch;
    });
    sealed += batch.sealed;
    refused.push(...batch.refused);
    late.push(...batch.late);
  } while (batch.isFull);
  const { head } = batch;
  if (headFile !== undefined && head !== null && head.size !== outside?.size) await writeHeadFile(headFile, head);
  return { sealed, refused, late, head };
}

interface Batch extends Sealed {
  readonly through: Position;
  readonly isFull: boolean;
}

interface Begin {
  readonly from: Position | undefined;
  readonly outside: SignedHead | null;
  readonly lookBack: boolean;
}

async function sealBatch(scope: Scope, { from, outside, lookBack }: Begin): Promise<Batch> {
  const { db, vault } = scope;
  // In a statement of its own: the next one's snapshot then sees what the sealer before us committed.
  await sql`select pg_advisory_xact_lock(${LOCKS.auditSeal})`.execute(db);
  const newest = await findHead(db);
  await refuseDifference(scope, newest, outside);

  const position = from ?? (await sealedThrough(db));
  const behind = lookBack && newest !== null ? await unsealedBehind(db, position, newest) : [];
  const rows = await unsealed(db, position);
  const genuine: Leaf[] = [];
  const refused: string[] = [];
  for (const row of [...behind, ...rows]) {
    const content = toContent(row);
    const text = canonical(content);
    if (!sameBytes(row.mac, entryMac(vault, text))) refused.push(row.id);
    else genuine.push({ id: row.id, hash: entryLeafHash(row.mac, text), subjects: subjectsOf(content) });
  }
  const last = rows.at(-1);
  const kept = new Set(behind.map(({ id }) => id));
  return {
    sealed: genuine.length,
    refused,
    late: genuine.flatMap(({ id }) => (kept.has(id) ? [id] : [])),
    head: genuine.length === 0 ? newest : await extend(scope, newest, genuine),
    through: last ? { transactionId: last.transaction_id, entryId: last.id } : position,
    isFull: rows.length === BATCH,
  };
}

/** Whoever cut the tail off, or restored an older copy, must not have the head outside replaced by a smaller one. */
export async function refuseDifference(
  { db, vault }: Pick<Scope, 'db' | 'vault'>,
  newest: SignedHead | null,
  outside: SignedHead | null,
): Promise<void> {
  const key = publicKey(vault);
  if (newest !== null && !isGenuine(newest, key)) throw new TrailDamaged('The newest tree head was not signed by us');
  if (outside === null) return;
  if (!isGenuine(outside, key)) throw new TrailDamaged('The head outside the database was not signed by us');
  const same = await findHead(db, outside.size);
  if (same?.signature !== outside.signature) {
    throw new TrailDamaged(
      'The head outside the database is missing inside: the trail was cut off, or is an older copy',
    );
  }
}

interface Leaf {
  readonly id: string;
  readonly hash: Buffer;
  /** The patients whom the entry names. */
  readonly subjects: readonly string[];
}

async function extend(scope: Scope, newest: SignedHead | null, leaves: readonly Leaf[]): Promise<SignedHead> {
  const { db, vault } = scope;
  const start = newest?.size ?? 0;
  const nodes: { level: number; index: number; hash: Buffer }[] = [];
  const edge = new RightEdge(start, await rootsAt(db, start), (level, index, hash) => {
    if (isStoredLevel(level)) nodes.push({ level, index, hash });
  });
  if (newest !== null && edge.root().toString('hex') !== newest.root) {
    throw new TrailDamaged('The stored tree is not the one that was signed last');
  }
  for (const leaf of leaves) edge.append(leaf.hash);

  await insertLeaves(db, {
    start,
    ids: leaves.map(({ id }) => id),
    hashes: Buffer.concat(leaves.map(({ hash }) => hash)),
    macs: Buffer.concat(leaves.map(({ id }, i) => leafMac(vault, start + i, id))),
  });
  await insertSubjects(db, leaves);
  if (nodes.length > 0) {
    await db
      .insertInto('audit_nodes')
      .values(nodes.map(({ level, index, hash }) => ({ level, node_index: index, hash })))
      .execute();
  }
  const head = signHead(vault, {
    size: edge.size,
    root: edge.root().toString('hex'),
    at: notBefore(scope.now.round('millisecond'), newest),
    previous: newest === null ? NO_HEAD : headHash(newest),
  });
  await insertHead(db, head);
  return head;
}

export async function rootsAt(db: Db, size: number): Promise<Buffer[]> {
  return new StoredTree().rootsAt(db, size).catch((error: unknown) => {
    throw error instanceof MissingNode ? new TrailDamaged(error.message, { cause: error }) : error;
  });
}

/** Heads never go back in time, even if a clock does. */
function notBefore(now: Temporal.Instant, newest: SignedHead | null): string {
  const at = now.toString({ fractionalSecondDigits: 3 });
  return newest !== null && newest.at > at ? newest.at : at;
}

interface NewLeaves {
  readonly start: number;
  readonly ids: readonly string[];
  /** All hashes in one value, and all MACs: an array of bytea would travel as text. */
  readonly hashes: Buffer;
  readonly macs: Buffer;
}

async function insertLeaves(db: Db, { start, ids, hashes, macs }: NewLeaves): Promise<void> {
  await sql`
    insert into audit_leaves (leaf_index, entry_id, leaf_hash, mac)
    select ${start}::bigint + place, id, substring(${hashes}::bytea from place * 32 + 1 for 32),
      substring(${macs}::bytea from place * 32 + 1 for 32)
    from (select id, place::int - 1 as place from unnest(${ids}::uuid[]) with ordinality as leaf (id, place)) leaf`.execute(
    db,
  );
}

/** An entry of one patient was noted when it was written. In the order of the index, which is the cheapest. */
async function insertSubjects(db: Db, leaves: readonly Leaf[]): Promise<void> {
  const lists = leaves.filter(({ subjects }) => subjects.length > 1);
  const pairs = lists.flatMap(({ id, subjects }) => subjects.map((patientId) => ({ patientId, id })));
  if (pairs.length === 0) return;
  await sql`
    insert into audit_subjects (patient_id, entry_id)
    select * from unnest(${pairs.map(({ patientId }) => patientId)}::uuid[], ${pairs.map(({ id }) => id)}::uuid[])
    order by 1, 2
    on conflict do nothing`.execute(db);
}

async function insertHead(db: Db, head: SignedHead): Promise<void> {
  await db
    .insertInto('audit_heads')
    .values({
      size: head.size,
      root: Buffer.from(head.root, 'hex'),
      at: head.at,
      key_id: head.keyId,
      previous: Buffer.from(head.previous, 'hex'),
      signature: Buffer.from(head.signature, 'base64'),
    })
    .execute();
}

/** A place in the order in which entries are sealed. */
interface Position {
  readonly transactionId: string;
  readonly entryId: string;
}

async function sealedThrough(db: Db): Promise<Position> {
  const { rows } = await sql<Position>`
    select transaction_id::text as "transactionId", entry_id as "entryId" from audit_sealed_through()`.execute(db);
  return rows[0] as Position;
}

type UnsealedRow = ContentRow & { readonly transaction_id: string };

/**
 * The next entries behind a position. One that is visible although its transaction has not begun yet was brought
 * here by a restore, and is as committed as any.
 */
async function unsealed(db: Db, { transactionId, entryId }: Position): Promise<UnsealedRow[]> {
  const { rows } = await sql<UnsealedRow>`
    select ${contentColumns}, e.transaction_id::text as transaction_id
    from audit_entries e
    where (e.transaction_id, e.id) > (${transactionId}::xid8, ${entryId}::uuid)
      and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        or e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))
      and not exists (select from audit_leaves l where l.entry_id = e.id)
    order by e.transaction_id, e.id
    limit ${BATCH}`.execute(db);
  return rows;
}

/** Each entry is looked at again for so long: a bounded part of a trail that has no end. */
const LOOK_BACK = { seconds: 60 };

/**
 * Entries from about the newest head on that stand behind a position and have no leaf. No honest one does: whoever may
 * write to the database past its rules gave it an older transaction, for it to be passed over.
 */
async function unsealedBehind(
  db: Db,
  { transactionId, entryId }: Position,
  newest: SignedHead,
): Promise<UnsealedRow[]> {
  const since = Temporal.Instant.from(newest.at).subtract(LOOK_BACK);
  const { rows } = await sql<UnsealedRow>`
    select ${contentColumns}, e.transaction_id::text as transaction_id
    from audit_entries e
    where e.id >= ${firstIdAt(since)}
      and (e.transaction_id, e.id) <= (${transactionId}::xid8, ${entryId}::uuid)
      and not exists (select from audit_leaves l where l.entry_id = e.id)
    order by e.id
    limit ${BATCH}`.execute(db);
  return rows;
}

/** Seconds since the oldest entry that is not sealed; 0 when all are. Of those kept back, it knows the last minute's. */
export async function lagSeconds({ db, now }: Scope): Promise<number> {
  const { transactionId, entryId } = await sealedThrough(db);
  const { rows } = await sql<{ at: Date | null }>`
    select min(oldest.at) as at
    from (
      (select e.at from audit_entries e
        where (e.transaction_id, e.id) > (${transactionId}::xid8, ${entryId}::uuid)
          and not exists (select from audit_leaves l where l.entry_id = e.id)
        order by e.transaction_id, e.id
        limit 1)
      union all
      (select e.at from audit_entries e
        where e.id >= ${firstIdAt(now.subtract(LOOK_BACK))} and e.id < ${firstIdAt(now.add(LOOK_BACK))}
          and not exists (select from audit_leaves l where l.entry_id = e.id)
        order by e.id
        limit 1)
    ) oldest`.execute(db);
  const oldest = rows[0]?.at?.toTemporalInstant();
  return oldest === undefined ? 0 : Math.max(0, oldest.until(now).total('seconds'));
}
