/** When a provider works: weekly hours, the zone they are meant in, and the days on which other hours count. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { Hours } from './availability.ts';
import { StaleProvider } from './errors.ts';
import { DateRange, NewException, RemovedException, TimeZoneChange, WeeklyHoursChange } from './hours-input.ts';
import { isPatient, permitRead, permitWrite } from './policy.ts';
import { findProvidersByIds, type Provider } from './provider.ts';

declare module '#platform/events' {
  interface Events {
    /** Weekly hours, their zone, or a dated exception. */
    'provider.hours_changed': { providerId: string };
  }
}

const PROVIDER = { resourceType: 'Provider' } as const;

/** Throws NotFound, InvalidInput, {@link StaleProvider}, IdempotencyMismatch, Forbidden. */
export async function setWeeklyHours(scope: Scope, providerId: string, input: WeeklyHoursChange): Promise<Provider> {
  const change = parse(WeeklyHoursChange, input);
  const ordered = change.hours?.toSorted((a, b) => a.weekday - b.weekday || (a.from < b.from ? -1 : 1)) ?? null;
  const columns = { weekly_hours: ordered === null ? null : JSON.stringify(ordered) };
  return changeProvider(scope, providerId, { action: 'provider.setHours', field: 'weeklyHours', change, columns });
}

/** Visits that are booked stay at their instants. Throws as {@link setWeeklyHours} does. */
export async function setProviderTimeZone(scope: Scope, providerId: string, input: TimeZoneChange): Promise<Provider> {
  const change = parse(TimeZoneChange, input);
  const columns = { hours_time_zone: change.timeZone };
  return changeProvider(scope, providerId, { action: 'provider.setTimeZone', field: 'timeZone', change, columns });
}

interface ProviderChange {
  readonly action: string;
  readonly field: string;
  readonly change: {
    readonly version?: number | null | undefined;
    readonly idempotencyKey?: string | null | undefined;
  };
  readonly columns: { weekly_hours: string | null } | { hours_time_zone: string | null };
}

async function changeProvider(
  scope: Scope,
  providerId: string,
  { action, field, change: { idempotencyKey: key, version }, columns }: ProviderChange,
): Promise<Provider> {
  const id = idOf(providerId);
  await permitWrite(scope, { action, ...PROVIDER, resourceId: id });

  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { id, version, columns } }, async () => {
      const row = await lockProvider(scope, id);
      if (version !== null && version !== undefined && version !== row.version) throw new StaleProvider(row.version);
      await scope.db
        .updateTable('providers')
        .set({ ...columns, version: row.version + 1, updated_at: scope.now.toString() })
        .where('id', '=', id)
        .execute();
      await audit.record(scope, { action, ...PROVIDER, resourceId: id, changedFields: [field] });
      await emit(scope, 'provider.hours_changed', { providerId: id });
      return id;
    });
    return (await findProvidersByIds(scope, [id])).get(id) as Provider;
  });
}

/** For this transaction alone to change; who books with the provider does not wait for it. Throws {@link NotFound}. */
export async function lockProvider({ db }: Scope, id: string): Promise<{ id: string; version: number }> {
  if (!isUuid(id)) throw new NotFound('Provider');
  return db
    .selectFrom('providers')
    .select(['id', 'version'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow(() => new NotFound('Provider'));
}

/** The hours of one local day instead of the weekly ones; none is a day off. */
export interface ProviderException {
  readonly providerId: string;
  /** In the provider's zone: `2026-03-08`. */
  readonly date: string;
  readonly hours: readonly Hours[];
  /** For staff; null for patients. */
  readonly note: string | null;
}

/** Adds or replaces. Throws NotFound, InvalidInput, IdempotencyMismatch, Forbidden. */
export async function setProviderException(scope: Scope, id: string, input: NewException): Promise<ProviderException> {
  const { idempotencyKey: key, ...exception } = parse(NewException, input);
  const action = 'provider.setException';
  const providerId = idOf(id);
  await permitWrite(scope, { action, ...PROVIDER, resourceId: providerId });
  const { date, note } = exception;
  const hours = exception.hours.toSorted((a, b) => (a.from < b.from ? -1 : 1));

  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { providerId, ...exception } }, async () => {
      await lockProvider(scope, providerId);
      const row = { hours: JSON.stringify(hours), note, updated_at: scope.now.toString() };
      await scope.db
        .insertInto('provider_exceptions')
        .values({ provider_id: providerId, on_date: date, ...row })
        .onConflict((conflict) => conflict.columns(['provider_id', 'on_date']).doUpdateSet(row))
        .execute();
      await recordException(scope, action, providerId);
      return providerId;
    });
    return { providerId, date, hours, note };
  });
}

/** The weekly hours count again. Throws NotFound, InvalidInput, IdempotencyMismatch, Forbidden. */
export async function removeProviderException(scope: Scope, id: string, input: RemovedException): Promise<void> {
  const { idempotencyKey: key, date } = parse(RemovedException, input);
  const action = 'provider.removeException';
  const providerId = idOf(id);
  await permitWrite(scope, { action, ...PROVIDER, resourceId: providerId });

  await transact(scope, (scope) =>
    once(scope, { key, operation: action, input: { providerId, date } }, async () => {
      await lockProvider(scope, providerId);
      const { numDeletedRows } = await scope.db
        .deleteFrom('provider_exceptions')
        .where('provider_id', '=', providerId)
        .where('on_date', '=', date)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw new NotFound('Exception');
      await recordException(scope, action, providerId);
      return providerId;
    }),
  );
}

async function recordException(scope: Scope, action: string, providerId: string): Promise<void> {
  await audit.record(scope, { action, ...PROVIDER, resourceId: providerId, changedFields: ['exceptions'] });
  await emit(scope, 'provider.hours_changed', { providerId });
}

/** Dated exceptions by provider, in the order of their days: one query, for loaders. Throws InvalidInput, Forbidden. */
export async function exceptionsByProvider(
  scope: Scope,
  providerIds: readonly string[],
  input: DateRange,
): Promise<ReadonlyMap<string, readonly ProviderException[]>> {
  const { from, to } = parse(DateRange, input);
  await permitRead(scope, { action: 'provider.read', ...PROVIDER, resourceIds: providerIds });

  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('provider_exceptions')
      .select(['provider_id', 'on_date', 'hours'])
      .$if(!isPatient(scope.actor), (rows) => rows.select('note'))
      .where('provider_id', '=', sql<string>`any(${providerIds.filter(isUuid)}::uuid[])`)
      .where('on_date', '>=', from)
      .where('on_date', '<=', to)
      .orderBy('on_date')
      .execute();
    return Map.groupBy(
      rows.map(({ provider_id, on_date, hours, note }) => ({
        providerId: provider_id,
        date: on_date,
        hours,
        note: note ?? null,
      })),
      ({ providerId }) => providerId,
    );
  });
}
