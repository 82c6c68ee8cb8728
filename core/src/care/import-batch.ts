/** One batch of an import: what each record means, and the statements that write all of them at once. */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import type { InputIssue } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { FACTS, type Facts, defaults, differences, isRename, merged } from './facts.ts';
import type { ParsedImport } from './input.ts';
import type { PatientStatus } from './patient.ts';
import { changedColumns, emailIndex, factsOf, newRow, newSearchId } from './record.ts';
import type { PatientRow } from './tables.ts';

export interface Item {
  /** Where in the input. */
  readonly position: number;
  readonly record: ParsedImport;
  /** Of the record as it came. */
  readonly hash: Buffer;
}

export type ImportOutcome =
  | { readonly outcome: 'created' | 'updated' | 'unchanged'; readonly patientId: string }
  | { readonly outcome: 'refused'; readonly issues: readonly InputIssue[] };

export type Settled = Map<Item, ImportOutcome>;

export interface Creation {
  readonly item: Item;
  readonly id: string;
  readonly facts: Facts;
  readonly searchId: string;
}

export interface Update {
  readonly item: Item;
  readonly row: PatientRow;
  readonly facts: Facts;
  /** Nothing, when people here had already made the same change. */
  readonly changed: readonly (keyof Facts)[];
  /** A new one when the name or birth date has changed. */
  readonly searchId: string | null;
}

export interface Plan {
  /** What needs no writing: unchanged and refused records. */
  readonly settled: Settled;
  readonly creations: readonly Creation[];
  readonly updates: readonly Update[];
}

export async function planImport(scope: Scope, items: readonly Item[]): Promise<Plan> {
  const known = await knownPatients(scope, items);
  const settled: Settled = new Map();
  const creations: Creation[] = [];
  const stale = new Map<string, Item>();
  for (const item of items) {
    const patient = known.get(item.record.externalId);
    if (patient === undefined) creations.push(creationOf(scope, item));
    else if (patient.hash?.equals(item.hash)) settled.set(item, { outcome: 'unchanged', patientId: patient.id });
    else stale.set(patient.id, item);
  }
  const rows = await lockRows(scope, [...stale.keys()]);
  const updates = rows.map((row) => updateOf(scope, row, stale.get(row.id) as Item));
  const taken = await takenEmails(scope, creations, updates);
  for (const item of taken) settled.set(item, refused('email', 'another patient has this e-mail address'));
  return {
    settled,
    creations: creations.filter(({ item }) => !taken.has(item)),
    updates: updates.filter(({ item }) => !taken.has(item)),
  };
}

/** Returns those that went in: the others met a patient whom somebody has created in this moment. */
export async function insertAll(
  scope: Scope,
  creations: readonly Creation[],
  generation: number,
): Promise<readonly Creation[]> {
  if (creations.length === 0) return [];
  const rows = creations.map(({ item, id, facts, searchId }) => ({
    ...newRow(scope, id, facts),
    search_id: searchId,
    search_generation: generation,
    import_hash: item.hash,
  }));
  const inserted = await sql<{ id: string }>`
    insert into patients select * from jsonb_populate_recordset(null::patients, ${toJson(rows)}::jsonb)
    on conflict do nothing returning id`.execute(scope.db);
  const ids = new Set(inserted.rows.map(({ id }) => id));
  return creations.filter(({ id }) => ids.has(id));
}

export async function updateAll(scope: Scope, updates: readonly Update[], generation: number): Promise<void> {
  if (updates.length === 0) return;
  const rows = updates.map(({ item, row, facts, changed, searchId }) => ({
    id: row.id,
    ...changedColumns(scope, row, { facts, changed: FACTS }),
    search_id: searchId ?? row.search_id,
    search_generation: searchId === null ? row.search_generation : generation,
    import_hash: item.hash,
    version: changed.length === 0 ? row.version : row.version + 1,
    updated_at: changed.length === 0 ? row.updated_at.toISOString() : scope.now.toString(),
  }));
  await sql`
    update patients as p set external_id = n.external_id, status = n.status, time_zone = n.time_zone,
      language = n.language, preferences = n.preferences, identity = n.identity, details = n.details,
      email_index = n.email_index, phone_index = n.phone_index, search_id = n.search_id,
      search_generation = n.search_generation, import_hash = n.import_hash, version = n.version,
      updated_at = n.updated_at
    from jsonb_populate_recordset(null::patients, ${toJson(rows)}::jsonb) as n where p.id = n.id`.execute(scope.db);
}

