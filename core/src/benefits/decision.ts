/** Whether a benefit pays for something on a day: decided from what is known here, without asking anybody. */
import { Decimal } from 'decimal.js';
import type { PatientStatus } from '#care';
import { type Benefit, covers, isAfter, localDay } from './benefit.ts';

export const DECISIONS = ['ELIGIBLE', 'INELIGIBLE', 'UNKNOWN'] as const;
export type Decision = (typeof DECISIONS)[number];

export const ELIGIBILITY_REASONS = [
  'NO_BENEFIT',
  'NOT_STARTED',
  'EXPIRED',
  'DEPLETED',
  'INSUFFICIENT',
  'SUSPENDED',
  'PATIENT_INACTIVE',
  'PAYER_UNREACHABLE',
  'PAYER_ERROR',
] as const;
export type EligibilityReason = (typeof ELIGIBILITY_REASONS)[number];

export interface Question {
  readonly patientStatus: PatientStatus;
  /** Of the type that is asked for. */
  readonly benefits: readonly Benefit[];
  readonly required: Decimal;
  /** The day that is asked about, by the calendar of the plan. */
  readonly dayOf: (benefit: Benefit) => Temporal.PlainDate;
  readonly now: Temporal.Instant;
}

export interface Answer {
  readonly decision: 'ELIGIBLE' | 'INELIGIBLE';
  /** None when eligible; else all that stand in the way, each once. */
  readonly reasons: readonly EligibilityReason[];
  /** The one that would pay; when none would, the one that comes nearest to it. */
  readonly benefit: Benefit | null;
}

/** Of several that could pay, the one whose period ends first does. */
export function decide({ patientStatus, benefits, required, dayOf, now }: Question): Answer {
  const inOrder = benefits.toSorted(byPeriodEnd);
  const judged = inOrder.map((benefit) => ({
    benefit,
    reason: reasonAgainst(benefit, { required, dayOf, now }),
  }));
  const paying = judged.find(({ reason }) => reason === null)?.benefit ?? null;
  const ofPatient = PATIENT_REASONS[patientStatus];
  if (paying !== null && ofPatient === null) return { decision: 'ELIGIBLE', reasons: [], benefit: paying };
  const against = paying === null ? (judged.length === 0 ? ['NO_BENEFIT' as const] : reasonsOf(judged)) : [];
  const reasons = [...(ofPatient ? [ofPatient] : []), ...against];
  return { decision: 'INELIGIBLE', reasons, benefit: paying ?? nearest(judged) };
}

const PATIENT_REASONS: Readonly<Record<PatientStatus, EligibilityReason | null>> = {
  ACTIVE: null,
  SUSPENDED: 'SUSPENDED',
  INACTIVE: 'PATIENT_INACTIVE',
  DECEASED: 'PATIENT_INACTIVE',
};

interface Judged {
  readonly benefit: Benefit;
  readonly reason: EligibilityReason | null;
}

/** From what only lacks an amount to what is over. */
const NEARNESS: readonly (EligibilityReason | null)[] = ['INSUFFICIENT', 'DEPLETED', 'NOT_STARTED', 'EXPIRED'];

/** What stands in the way of the nearest ones says more than that last year's is over. */
function reasonsOf(judged: readonly Judged[]): EligibilityReason[] {
  const found = new Set(judged.map(({ reason }) => reason));
  const inThePeriod = NEARNESS.slice(0, 2).filter((reason) => found.has(reason));
  const reasons = inThePeriod.length > 0 ? inThePeriod : NEARNESS.filter((reason) => found.has(reason));
  return reasons.filter((reason) => reason !== null);
}

function nearest(judged: readonly Judged[]): Benefit | null {
  const [first] = judged.toSorted((a, b) => NEARNESS.indexOf(a.reason) - NEARNESS.indexOf(b.reason));
  return first?.benefit ?? null;
}

function reasonAgainst(
  benefit: Benefit,
  { required, dayOf, now }: Pick<Question, 'required' | 'dayOf' | 'now'>,
): EligibilityReason | null {
  const today = localDay(benefit, now);
  const day = dayOf(benefit);
  // What was left of a period went with it.
  if (isAfter(day, benefit.periodEnd) || isAfter(today, benefit.periodEnd)) return 'EXPIRED';
  if (!covers(benefit, day)) return 'NOT_STARTED';
  if (benefit.available.greaterThanOrEqualTo(required)) return null;
  return benefit.available.isZero() && benefit.held.isZero() ? 'DEPLETED' : 'INSUFFICIENT';
}

/** The order in which benefits are spent. */
export function byPeriodEnd(a: Benefit, b: Benefit): number {
  return Temporal.PlainDate.compare(a.periodEnd, b.periodEnd) || (a.id < b.id ? -1 : 1);
}
