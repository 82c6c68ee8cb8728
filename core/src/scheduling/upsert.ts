/** Many rows of one directory table in one statement: new ones are added, changed ones changed, equal ones left. */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';

const COLUMNS = {
  organizations: { known_as: 'text[]', name: 'text', phone: 'text', address: 'jsonb', active: 'boolean' },
  locations: {
    known_as: 'text[]',
    organization_id: 'uuid',
    name: 'text',
    phone: 'text',
    address: 'jsonb',
    time_zone: 'text',
    active: 'boolean',
  },
  providers: {
    known_as: 'text[]',
    name: 'text',
    name_key: 'text',
    phone: 'text',
    email: 'text',
    time_zone: 'text',
    active: 'boolean',
  },
  provider_roles: {
    provider_id: 'uuid',
    organization_id: 'uuid',
    location_id: 'uuid',
    speciality_code: 'text',
    speciality: 'text',
    services: 'text[]',
    phone: 'text',
    email: 'text',
    active: 'boolean',
  },
} as const;

export type DirectoryTable = keyof typeof COLUMNS;
export type DirectoryValues<T extends DirectoryTable> = { readonly external_id: string } & {
  readonly [C in keyof (typeof COLUMNS)[T]]: unknown;
};

export interface Upserted {
  readonly id: string;
  readonly outcome: 'created' | 'updated' | 'unchanged';
}

/** The outcomes by external id, of which none may occur twice. */
export async function upsert<T extends DirectoryTable>(
  scope: Scope,
  table: T,
  rows: readonly DirectoryValues<T>[],
): Promise<ReadonlyMap<string, Upserted>> {
  const records = JSON.stringify(rows.map((row) => ({ ...row, id: randomUUIDv7() })));
  const names = Object.keys(COLUMNS[table]);
  const list = (of: (name: string) => string) => sql.raw(names.map(of).join(', '));
  const types = sql.raw(
    Object.entries(COLUMNS[table])
      .map((column) => column.join(' '))
      .join(', '),
  );
  const { rows: written } = await sql<{ external_id: string; id: string; created: boolean | null }>`
    with given as (
      select * from jsonb_to_recordset(${records}::jsonb) as r (id uuid, external_id text, ${types})
    ), written as (
      insert into ${sql.table(table)} as t (id, external_id, ${list(String)}, created_at, updated_at)
      select id, external_id, ${list(String)}, ${scope.now.toString()}::timestamptz, ${scope.now.toString()}::timestamptz
      from given
      on conflict (external_id) do update
        set ${list((name) => `${name} = excluded.${name}`)}, updated_at = excluded.updated_at
        where (${list((name) => `t.${name}`)}) is distinct from (${list((name) => `excluded.${name}`)})
      returning external_id, id, xmax = 0 as created
    )
    select external_id, id, created from written
    union all
    select t.external_id, t.id, null from ${sql.table(table)} t join given g on g.external_id = t.external_id
    where not exists (select from written w where w.external_id = t.external_id)`.execute(scope.db);
  return new Map(written.map(({ external_id, id, created }) => [external_id, { id, outcome: outcomeOf(created) }]));
}

function outcomeOf(created: boolean | null): Upserted['outcome'] {
  if (created === null) return 'unchanged';
  return created ? 'created' : 'updated';
}
