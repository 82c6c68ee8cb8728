/** Bringing many records into the directory at once. A bad one is refused by itself; equal ones change nothing. */
import { sql } from 'kysely';
import type { z } from 'zod';
import * as audit from '#audit';
import { LOCKS } from '#platform/advisory-locks';
import { InvalidInput, type InputIssue } from '#platform/errors';
import { emitAll } from '#platform/events';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { Location, Organization, Provider, ProviderRole } from './directory-input.ts';
import { permitWrite } from './policy.ts';
import { nameKey } from './provider.ts';
import { servicesOf } from './speciality.ts';
import { type DirectoryTable, type DirectoryValues, upsert, type Upserted } from './upsert.ts';

export type DirectoryOutcome = Upserted | { readonly outcome: 'refused'; readonly issues: readonly InputIssue[] };

interface Changed<T extends DirectoryTable> {
  readonly id: string;
  readonly outcome: 'created' | 'updated';
  readonly row: DirectoryValues<T>;
}

/** One kind of record: how it is read, what becomes of it, and which events tell of it. */
interface Kind<T extends DirectoryTable, S extends z.ZodType<{ externalId: string }>> {
  readonly table: T;
  readonly schema: S;
  readonly resourceType: 'Organization' | 'Location' | 'Provider';
  toRow(scope: Scope, record: z.output<S>): Omit<DirectoryValues<T>, 'external_id'>;
  tell(scope: Scope, outcome: 'created' | 'updated', changed: readonly Changed<T>[]): Promise<void>;
}

const kind = <T extends DirectoryTable, S extends z.ZodType<{ externalId: string }>>(kind: Kind<T, S>) => kind;

export const ORGANIZATIONS = kind({
  table: 'organizations',
  schema: Organization,
  resourceType: 'Organization',
  toRow: (_scope, { knownAs, name, phone, address, active }) => ({ known_as: knownAs, name, phone, address, active }),
  tell: (scope, outcome, changed) =>
    emitAll(
      scope,
      `organization.${outcome}`,
      changed.map(({ id }) => ({ organizationId: id })),
    ),
});

export const LOCATIONS = kind({
  table: 'locations',
  schema: Location,
  resourceType: 'Location',
  toRow: (_scope, { knownAs, organization, name, phone, address, timeZone, active }) => ({
    known_as: knownAs,
    organization_id: organization,
    name,
    phone,
    address,
    time_zone: timeZone,
    active,
  }),
  tell: (scope, outcome, changed) =>
    emitAll(
      scope,
      `location.${outcome}`,
      changed.map(({ id }) => ({ locationId: id })),
    ),
});

export const PROVIDERS = kind({
  table: 'providers',
  schema: Provider,
  resourceType: 'Provider',
  toRow: ({ clinic }, { knownAs, name, phone, email, timeZone, active }) => ({
    known_as: knownAs,
    name,
    name_key: nameKey(name),
    phone,
    email,
    time_zone: timeZone ?? clinic.timeZone,
    active,
  }),
  tell: (scope, outcome, changed) =>
    emitAll(
      scope,
      `provider.${outcome}`,
      changed.map(({ id }) => ({ providerId: id })),
    ),
});

export const PROVIDER_ROLES = kind({
  table: 'provider_roles',
  schema: ProviderRole,
  resourceType: 'Provider',
  toRow: (_scope, { provider, organization, location, specialityCode, speciality, services, ...role }) => ({
    provider_id: provider,
    organization_id: organization,
    location_id: location,
    speciality_code: specialityCode,
    speciality,
    services: services ?? servicesOf(specialityCode ?? ''),
    phone: role.phone,
    email: role.email,
    active: role.active,
  }),
  tell: (scope, _outcome, changed) =>
    emitAll(
      scope,
      'provider.updated',
      changed.map(({ row }) => ({ providerId: String(row.provider_id) })),
    ),
});

