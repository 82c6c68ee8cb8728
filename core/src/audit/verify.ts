/**
 * The whole trail, leaf by leaf: finds the first entry that is not what was written and sealed.
 *
 * What each check catches: the entry's MAC an edit, the leaf's MAC whatever stands at another place than it was
 * sealed, the numbering a removal, the signed heads everything that is left, and the head kept elsewhere a tail
 * that was cut off together with its heads. Reads in batches, so that memory stays flat and sealing goes on.
 */
import type { KeyObject } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import { sameBytes, type Vault } from '#platform/vault';
import {
  canonical,
  contentColumns,
  type ContentRow,
  entryLeafHash,
  entryMac,
  leafMac,
  subjectsOf,
  toContent,
} from './entry.ts';
import { headHash, type HeadRow, isGenuine, NO_HEAD, publicKey, type SignedHead, toHead } from './head.ts';
import { RightEdge } from './merkle.ts';
import { prunedBelow } from './prune.ts';
import { isStoredLevel } from './tree.ts';

export type DamageKind =
  /** The entry is not as it was written. */
  | 'edited'
  /** An entry that was sealed is gone, and is too young to have been pruned. */
  | 'deleted'
  /** An entry that the platform did not write, or that stands where nothing was left to be sealed. */
  | 'inserted'
  /** The entry was sealed at another place. */
  | 'reordered'
  /** The trail ends before the trusted head, or goes on differently. */
  | 'cut off'
  /** The signed heads do not vouch for what is stored, or one of them is missing. */
  | 'unsigned'
  /** A patient whom the entry names does not find it. */
  | 'hidden'
  /** A patient finds the entry, which does not name them. */
  | 'exposed'
  /** The entry was kept from being sealed, and is sealed by now. */
  | 'delayed';

export interface Damage {
  readonly kind: DamageKind;
  /** The place in the trail, which is the entry's `sequence`; null for an entry that has none. */
  readonly leafIndex: number | null;
  /** Null where the entry itself is gone. */
  readonly entryId: string | null;
  readonly message: string;
}

export interface Verification {
  /** The newest head in the database. */
  readonly head: SignedHead | null;
  /** Entries compared with their MAC and their leaf. */
  readonly checked: number;
  /** Leaves whose entries were dropped past their retention. */
  readonly pruned: number;
  /** Entries that wait to be sealed; their MACs are right. */
  readonly unsealed: number;
  readonly firstBad: Damage | null;
}

export interface VerifyOptions {
  /** A head that was kept outside the database. Without one a cut-off tail cannot be seen. */
  readonly trustedHead?: SignedHead | null | undefined;
  readonly onProgress?: ((leaves: number, of: number) => void) | undefined;
}

/** The action of an entry in which a process reports what it had committed and did not find any more. */
export const LOST = 'audit.lost';

/** The action of an entry in which the sealer reports what it found behind what was sealed already. */
export const LATE = 'audit.late';

const BATCH = 5_000;
const FIRST = '00000000-0000-0000-0000-000000000000';

export async function verifyTrail(scope: Scope, { trustedHead, onProgress }: VerifyOptions): Promise<Verification> {
  const extent = await transact(scope, ({ db }) => extentOf(db));
  const walk = new Walk(scope.vault, trustedHead ?? null);
  let firstBad: Damage | null = null;
  while (firstBad === null && walk.size < extent.leaves) {
    firstBad = await transact(scope, ({ db }) => walk.next(db, extent.leaves));
    onProgress?.(walk.size, extent.leaves);
  }
  firstBad ??= walk.end(extent.head);
  const outside = firstBad === null ? await checkUnsealed(scope) : { unsealed: 0, firstBad };
  firstBad = outside.firstBad ?? (await exposed(scope));
  return { head: extent.head, checked: walk.checked, pruned: walk.pruned, unsealed: outside.unsealed, firstBad };
}

interface Extent {
  readonly leaves: number;
  readonly head: SignedHead | null;
}

/** In one statement: what is sealed meanwhile is left for the next time. */
async function extentOf(db: Db): Promise<Extent> {
  const { rows } = await sql<{ leaves: number } & (HeadRow | { size: null })>`
    select coalesce((select max(leaf_index) + 1 from audit_leaves), 0) as leaves, h.*
    from (values (1)) one left join lateral (select * from audit_heads order by size desc limit 1) h on true`.execute(
    db,
  );
  const [row] = rows as [(typeof rows)[0]];
  return { leaves: row.leaves, head: row.size === null ? null : toHead(row) };
}

