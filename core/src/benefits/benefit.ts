/** A benefit: one allowance of one patient, of one type, in one period. */
import { Decimal } from 'decimal.js';
import type { BenefitRow } from './tables.ts';

export const BENEFIT_TYPES = ['TRANSPORTATION', 'MEALS', 'FITNESS', 'OTC_ITEMS', 'UTILITIES'] as const;
export type BenefitType = (typeof BENEFIT_TYPES)[number];

/** Money has two decimal places; trips and meals are counted. */
export const BENEFIT_UNITS = ['MONEY', 'COUNT'] as const;
export type BenefitUnit = (typeof BENEFIT_UNITS)[number];

export const BENEFIT_STATUSES = ['PENDING', 'ACTIVE', 'DEPLETED', 'EXPIRED'] as const;
export type BenefitStatus = (typeof BENEFIT_STATUSES)[number];

export interface Benefit {
  readonly id: string;
  readonly patientId: string;
  readonly type: BenefitType;
  readonly unit: BenefitUnit;
  /** At the moment it was read. */
  readonly status: BenefitStatus;
  readonly allocated: Decimal;
  readonly used: Decimal;
  readonly held: Decimal;
  /** Allocated, less used and held. */
  readonly available: Decimal;
  /** In `timeZone`; both days are included. */
  readonly periodStart: Temporal.PlainDate;
  readonly periodEnd: Temporal.PlainDate;
  /** IANA: the plan's. */
  readonly timeZone: string;
  readonly externalPlanId: string | null;
  readonly lastSyncedAt: Temporal.Instant | null;
  readonly version: number;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}

export function toBenefit(row: BenefitRow, now: Temporal.Instant): Benefit {
  const amounts = { allocated: new Decimal(row.allocated), used: new Decimal(row.used), held: new Decimal(row.held) };
  const available = new Decimal(row.available);
  const period = {
    periodStart: Temporal.PlainDate.from(row.period_start),
    periodEnd: Temporal.PlainDate.from(row.period_end),
    timeZone: row.time_zone,
  };
  return {
    id: row.id,
    patientId: row.patient_id,
    type: row.type,
    unit: row.unit,
    status: statusOf({ ...period, available, held: amounts.held }, now),
    ...amounts,
    available,
    ...period,
    externalPlanId: row.external_plan_id,
    lastSyncedAt: row.last_synced_at?.toTemporalInstant() ?? null,
    version: row.version,
    createdAt: row.created_at.toTemporalInstant(),
    updatedAt: row.updated_at.toTemporalInstant(),
  };
}

type Standing = Pick<Benefit, 'periodStart' | 'periodEnd' | 'timeZone' | 'available' | 'held'>;

/** Nothing of it is stored: at local midnight in the plan's zone it changes by itself. */
export function statusOf(benefit: Standing, now: Temporal.Instant): BenefitStatus {
  const today = localDay(benefit, now);
  if (isAfter(today, benefit.periodEnd)) return 'EXPIRED';
  if (isAfter(benefit.periodStart, today)) return 'PENDING';
  return benefit.available.isZero() && benefit.held.isZero() ? 'DEPLETED' : 'ACTIVE';
}

/** The day in the plan's zone. */
export function localDay({ timeZone }: Pick<Benefit, 'timeZone'>, now: Temporal.Instant): Temporal.PlainDate {
  return now.toZonedDateTimeISO(timeZone).toPlainDate();
}

export function covers(
  { periodStart, periodEnd }: Pick<Benefit, 'periodStart' | 'periodEnd'>,
  day: Temporal.PlainDate,
): boolean {
  return !isAfter(periodStart, day) && !isAfter(day, periodEnd);
}

export const isAfter = (a: Temporal.PlainDate, b: Temporal.PlainDate): boolean => Temporal.PlainDate.compare(a, b) > 0;
