/** A provider as the rest of the platform sees one: the person, and what their roles add. */
import { sql } from 'kysely';
import { z } from 'zod';
import { statement } from '#platform/database';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import type { Scope } from '#platform/scope';
import { instantOf } from '#platform/times';
import type { WeeklyHours } from './availability.ts';
import { CARE_SERVICES, type CareServiceType } from './speciality.ts';

export interface Provider {
  readonly id: string;
  /** The National Provider Identifier, else the id in the system that the provider came from. */
  readonly externalId: string;
  readonly name: string;
  /** NUCC health care provider taxonomy. */
  readonly specialityCode: string | null;
  readonly speciality: string | null;
  readonly services: readonly CareServiceType[];
  /** E.164. */
  readonly phone: string | null;
  readonly email: string | null;
  readonly organization: Named | null;
  readonly location: Named | null;
  /** IANA: what an admin chose, else of the place of work, else of the provider's own address, else the clinic's. */
  readonly timeZone: string;
  /** Of the wall clock in that zone. Null: the clinic's usual hours. */
  readonly weeklyHours: readonly WeeklyHours[] | null;
  readonly active: boolean;
  /** Grows by one when an admin changes zone or weekly hours. */
  readonly version: number;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}

export interface Named {
  readonly id: string;
  readonly name: string;
}

/** Words of a name without case, accent and punctuation, each with a space before it: `O'Keefe` is ` okeefe`. */
export function nameKey(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replaceAll(/[\p{M}\p{Pi}\p{Pf}'`´]/gu, '')
    .toLowerCase();
  return plain
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map((word) => ` ${word}`)
    .join('');
}

const ProviderList = PageInput.extend({
  service: z.enum(CARE_SERVICES).nullish(),
  search: z.string().max(200, 'expected at most 200 characters').nullish(),
});
export type ProviderList = z.input<typeof ProviderList>;

/** Active providers by name. */
export async function findProviders(scope: Scope, input: ProviderList): Promise<Page<Provider>> {
  const { service, search, first, after } = parse(ProviderList, input);
  let query = viewOfProviders(scope)
    .where('p.active', '=', true)
    .orderBy('p.name_key')
    .orderBy('p.id')
    .limit(first + 1);
  if (service) {
    query = query.where((eb) =>
      eb.exists(
        eb
          .selectFrom('provider_roles as r')
          .select('r.id')
          .whereRef('r.provider_id', '=', 'p.id')
          .where('r.active', '=', true)
          .where(sql<boolean>`r.services @> array[${service}::text]`),
      ),
    );
  }
  for (const word of nameKey(search ?? '')
    .split(' ')
    .slice(1))
    query = query.where('p.name_key', 'like', `% ${word}%`);
  if (after !== null) {
    const [id] = decodeCursor(after, z.tuple([z.uuid()]));
    query = query.where(sql<boolean>`(p.name_key, p.id) > (select name_key, id from providers where id = ${id})`);
  }
  return toPage(await query.execute(), first, { node: toProvider, key: ({ id }) => [id] });
}

/** By id, the inactive too. */
export async function findProvidersByIds(scope: Scope, ids: readonly string[]): Promise<Map<string, Provider>> {
  const rows = await rowsByIds(scope.db, { ids: ids.filter(isUuid) });
  return new Map(rows.map((row) => [row.id, toProvider(row)]));
}

const rowsByIds = statement((db, { ids }: { ids: readonly string[] }) =>
  viewOfProviders({ db }).where(sql<boolean>`p.id = any(${ids}::uuid[])`),
);

/** The role that counts is the first active one; services are those of all active roles. */
function viewOfProviders({ db }: Pick<Scope, 'db'>) {
  return db
    .selectFrom('providers as p')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('provider_roles as r')
          .selectAll('r')
          .whereRef('r.provider_id', '=', 'p.id')
          .where('r.active', '=', true)
          .orderBy('r.external_id')
          .limit(1)
          .as('role'),
      (join) => join.onTrue(),
    )
    .leftJoin('organizations as o', 'o.id', 'role.organization_id')
    .leftJoin('locations as l', 'l.id', 'role.location_id')
    .select([
      'p.id',
      'p.external_id',
      'p.name',
      'p.active',
      'p.created_at',
      'p.updated_at',
      'p.phone as own_phone',
      'p.email as own_email',
      'p.time_zone as own_time_zone',
      'p.hours_time_zone',
      'p.weekly_hours',
      'p.version',
      'role.speciality_code',
      'role.speciality',
      'role.phone as role_phone',
      'role.email as role_email',
      'o.id as organization_id',
      'o.name as organization_name',
      'l.id as location_id',
      'l.name as location_name',
      'l.time_zone as location_time_zone',
      sql<CareServiceType[]>`array(
        select distinct service from provider_roles r, unnest(r.services) as service
        where r.provider_id = p.id and r.active order by service)`.as('services'),
    ]);
}

type ProviderRow = Awaited<ReturnType<ReturnType<typeof viewOfProviders>['execute']>>[number];

function toProvider(row: ProviderRow): Provider {
  return {
    id: row.id,
    externalId: row.external_id,
    name: row.name,
    specialityCode: row.speciality_code,
    speciality: row.speciality,
    services: row.services,
    phone: row.role_phone ?? row.own_phone,
    email: row.role_email ?? row.own_email,
    organization: named(row.organization_id, row.organization_name),
    location: named(row.location_id, row.location_name),
    timeZone: row.hours_time_zone ?? row.location_time_zone ?? row.own_time_zone,
    weeklyHours: row.weekly_hours,
    active: row.active,
    version: row.version,
    createdAt: instantOf(row.created_at),
    updatedAt: instantOf(row.updated_at),
  };
}

const named = (id: string | null, name: string | null): Named | null =>
  id === null || name === null ? null : { id, name };
