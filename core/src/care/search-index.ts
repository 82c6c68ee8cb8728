/**
 * The name index: an encrypted multimap from keywords to patients.
 *
 * Entry i of keyword w is stored under the first half of HMAC(HMAC(k, w), i), and what it points to is masked with
 * the second half. Without the key an entry is 32 random-looking bytes: neither that two patients share a keyword nor
 * how often one occurs can be seen. How many entries a keyword has is kept sealed, at one size. Every patient
 * adds the same number of entries (rarely twice it), the rest of them made of chance.
 *
 * An entry points to a patient's `search_id`. A patient who is renamed gets another one, so what the old entries
 * point to is nobody; a rebuild leaves them behind.
 */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import { type Key, hmac, open, seal } from '#platform/vault';
import { keywordsOf, type Name } from './names.ts';

/** Nine of ten names have fewer keywords; the tenth pads to the next multiple. */
const ENTRIES_PER_PATIENT = 32;

export interface Indexed {
  readonly searchId: string;
  readonly name: Name;
}

export interface Generations {
  readonly current: number;
  /** The one that a rebuild is filling; what is written goes there too. */
  readonly building: number | null;
}

/**
 * The generations in use, which stay so until the transaction ends. Call it before locking any patient: whoever
 * waits for the index, as a rebuild makes everybody do for a moment, must hold nothing that others wait for.
 */
export async function useIndex({ db }: Scope): Promise<Generations> {
  const { rows } = await sql<Generations>`select current, building from use_patient_search()`.execute(db);
  return rows[0] as Generations;
}

export const newest = ({ current, building }: Generations): number => building ?? current;

/**
 * Adds patients to every generation in use. Creations that share a keyword wait for each other from here to the end
 * of the transaction, so call it last, and once.
 */
export async function addToIndex(scope: Scope, generations: Generations, patients: readonly Indexed[]): Promise<void> {
  await addEntries(scope, generations.current, patients);
  if (generations.building !== null) await addEntries(scope, generations.building, patients);
}

/** Adds patients to one generation. */
export async function addEntries(scope: Scope, generation: number, patients: readonly Indexed[]): Promise<void> {
  const lists = new Map<string, List>();
  const entries: Entry[] = [];
  for (const { searchId, name } of patients) {
    const keywords = keywordsOf(name);
    for (const keyword of keywords) {
      const list = lists.get(keyword) ?? listOf(scope, generation, keyword);
      lists.set(keyword, list);
      list.added.push(searchId);
    }
    entries.push(...decoys(paddingFor(keywords.size)));
  }
  // In one order for everybody: who waits for a list holds no list that comes after it.
  const ordered = [...lists.values()].toSorted((a, b) => (a.token < b.token ? -1 : 1));
  const counts = await lockCounts(scope, generation, ordered);
  for (const list of ordered) {
    const first = counts.get(list.token) ?? 0;
    list.added.forEach((searchId, i) => entries.push(entryOf(list.key, first + i, searchId)));
    counts.set(list.token, first + list.added.length);
  }
  await write(scope, generation, { counts, entries });
}

/** How many entries each keyword has. */
export async function countsOf(
  scope: Scope,
  generation: number,
  keywords: readonly string[],
): Promise<Map<string, number>> {
  const tokens = new Map(keywords.map((keyword) => [listOf(scope, generation, keyword).token, keyword]));
  const { rows } = await sql<CountRow>`
    select token, sealed from ${tables(generation).counts} where token = any(${[...tokens.keys()]}::uuid[])`.execute(
    scope.db,
  );
  return new Map(rows.map((row) => [tokens.get(hexOf(row.token)) ?? '', openCount(scope, generation, row)]));
}

export interface Pointer {
  readonly position: number;
  readonly searchId: string;
}

/** The entries of a keyword at positions `from`, `from` − 1, … down to `from` − `limit` + 1, newest first. */
export async function entriesOf(
  scope: Scope,
  { generation, keyword, from, limit }: { generation: number; keyword: string; from: number; limit: number },
): Promise<Pointer[]> {
  const { key } = listOf(scope, generation, keyword);
  const wanted = new Map<string, { position: number; mask: Buffer }>();
  for (let position = from; position >= 0 && position > from - limit; position--) {
    const mac = macOf(key, position);
    wanted.set(mac.toString('hex', 0, HALF), { position, mask: mac.subarray(HALF) });
  }
  const { rows } = await sql<{ token: string; sealed: string }>`
    select token, sealed from ${tables(generation).entries} where token = any(${[...wanted.keys()]}::uuid[])`.execute(
    scope.db,
  );
  return rows
    .flatMap(({ token, sealed }) => {
      const entry = wanted.get(hexOf(token));
      return entry ? [{ position: entry.position, searchId: dashed(masked(hexOf(sealed), entry.mask)) }] : [];
    })
    .toSorted((a, b) => b.position - a.position);
}

