/** A payer at the edge: it answers what a test says, and counts how often it is asked. */
import { Decimal } from 'decimal.js';
import type { BenefitsApi, PayerAnswer, PayerBenefit, PayerMember } from '#integrations/benefits-api';
import type * as benefits from '#benefits';

export interface TestPayer extends BenefitsApi {
  /** Who was asked about, in order. */
  readonly asked: PayerMember[];
  answer: (member: PayerMember) => Promise<PayerAnswer> | PayerAnswer;
}

export function testPayer(answer: TestPayer['answer']): TestPayer {
  const asked: PayerMember[] = [];
  return {
    configured: true,
    asked,
    answer,
    async eligibility(member) {
      asked.push(member);
      return this.answer(member);
    },
  };
}

/** The benefit as the payer has it: as here, unless told otherwise. */
export function there(
  benefit: benefits.Benefit,
  more: Partial<Omit<PayerBenefit, 'allocated' | 'used'>> & { allocated?: string; used?: string } = {},
): PayerBenefit {
  const { allocated, used, ...rest } = more;
  return {
    planId: benefit.externalPlanId ?? '',
    type: benefit.type,
    unit: benefit.unit,
    periodStart: benefit.periodStart,
    periodEnd: benefit.periodEnd,
    allocated: allocated === undefined ? benefit.allocated : new Decimal(allocated),
    used: used === undefined ? benefit.used : new Decimal(used),
    ...rest,
  };
}

export function anAnswer(asOf: Temporal.Instant, more: Partial<PayerAnswer> = {}): PayerAnswer {
  return { inForce: true, asOf, benefits: [], faults: [], notInForce: [], ...more };
}