interface Known {
  readonly id: string;
  readonly hash: Buffer | null;
}

async function knownPatients(scope: Scope, items: readonly Item[]): Promise<Map<string, Known>> {
  const externalIds = items.map(({ record }) => record.externalId);
  const rows = await scope.db
    .selectFrom('patients')
    .select(['id', 'external_id', 'import_hash'])
    .where('external_id', '=', sql<string>`any(${externalIds})`)
    .execute();
  return new Map(rows.map(({ id, external_id, import_hash }) => [external_id as string, { id, hash: import_hash }]));
}

async function lockRows(scope: Scope, ids: readonly string[]): Promise<PatientRow[]> {
  if (ids.length === 0) return [];
  return scope.db
    .selectFrom('patients')
    .selectAll()
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('erased_at', 'is', null)
    .orderBy('id')
    .forUpdate()
    .execute();
}

function creationOf(scope: Scope, item: Item): Creation {
  const facts = merged(defaults(scope, item.record), item.record);
  return { item, id: randomUUIDv7(), facts, searchId: newSearchId() };
}

function updateOf(scope: Scope, row: PatientRow, item: Item): Update {
  const before = factsOf(scope, row);
  const facts = merged(before, { ...item.record, status: statusAfter(before.status, item.record.status) });
  const changed = differences(before, facts);
  return { item, row, facts, changed, searchId: isRename(changed) ? newSearchId() : null };
}

/** Suspending is done here, and no other system knows of it: none ends it by calling the patient active. */
function statusAfter(before: PatientStatus, imported: ParsedImport['status']): ParsedImport['status'] {
  return before === 'SUSPENDED' && imported === 'ACTIVE' ? before : imported;
}

/** Items whose e-mail address another live patient has, or an item before them in this batch. */
async function takenEmails(
  { db, vault }: Scope,
  creations: readonly Creation[],
  updates: readonly Update[],
): Promise<Set<Item>> {
  const wanted = [
    ...updates
      .filter(({ row }) => row.deleted_at === null)
      .map(({ item, row, facts }) => ({ item, id: row.id, facts })),
    ...creations,
  ].flatMap(({ item, id, facts }) =>
    facts.email === null ? [] : [{ item, id, index: emailIndex(vault, facts.email) }],
  );
  const rows = await db
    .selectFrom('patients')
    .select(['id', 'email_index'])
    .where('email_index', '=', sql<Buffer>`any(${wanted.map(({ index }) => index)}::bytea[])`)
    .where('deleted_at', 'is', null)
    .execute();
  const owners = new Map(rows.map(({ id, email_index }) => [email_index?.toString('hex'), id]));
  const taken = new Set<Item>();
  for (const { item, id, index } of wanted) {
    const owner = owners.get(index.toString('hex')) ?? id;
    if (owner === id) owners.set(index.toString('hex'), id);
    else taken.add(item);
  }
  return taken;
}

function refused(field: keyof ParsedImport, message: string): ImportOutcome {
  return { outcome: 'refused', issues: [{ path: [field], message }] };
}

/** One parameter for all the rows, whose text stays the same however many they are. */
function toJson(rows: readonly object[]): string {
  return JSON.stringify(
    rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => {
          if (Buffer.isBuffer(value)) return [column, `\\x${value.toString('hex')}`];
          return [column, column === 'preferences' ? JSON.parse(value as string) : value];
        }),
      ),
    ),
  );
}