/** The outcomes are in the order of the records. */
export async function importInto<T extends DirectoryTable, S extends z.ZodType<{ externalId: string }>>(
  scope: Scope,
  kind: Kind<T, S>,
  records: readonly unknown[],
): Promise<DirectoryOutcome[]> {
  const action = `${kind.resourceType.toLowerCase()}.import`;
  await permitWrite(scope, { action, resourceType: kind.resourceType });
  const parsed = refuseRepeated(records.map((record) => parsedOrRefused(kind.schema, record)));

  return transact(scope, async (scope) => {
    // One import at a time: an equal row that another one is writing would be neither written here nor visible.
    await sql`select pg_advisory_xact_lock(${LOCKS.directoryImport}::bigint)`.execute(scope.db);
    const resolved = await resolveReferences(scope, parsed);
    const rows = resolved.flatMap((record) =>
      'outcome' in record ? [] : { ...kind.toRow(scope, record), external_id: record.externalId },
    ) as DirectoryValues<T>[];
    const written = await upsert(scope, kind.table, rows);
    const changed = rows.flatMap((row): Changed<T>[] => {
      const { id, outcome } = of(written, row.external_id);
      return outcome === 'unchanged' ? [] : [{ id, outcome, row }];
    });
    if (changed.length > 0) {
      await audit.record(scope, { action, resourceType: kind.resourceType, resourceIds: changed.map(({ id }) => id) });
    }
    for (const outcome of ['created', 'updated'] as const) {
      await kind.tell(
        scope,
        outcome,
        changed.filter((change) => change.outcome === outcome),
      );
    }
    return resolved.map((record) => ('outcome' in record ? record : of(written, record.externalId)));
  });
}

type Refused = Extract<DirectoryOutcome, { outcome: 'refused' }>;
const refused = (issues: readonly InputIssue[]): Refused => ({ outcome: 'refused', issues });

function parsedOrRefused<S extends z.ZodType>(schema: S, record: unknown): z.output<S> | Refused {
  try {
    return parse(schema, record);
  } catch (thrown) {
    if (thrown instanceof InvalidInput) return refused(thrown.issues);
    throw thrown;
  }
}

type Parsed = { readonly externalId: string } | Refused;

/** One statement cannot write a row twice, and which of two records is meant nobody knows: the first one counts. */
function refuseRepeated<P extends Parsed>(records: readonly P[]): (P | Refused)[] {
  const seen = new Set<string>();
  return records.map((record) => {
    if ('outcome' in record) return record;
    if (seen.has(record.externalId)) return refused([{ path: ['externalId'], message: 'expected each id once' }]);
    seen.add(record.externalId);
    return record;
  });
}

const REFERENCES = { organization: 'organizations', location: 'locations', provider: 'providers' } as const;

/** Puts ids in the place of references. One to something unknown refuses its record. */
async function resolveReferences<P extends Parsed>(scope: Scope, records: readonly P[]): Promise<(P | Refused)[]> {
  let resolved: (P | Refused)[] = [...records];
  for (const [field, table] of Object.entries(REFERENCES)) {
    const known = await idsByName(
      scope,
      table,
      resolved.flatMap((record) => referenceIn(record, field) ?? []),
    );
    resolved = resolved.map((record) => {
      const name = referenceIn(record, field);
      if (name === null) return record;
      const id = known.get(name);
      if (id !== undefined) return { ...record, [field]: id };
      const issue = { path: [field], message: 'expected a reference to what this import or the directory has' };
      return 'outcome' in record ? record : refused([issue]);
    });
  }
  return resolved;
}

function referenceIn(record: Parsed, field: string): string | null {
  const value = (record as Readonly<Record<string, unknown>>)[field];
  return typeof value === 'string' ? value : null;
}

async function idsByName(scope: Scope, table: DirectoryTable, names: readonly string[]): Promise<Map<string, string>> {
  if (names.length === 0) return new Map();
  const wanted = [...new Set(names)];
  const { rows } = await sql<{ id: string; name: string }>`
    select distinct on (known.name) t.id, known.name from ${sql.table(table)} t, unnest(t.known_as) as known (name)
    where t.known_as && ${wanted}::text[] and known.name = any(${wanted}::text[])
    order by known.name, t.id`.execute(scope.db);
  return new Map(rows.map(({ id, name }) => [name, id]));
}

function of(written: ReadonlyMap<string, Upserted>, externalId: string): Upserted {
  const outcome = written.get(externalId);
  if (!outcome) throw new Error('Every record that was written has an outcome');
  return outcome;
}