type LeafRow = (ContentRow | { readonly [K in keyof ContentRow]: null }) & {
  readonly leaf_index: number;
  readonly entry_id: string;
  readonly leaf_hash: Buffer;
  readonly leaf_mac: Buffer;
};

class Walk {
  checked = 0;
  pruned = 0;
  readonly #vault: Vault;
  readonly #key: KeyObject;
  readonly #trusted: SignedHead | null;
  readonly #edge: RightEdge;
  /** Inner nodes since the last look at the stored ones. */
  #nodes: { level: number; index: number; hash: Buffer }[] = [];
  #head: SignedHead | null = null;
  #prunedBelow = 0;
  /** As far as the trusted head certainly agrees. */
  #agreed = 0;

  constructor(vault: Vault, trusted: SignedHead | null) {
    this.#vault = vault;
    this.#key = publicKey(vault);
    this.#trusted = trusted;
    this.#edge = new RightEdge(0, [], (level, index, hash) => {
      if (isStoredLevel(level)) this.#nodes.push({ level, index, hash });
    });
  }

  get size(): number {
    return this.#edge.size;
  }

  /** Goes on by a batch, up to the leaf before `end`. Returns the first damage in it. */
  async next(db: Db, end: number): Promise<Damage | null> {
    const [from, to] = [this.size, Math.min(this.size + BATCH, end)];
    const leaves = await leavesBetween(db, from, to);
    const heads = new Map((await headsBetween(db, from, to)).map((head) => [head.size, head]));
    for (const leaf of leaves) {
      const damage = (await this.#leaf(db, leaf)) ?? this.#headAt(heads.get(this.size)) ?? this.#trustedHere();
      if (damage !== null) return damage;
    }
    if (this.size < to) return gone(this.size);
    return (await this.#storedNodes(db)) ?? hidden(db, leaves);
  }

  /** What the newest head and the trusted one know beyond the last leaf. */
  end(newest: SignedHead | null): Damage | null {
    if (newest !== null && newest.size > this.size) return gone(this.size);
    if (this.#trusted !== null && this.#trusted.size > this.size) {
      const message = `the trail ends here, the trusted head knows of ${this.#trusted.size} entries`;
      return { kind: 'cut off', leafIndex: this.size, entryId: null, message };
    }
    const signed = this.#head?.size ?? 0;
    return signed < this.size ? unsigned(signed, 'no signed head vouches for this leaf and those behind it') : null;
  }

  async #leaf(db: Db, leaf: LeafRow): Promise<Damage | null> {
    if (leaf.leaf_index !== this.size) return gone(this.size);
    const state = stateOf(this.#vault, leaf);
    if (state === 'misplaced') return misplaced(db, this.#vault, leaf);
    if (state === 'edited' || state === 'inserted') return at(leaf, state);
    if (state === 'gone' && !(await this.#isPruned(db, leaf.leaf_index))) return at(leaf, 'deleted');
    if (leaf.action === LOST || leaf.action === LATE) return reported(leaf);
    if (state === 'gone') this.pruned += 1;
    else this.checked += 1;
    this.#edge.append(leaf.leaf_hash);
    return null;
  }

  async #isPruned(db: Db, leafIndex: number): Promise<boolean> {
    // Looked up anew behind it: pruning may go on while we verify.
    if (leafIndex >= this.#prunedBelow) this.#prunedBelow = await prunedBelow(db, this.#vault);
    return leafIndex < this.#prunedBelow;
  }

  #headAt(head: SignedHead | undefined): Damage | null {
    if (head === undefined) return null;
    const problem = this.#headProblem(head);
    if (problem !== null) return unsigned(this.#head?.size ?? 0, problem);
    this.#head = head;
    const trusted = this.#trusted;
    if (trusted !== null && head.at <= trusted.at && head.size <= trusted.size) this.#agreed = head.size;
    return null;
  }

  #headProblem(head: SignedHead): string | null {
    const previous = this.#head === null ? NO_HEAD : headHash(this.#head);
    if (!isGenuine(head, this.#key)) return `the head of size ${head.size} was not signed by us`;
    if (head.previous !== previous) return `the head before that of size ${head.size} is missing`;
    if (head.root === this.#edge.root().toString('hex')) return null;
    return `the leaves from here to ${head.size - 1} are not those that were signed`;
  }

  #trustedHere(): Damage | null {
    if (this.#trusted?.size !== this.size || this.#trusted.root === this.#edge.root().toString('hex')) return null;
    const message = 'from here on the trail is not the one that the trusted head knows';
    return { kind: 'cut off', leafIndex: this.#agreed, entryId: null, message };
  }

  /** The stored inner nodes, from which proofs are made. */
  async #storedNodes(db: Db): Promise<Damage | null> {
    const nodes = this.#nodes;
    this.#nodes = [];
    if (nodes.length === 0) return null;
    const { rows } = await sql<{ hash: Buffer | null }>`
      select hash from unnest(${nodes.map(({ level }) => level)}::smallint[], ${nodes.map(({ index }) => index)}::bigint[])
        with ordinality as node (level, node_index, place)
      left join audit_nodes using (level, node_index)
      order by place`.execute(db);
    const bad = nodes.find(({ hash }, i) => !rows[i]?.hash?.equals(hash));
    return bad
      ? unsigned(bad.index * 2 ** bad.level, `the inner node of level ${bad.level} is not of these leaves`)
      : null;
  }
}

/** What a leaf's own MAC and its entry's tell about it. */
export function stateOf(vault: Vault, leaf: LeafRow): 'genuine' | 'edited' | 'inserted' | 'misplaced' | 'gone' {
  const isInPlace = sameBytes(leaf.leaf_mac, leafMac(vault, leaf.leaf_index, leaf.entry_id));
  if (leaf.id === null) return isInPlace ? 'gone' : 'misplaced';
  const content = canonical(toContent(leaf));
  const isOurs = sameBytes(leaf.mac, entryMac(vault, content));
  if (!isInPlace) return isOurs ? 'misplaced' : 'inserted';
  return isOurs && leaf.leaf_hash.equals(entryLeafHash(leaf.mac, content)) ? 'genuine' : 'edited';
}

export async function leavesBetween(db: Db, from: number, to: number): Promise<LeafRow[]> {
  const { rows } = await sql<LeafRow>`
    select l.leaf_index, l.entry_id, l.leaf_hash, l.mac as leaf_mac, ${contentColumns}
    from audit_leaves l left join audit_entries e on e.id = l.entry_id
    where l.leaf_index >= ${from} and l.leaf_index < ${to}
    order by l.leaf_index`.execute(db);
  return rows;
}

async function headsBetween(db: Db, from: number, to: number): Promise<SignedHead[]> {
  const rows = await db
    .selectFrom('audit_heads')
    .selectAll()
    .where('size', '>', from)
    .where('size', '<=', to)
    .orderBy('size')
    .execute();
  return rows.map(toHead);
}

const MESSAGES = {
  edited: 'the entry is not as it was written',
  deleted: 'the entry that was sealed here is gone',
  inserted: 'the platform did not write this entry',
  reordered: 'the entry was sealed at another place',
  hidden: 'a patient whom the entry names does not find it',
} as const;

function at(leaf: LeafRow, kind: keyof typeof MESSAGES): Damage {
  return { kind, leafIndex: leaf.leaf_index, entryId: leaf.entry_id, message: MESSAGES[kind] };
}

/** At the place of the report: the entry itself has none, or one that it came to late. */
function reported({ action, leaf_index: leafIndex, resource_ids }: LeafRow): Damage {
  const [entryId = null] = resource_ids ?? [];
  if (action === LOST)
    return { kind: 'deleted', leafIndex, entryId, message: 'an entry was gone before it was sealed' };
  return { kind: 'delayed', leafIndex, entryId, message: 'an entry was kept from being sealed for a while' };
}

function gone(leafIndex: number): Damage {
  return { kind: 'deleted', leafIndex, entryId: null, message: MESSAGES.deleted };
}

function unsigned(leafIndex: number, message: string): Damage {
  return { kind: 'unsigned', leafIndex, entryId: null, message };
}

/** Something else stands where it should. If what belongs here is at another place, they changed places. */
async function misplaced(db: Db, vault: Vault, leaf: LeafRow): Promise<Damage> {
  for (let from = leaf.leaf_index + 1, more = true; more; from += BATCH) {
    const others = await db
      .selectFrom('audit_leaves')
      .select(['entry_id', 'mac'])
      .where('leaf_index', '>=', from)
      .where('leaf_index', '<', from + BATCH)
      .execute();
    const belongsHere = others.some(({ entry_id, mac }) => {
      const genuine = leafMac(vault, leaf.leaf_index, entry_id);
      return sameBytes(mac, genuine) || sameBytes(leaf.leaf_mac, genuine);
    });
    if (belongsHere) return at(leaf, 'reordered');
    more = others.length > 0;
  }
  return gone(leaf.leaf_index);
}

async function hidden(db: Db, leaves: readonly LeafRow[]): Promise<Damage | null> {
  const named = leaves.flatMap((leaf) =>
    leaf.id === null ? [] : subjectsOf(toContent(leaf)).map((patientId) => ({ leaf, patientId })),
  );
  const { rows } = await sql<{ place: number }>`
    select place
    from unnest(${named.map(({ patientId }) => patientId)}::uuid[], ${named.map(({ leaf }) => leaf.entry_id)}::uuid[])
      with ordinality as named (patient_id, entry_id, place)
    where not exists (
      select from audit_subjects s where s.patient_id = named.patient_id and s.entry_id = named.entry_id)
    order by place
    limit 1`.execute(db);
  const leaf = rows[0] === undefined ? undefined : named[rows[0].place - 1]?.leaf;
  return leaf === undefined ? null : at(leaf, 'hidden');
}

type UnsealedRow = ContentRow & { readonly is_behind: boolean };

/** Patients who are noted for an entry that does not name them: they would read it. */
async function exposed(scope: Scope): Promise<Damage | null> {
  let after = { patient_id: FIRST, entry_id: FIRST };
  for (;;) {
    const rows = await transact(scope, ({ db }) => subjectsAfter(db, after));
    const bad = rows.find(({ is_named }) => !is_named);
    if (bad !== undefined) {
      const message = 'a patient whom the entry does not name finds it';
      return { kind: 'exposed', leafIndex: bad.leaf_index, entryId: bad.entry_id, message };
    }
    if (rows.length < BATCH) return null;
    after = rows.at(-1) as SubjectRow;
  }
}

interface SubjectRow {
  readonly patient_id: string;
  readonly entry_id: string;
  readonly leaf_index: number | null;
  readonly is_named: boolean;
}

async function subjectsAfter(db: Db, after: Pick<SubjectRow, 'patient_id' | 'entry_id'>): Promise<SubjectRow[]> {
  const { rows } = await sql<SubjectRow>`
    select s.patient_id, s.entry_id, l.leaf_index,
      coalesce(e.id is null or s.patient_id = any(e.patient_ids) or (e.resource_type = 'Patient' and s.patient_id::text = any(
        lower((e.resource_ids || e.resource_id)::text)::text[])), false) as is_named
    from (
      select * from audit_subjects
      where (patient_id, entry_id) > (${after.patient_id}::uuid, ${after.entry_id}::uuid)
      order by patient_id, entry_id
      limit ${BATCH}
    ) s
    left join audit_entries e on e.id = s.entry_id
    left join audit_leaves l on l.entry_id = s.entry_id
    order by s.patient_id, s.entry_id`.execute(db);
  return rows;
}

/** Entries without a leaf: ours, and behind all that is sealed, or they were put there. */
async function checkUnsealed(scope: Scope): Promise<Pick<Verification, 'unsealed' | 'firstBad'>> {
  let unsealed = 0;
  let after = FIRST;
  for (;;) {
    const rows = await transact(scope, ({ db }) => unsealedAfter(db, after));
    const bad = rows.find(
      (row) => row.is_behind || !sameBytes(row.mac, entryMac(scope.vault, canonical(toContent(row)))),
    );
    if (bad !== undefined) {
      const message = bad.is_behind ? 'the entry stands behind what was sealed already' : MESSAGES.inserted;
      return { unsealed, firstBad: { kind: 'inserted', leafIndex: null, entryId: bad.id, message } };
    }
    unsealed += rows.length;
    after = rows.at(-1)?.id ?? after;
    if (rows.length < BATCH) return { unsealed, firstBad: null };
  }
}

async function unsealedAfter(db: Db, id: string): Promise<UnsealedRow[]> {
  const { rows } = await sql<UnsealedRow>`
    select ${contentColumns}, (e.transaction_id, e.id) <= (s.transaction_id, s.entry_id) as is_behind
    from audit_sealed_through() s, audit_entries e
    where e.id > ${id} and not exists (select from audit_leaves l where l.entry_id = e.id)
    order by e.id
    limit ${BATCH}`.execute(db);
  return rows;
}
