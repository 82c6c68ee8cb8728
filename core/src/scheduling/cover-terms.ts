/** Which benefit pays for a visit of a service, how much, and what becomes of it when the patient does not come. */
import type { Selectable } from 'kysely';
import type { BenefitType, BenefitUnit } from '#benefits';
import type { Database } from '#platform/database';

export const ON_NO_SHOW = ['RELEASE', 'USE'] as const;
export type OnNoShow = (typeof ON_NO_SHOW)[number];

export interface Coverage {
  readonly type: BenefitType;
  readonly unit: BenefitUnit;
  /** Exact, as text. */
  readonly amount: string;
  readonly onNoShow: OnNoShow;
}

export const COVERAGE_COLUMNS = ['benefit_type', 'benefit_unit', 'benefit_amount', 'benefit_on_no_show'] as const;
type CoverageRow = Pick<Selectable<Database['care_services']>, (typeof COVERAGE_COLUMNS)[number]>;

export function toCoverage(row: CoverageRow): Coverage | null {
  const { benefit_type: type, benefit_unit: unit, benefit_amount: amount, benefit_on_no_show: onNoShow } = row;
  return type && unit && amount && onNoShow ? { type, unit, amount, onNoShow } : null;
}

export function coverageColumns(coverage: Coverage | null): CoverageRow {
  return {
    benefit_type: coverage?.type ?? null,
    benefit_unit: coverage?.unit ?? null,
    benefit_amount: coverage?.amount ?? null,
    benefit_on_no_show: coverage?.onNoShow ?? null,
  };
}
