/**
 * Whom the payer knows and what it allows them. A member of whom nothing was said has one plan with rides and meals, whose
 * amounts follow from the seed.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';

const ID = /^[A-Za-z0-9\-.]{1,64}$/;
const amount = z.string().regex(/^-?(0|[1-9]\d{0,11})(\.\d{1,6})?$/, 'expected an amount such as "200.00"');
const day = z.iso.date('expected a date such as 2026-03-08');

const PlanBenefit = z.strictObject({
  /** The code that the payer has for it. */
  code: z.string().min(1).max(64),
  system: z.string().max(200).optional(),
  unit: z.enum(['MONEY', 'COUNT']).default('MONEY'),
  currency: z.string().max(3).default('USD'),
  allowed: amount,
  used: amount.default('0'),
});
export type PlanBenefit = z.output<typeof PlanBenefit>;

const Plan = z.strictObject({
  /** Of the Coverage. */
  id: z.string().regex(ID, 'expected an id of letters, digits, - and .'),
  inForce: z.boolean().default(true),
  start: day,
  end: day,
  benefits: z.array(PlanBenefit).max(100).default([]),
});
export type Plan = z.output<typeof Plan>;

export const Member = z.strictObject({
  member: z.string().min(1).max(200),
  plans: z.array(Plan).max(1_000),
});
export type Member = z.input<typeof Member>;

export class Members {
  readonly #seed: string;
  readonly #told = new Map<string, readonly Plan[]>();

  constructor(seed: string) {
    this.#seed = seed;
  }

  tell({ member, plans }: z.output<typeof Member>): void {
    this.#told.set(member, plans);
  }

  clear(): void {
    this.#told.clear();
  }

  get size(): number {
    return this.#told.size;
  }

  /** The plans of the year that the day is in; without one, of those that were told about, all. */
  plansOf(member: string, today: Temporal.PlainDate): readonly Plan[] {
    return this.#told.get(member) ?? [usualPlan(this.#seed, member, today.year)];
  }

  /** Among those that were told about. */
  find(planId: string): { readonly member: string; readonly plan: Plan } | null {
    for (const [member, plans] of this.#told) {
      const plan = plans.find(({ id }) => id === planId);
      if (plan) return { member, plan };
    }
    return null;
  }
}

/** $100 to $500 for rides, of which some is used, and 10 to 59 meals. */
export function usualPlan(seed: string, member: string, year: number): Plan {
  const bytes = createHash('sha256').update(`${seed}:${member}:${year}`).digest();
  const dollars = 100 + (bytes.readUInt16BE(0) % 401);
  const meals = 10 + (bytes.readUInt8(2) % 50);
  return {
    id: `plan-${bytes.toString('hex', 8, 20)}`,
    inForce: true,
    start: `${year}-01-01`,
    end: `${year}-12-31`,
    benefits: [
      {
        code: 'TRANSPORTATION',
        unit: 'MONEY',
        currency: 'USD',
        allowed: `${dollars}.00`,
        used: (Math.trunc(dollars * bytes.readUInt8(3)) / 400).toFixed(2),
      },
      {
        code: 'MEALS',
        unit: 'COUNT',
        currency: 'USD',
        allowed: String(meals),
        used: String(bytes.readUInt8(4) % meals),
      },
    ],
  };
}
