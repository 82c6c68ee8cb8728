/** The rules of each service: how long a visit is, and when it can be booked. */
import { randomUUIDv7 } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Selectable, Updateable } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as benefits from '#benefits';
import type { Database } from '#platform/database';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { ServiceRules } from './availability.ts';
import { type Coverage, coverageColumns, ON_NO_SHOW, toCoverage } from './cover-terms.ts';
import { StaleCareService } from './errors.ts';
import { permitRead, permitWrite } from './policy.ts';
import { CARE_SERVICES, type CareServiceType } from './speciality.ts';

declare module '#platform/events' {
  interface Events {
    'care_service.updated': { service: CareServiceType };
  }
}

export interface CareService extends ServiceRules {
  readonly coverage: Coverage | null;
  /** Grows by one with every change. */
  readonly version: number;
  readonly updatedAt: Temporal.Instant;
}

const between = (least: number, most: number) =>
  z.int('expected a whole number').min(least, `expected at least ${least}`).max(most, `expected at most ${most}`);

const CoverageChange = z
  .object({
    type: z.enum(benefits.BENEFIT_TYPES),
    unit: z.enum(benefits.BENEFIT_UNITS),
    amount: benefits.amount.transform((amount) => amount.toFixed(2)),
    onNoShow: z
      .enum(ON_NO_SHOW)
      .nullish()
      .transform((act) => act ?? 'RELEASE'),
  })
  .refine(({ unit, amount }) => unit === 'MONEY' || amount.endsWith('.00'), {
    path: ['amount'],
    when: ({ issues }) => issues.length === 0,
    message: 'expected a whole number: this benefit is counted',
  });

const CareServiceChanges = z.object({
  minutes: between(1, 1_440).optional(),
  bufferBeforeMinutes: between(0, 240).optional(),
  bufferAfterMinutes: between(0, 240).optional(),
  minimumNoticeMinutes: between(0, 43_200).optional(),
  horizonDays: between(1, 1_095).optional(),
  /** Null is no limit. */
  dailyLimit: between(1, 1_440).nullable().optional(),
  /** Null: no benefit pays for it. Visits that are booked keep the terms that they were booked on. */
  coverage: CoverageChange.nullable().optional(),
  version: z.int('expected a whole number').nullish(),
  idempotencyKey: z.string().nullish(),
});
/** What is left out stays as it is. */
export type CareServiceChanges = z.input<typeof CareServiceChanges>;

/** All of them, in the order of their names. Throws Forbidden. */
export async function careServices(scope: Scope): Promise<CareService[]> {
  await permitRead(scope, { action: 'careService.list', resourceType: 'CareService' });
  return transact(scope, async ({ db }) => {
    const rows = await db.selectFrom('care_services').selectAll().orderBy('service').execute();
    return rows.map(toCareService);
  });
}

const COLUMNS = {
  minutes: 'minutes',
  bufferBeforeMinutes: 'buffer_before_minutes',
  bufferAfterMinutes: 'buffer_after_minutes',
  minimumNoticeMinutes: 'minimum_notice_minutes',
  horizonDays: 'horizon_days',
  dailyLimit: 'daily_limit',
} as const;
type Rule = keyof typeof COLUMNS;

/**
 * Counts for what is booked from now on; visits that are booked keep their times and buffers.
 * Throws InvalidInput, {@link StaleCareService}, IdempotencyMismatch, Forbidden.
 */
export async function updateCareService(
  scope: Scope,
  service: CareServiceType,
  changes: CareServiceChanges,
): Promise<CareService> {
  parse(z.object({ service: z.enum(CARE_SERVICES) }), { service });
  const { idempotencyKey: key, version, coverage, ...rules } = parse(CareServiceChanges, changes);
  const action = 'careService.update';
  const entry = { action, resourceType: 'CareService', resourceId: service };
  await permitWrite(scope, entry);

  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { service, version, ...rules, coverage } }, async () => {
      const row = await lock(scope, service);
      if (version !== null && version !== undefined && version !== row.version) throw new StaleCareService(row.version);
      const changed = (Object.keys(COLUMNS) as Rule[]).filter(
        (rule) => rules[rule] !== undefined && rules[rule] !== row[COLUMNS[rule]],
      );
      const covers = coverage !== undefined && !isDeepStrictEqual(coverage, toCoverage(row));
      await audit.record(scope, { ...entry, changedFields: [...changed, ...(covers ? ['coverage'] : [])] });
      const columns = Object.fromEntries(changed.map((rule) => [COLUMNS[rule], rules[rule]]));
      const terms = covers ? coverageColumns(coverage) : {};
      if (changed.length > 0 || covers) await change(scope, row, { ...columns, ...terms });
      // A repeat finds the service by its name; only that it was done has to be kept.
      return randomUUIDv7();
    });
    return toCareService(await lock(scope, service));
  });
}

async function change(
  scope: Scope,
  { service, version }: CareServiceRow,
  columns: Updateable<Database['care_services']>,
): Promise<void> {
  await scope.db
    .updateTable('care_services')
    .set(columns)
    .set({ version: version + 1, updated_at: scope.now.toString() })
    .where('service', '=', service)
    .execute();
  await emit(scope, 'care_service.updated', { service });
}

function lock({ db }: Scope, service: CareServiceType): Promise<CareServiceRow> {
  return db
    .selectFrom('care_services')
    .selectAll()
    .where('service', '=', service)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
}

type CareServiceRow = Selectable<Database['care_services']>;

function toCareService(row: CareServiceRow): CareService {
  return {
    service: row.service,
    minutes: row.minutes,
    bufferBeforeMinutes: row.buffer_before_minutes,
    bufferAfterMinutes: row.buffer_after_minutes,
    minimumNoticeMinutes: row.minimum_notice_minutes,
    horizonDays: row.horizon_days,
    dailyLimit: row.daily_limit,
    coverage: toCoverage(row),
    version: row.version,
    updatedAt: row.updated_at.toTemporalInstant(),
  };
}