export function tables(generation: number) {
  return {
    entries: sql.table(`patient_search_entries_${generation % 2}`),
    counts: sql.table(`patient_search_counts_${generation % 2}`),
  };
}

interface List {
  readonly key: Buffer;
  /** Where its count is. */
  readonly token: string;
  readonly added: string[];
}

interface Entry {
  readonly token: string;
  readonly sealed: string;
}

interface CountRow {
  readonly token: string;
  readonly sealed: Buffer;
}

/** Tokens and pointers are 16 bytes: the halves of one HMAC. */
const HALF = 16;

function listOf({ vault }: Scope, generation: number, keyword: string): List {
  const key = hmac(vault.keyFor(`search:${generation}`), keyword);
  // Longer than a position, so it is the message of no entry.
  return { key, token: hmac(key, 'count of entries').toString('hex', 0, HALF), added: [] };
}

function macOf(key: Buffer, position: number): Buffer {
  const message = Buffer.allocUnsafe(4);
  message.writeUInt32BE(position);
  return hmac(key, message);
}

function entryOf(key: Buffer, position: number, searchId: string): Entry {
  const mac = macOf(key, position);
  return { token: mac.toString('hex', 0, HALF), sealed: masked(hexOf(searchId), mac.subarray(HALF)) };
}

const paddingFor = (keywords: number): number =>
  Math.ceil(keywords / ENTRIES_PER_PATIENT) * ENTRIES_PER_PATIENT - keywords;

function decoys(count: number): Entry[] {
  const hex = randomBytes(count * 2 * HALF).toString('hex');
  return Array.from({ length: count }, (_, i) => {
    const at = i * 4 * HALF;
    return { token: hex.slice(at, at + 2 * HALF), sealed: hex.slice(at + 2 * HALF, at + 4 * HALF) };
  });
}

function masked(hex: string, mask: Buffer): string {
  const bytes = Buffer.from(hex, 'hex');
  for (let i = 0; i < HALF; i++) bytes[i] = (bytes[i] ?? 0) ^ (mask[i] ?? 0);
  return bytes.toString('hex');
}

/** Locks the lists' counts in order, after making those that are missing, in the same order. */
async function lockCounts(scope: Scope, generation: number, lists: readonly List[]): Promise<Map<string, number>> {
  const { counts } = tables(generation);
  const tokens = lists.map(({ token }) => token);
  await sql`
    insert into ${counts} (token, sealed) select token, '' from unnest(${tokens}::uuid[]) as token
    on conflict (token) do nothing`.execute(scope.db);
  const { rows } = await sql<CountRow>`
    select token, sealed from ${counts} where token = any(${tokens}::uuid[]) order by token for update`.execute(
    scope.db,
  );
  return new Map(rows.map((row) => [hexOf(row.token), openCount(scope, generation, row)]));
}

async function write(
  scope: Scope,
  generation: number,
  { counts, entries }: { counts: ReadonlyMap<string, number>; entries: readonly Entry[] },
): Promise<void> {
  const into = tables(generation);
  const sealed = [...counts].map(([token, count]) => sealCount(scope, generation, { token, count }));
  // By token: which of a patient's entries are decoys cannot be told from where they lie.
  const sorted = entries.toSorted((a, b) => (a.token < b.token ? -1 : 1));
  await sql`
    with counted as (
      update ${into.counts} as c set sealed = n.sealed
      from unnest(${[...counts.keys()]}::uuid[], ${sealed}::bytea[]) as n (token, sealed) where c.token = n.token
    )
    insert into ${into.entries} (token, sealed)
    select * from unnest(${sorted.map((e) => e.token)}::uuid[], ${sorted.map((e) => e.sealed)}::uuid[])`.execute(
    scope.db,
  );
}

const countKey = ({ vault }: Scope, generation: number): Key => ({
  id: generation,
  bytes: vault.keyFor(`search-counts:${generation}`),
});
const countPlace = (token: string) => ({ table: 'patient_search_counts', column: 'sealed', row: token });

function sealCount(scope: Scope, generation: number, { token, count }: { token: string; count: number }): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(count);
  return seal(countKey(scope, generation), countPlace(token), bytes);
}

/** Empty until the transaction that made the row writes the first count. */
function openCount(scope: Scope, generation: number, { token, sealed }: CountRow): number {
  if (sealed.length === 0) return 0;
  return open(countKey(scope, generation), countPlace(hexOf(token)), sealed).readUInt32BE();
}

const hexOf = (uuid: string): string => uuid.replaceAll('-', '');

function dashed(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
