/**
 * Where the payer and the ledger differ about a benefit. Found by comparing, without asking anybody and without moving
 * an amount.
 *
 * What counts is what is left: allocated less used. What is held is known here alone.
 */
import { Decimal } from 'decimal.js';
import type { Faulty, PayerAnswer, PayerBenefit } from '#integrations/benefits-api';
import { type Benefit, BENEFIT_TYPES, covers, isAfter, localDay, statusOf } from './benefit.ts';
import { isAmount } from './input.ts';

export const DRIFT_KINDS = [
  // Less is left at the payer than here: it will not pay for all that is spent.
  'LESS_LEFT',
  'MORE_LEFT',
  // The payer has it for other days.
  'PERIOD',
  'NOT_IN_FORCE',
  // The payer lists none such.
  'NOT_THERE',
  // The payer lists one that is not on record.
  'NOT_HERE',
  // What the payer says of it contradicts itself.
  'NOT_CREDIBLE',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

/** What the payer's answer says of a benefit, and whether that agrees. */
export interface Finding {
  /** Null where it is not on record. */
  readonly benefit: Benefit | null;
  /** Null where the payer lists none, or says nothing that can be believed. */
  readonly there: PayerBenefit | null;
  /** Null: both agree. */
  readonly kind: DriftKind | null;
  /** By code. */
  readonly fault: string | null;
  /** What is left there less what is left here; null where that cannot be told. */
  readonly difference: Decimal | null;
}

/** Compares one patient's benefits with the payer's answer. Those that are over are left out. */
export function compare(benefits: readonly Benefit[], answer: PayerAnswer, now: Temporal.Instant): Finding[] {
  const asked = benefits.filter((benefit) => benefit.externalPlanId !== null && statusOf(benefit, now) !== 'EXPIRED');
  const findings = asked.flatMap((benefit) => findingOf(benefit, answer, now) ?? []);
  return [...findings, ...strangers(benefits, answer, now)];
}

function findingOf(benefit: Benefit, answer: PayerAnswer, now: Temporal.Instant): Finding | null {
  const listed = answer.benefits.filter((there) => isAbout(there, benefit));
  const [there, ...others] = listed.filter((there) => samePeriod(there, benefit));
  if (there === undefined) return withoutMatch(benefit, listed, { answer, now });
  const fault = others.some((other) => !sameAmounts(other, there)) ? 'AMOUNT_TWICE' : faultOf(there);
  if (fault !== null) return { ...about(benefit), kind: 'NOT_CREDIBLE', fault };
  const difference = there.allocated.minus(there.used).minus(benefit.allocated.minus(benefit.used));
  if (difference.isZero()) return { ...about(benefit), there };
  return { ...about(benefit), there, kind: difference.isNegative() ? 'LESS_LEFT' : 'MORE_LEFT', difference };
}

const about = (benefit: Benefit): Finding => ({ benefit, there: null, kind: null, fault: null, difference: null });

interface Asked {
  readonly answer: PayerAnswer;
  readonly now: Temporal.Instant;
}

/** Of a period that has not begun a payer need not say anything. */
function withoutMatch(benefit: Benefit, listed: readonly PayerBenefit[], { answer, now }: Asked): Finding | null {
  if (statusOf(benefit, now) === 'PENDING') return null;
  if (!isInForce(answer, benefit)) return { ...about(benefit), kind: 'NOT_IN_FORCE' };
  const [fault] = answer.faults.filter((fault) => mayConcern(fault, benefit)).toSorted(bySpecificity);
  if (fault !== undefined) return { ...about(benefit), kind: 'NOT_CREDIBLE', fault: fault.fault };
  const overlapping = listed.find((there) => overlaps(there, benefit) && faultOf(there) === null);
  if (overlapping) return { ...about(benefit), there: overlapping, kind: 'PERIOD' };
  return { ...about(benefit), kind: 'NOT_THERE' };
}

export function isInForce({ notInForce }: PayerAnswer, { externalPlanId }: Benefit): boolean {
  return externalPlanId === null || !notInForce.includes(externalPlanId);
}

/** A fault that names no plan may be any one's, and one that names no type any one's of its plan. */
function mayConcern({ planId, type }: Faulty, benefit: Benefit): boolean {
  return ['', benefit.externalPlanId].includes(planId) && (type === null || type === benefit.type);
}

const bySpecificity = (a: Faulty, b: Faulty): number => specificity(b) - specificity(a);
const specificity = ({ planId, type }: Faulty): number => (planId === '' ? 0 : 1) + (type === null ? 0 : 1);

/** What the payer lists for today and is not on record, each once. */
function strangers(benefits: readonly Benefit[], answer: PayerAnswer, now: Temporal.Instant): Finding[] {
  const unknown = answer.benefits.filter((there) => {
    const own = benefits.filter((benefit) => isAbout(there, benefit) && overlaps(there, benefit));
    const plan = benefits.find(({ externalPlanId }) => externalPlanId === there.planId);
    return own.length === 0 && plan !== undefined && covers(there, localDay(plan, now)) && isKnown(there);
  });
  const byPlace = new Map(unknown.map((there) => [placeOf(there), there]));
  return [...byPlace.values()].map((there) => ({
    benefit: null,
    there,
    kind: 'NOT_HERE',
    fault: null,
    difference: null,
  }));
}

const isKnown = (there: PayerBenefit): boolean =>
  (BENEFIT_TYPES as readonly string[]).includes(there.type) && faultOf(there) === null;

/** What tells the payer's benefits apart. */
export function placeOf({ planId, type, unit, periodStart }: PayerBenefit): string {
  return JSON.stringify([planId, type, unit, periodStart.toString()]);
}

function isAbout(there: PayerBenefit, { externalPlanId, type, unit }: Benefit): boolean {
  return there.planId === externalPlanId && there.type === type && there.unit === unit;
}

type Period = Pick<Benefit, 'periodStart' | 'periodEnd'>;

const samePeriod = (a: Period, b: Period): boolean =>
  a.periodStart.equals(b.periodStart) && a.periodEnd.equals(b.periodEnd);

const overlaps = (a: Period, b: Period): boolean =>
  !isAfter(a.periodStart, b.periodEnd) && !isAfter(b.periodStart, a.periodEnd);

const sameAmounts = (a: PayerBenefit, b: PayerBenefit): boolean =>
  a.allocated.equals(b.allocated) && a.used.equals(b.used);

/** What cannot be so, whatever has read it. */
function faultOf({ unit, allocated, used, periodStart, periodEnd }: PayerBenefit): string | null {
  if (!isAmount(allocated) || !isAmount(used)) return 'AMOUNT_UNREADABLE';
  if (unit === 'COUNT' && !(allocated.isInteger() && used.isInteger())) return 'AMOUNT_UNREADABLE';
  if (used.greaterThan(allocated)) return 'USED_ABOVE_ALLOWED';
  return isAfter(periodStart, periodEnd) ? 'PERIOD_MISSING' : null;
}
