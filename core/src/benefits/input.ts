/** What callers may say about benefits, and how it is brought into its one form. */
import { Decimal } from 'decimal.js';
import { z } from 'zod';
import { isTimeZone } from '#platform/config';
import { InvalidInput } from '#platform/errors';
import { isPrintable, NOT_PRINTABLE } from '#platform/input';
import { BENEFIT_TYPES, BENEFIT_UNITS, type BenefitUnit } from './benefit.ts';

const AMOUNT = /^\d{1,20}(\.\d{1,10})?$/;
const MAX_AMOUNT = new Decimal('9999999.99');

/** Exact: a string in, a decimal out. */
export const amount = z
  .string()
  .regex(AMOUNT, 'expected an amount such as "12.50"')
  .transform((text) => new Decimal(text))
  .refine((value) => value.greaterThan(0), 'expected more than zero')
  .refine((value) => value.decimalPlaces() <= 2, 'expected at most two decimal places')
  .refine((value) => value.lessThanOrEqualTo(MAX_AMOUNT), `expected at most ${MAX_AMOUNT.toFixed()}`);

/** Whether the database can hold what somebody else says, zero included. */
export function isAmount(value: Decimal): boolean {
  return value.isFinite() && !value.isNegative() && value.decimalPlaces() <= 2 && value.lessThanOrEqualTo(MAX_AMOUNT);
}

/** Throws {@link InvalidInput} for half a trip. */
export function mustFit(value: Decimal, unit: BenefitUnit): void {
  if (unit === 'COUNT' && !value.isInteger())
    throw new InvalidInput([{ path: ['amount'], message: 'expected a whole number: this benefit is counted' }]);
}

export const date = z.iso
  .date('expected a date such as 2026-03-08')
  .refine((text) => text >= '1900-01-01' && text <= '2199-12-31', 'expected a date of this century')
  .transform((text) => Temporal.PlainDate.from(text));

export const words = z
  .string()
  .trim()
  .min(1, 'expected a reason')
  .max(1_000, 'expected at most 1000 characters')
  .refine(isPrintable, NOT_PRINTABLE);

const idempotencyKey = z.string().nullish();
const ids = z.string().max(100);

/** Fields are compared once each of them is what it should be. */
const isSound = ({ issues }: z.core.ParsePayload): boolean => issues.length === 0;

export const NewBenefit = z
  .object({
    patientId: ids,
    type: z.enum(BENEFIT_TYPES),
    unit: z.enum(BENEFIT_UNITS),
    allocated: amount,
    periodStart: date,
    periodEnd: date,
    timeZone: z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York').nullish(),
    externalPlanId: z
      .string()
      .min(1, 'expected an id')
      .max(200, 'expected at most 200 characters')
      .refine(isPrintable, NOT_PRINTABLE)
      .nullish()
      .transform((id) => id ?? null),
    idempotencyKey,
  })
  .refine(({ periodStart, periodEnd }) => Temporal.PlainDate.compare(periodStart, periodEnd) <= 0, {
    path: ['periodEnd'],
    when: isSound,
    message: 'expected a day that is not before `periodStart`',
  })
  .refine(({ unit, allocated }) => unit === 'MONEY' || allocated.isInteger(), {
    path: ['allocated'],
    when: isSound,
    message: 'expected a whole number: this benefit is counted',
  });
/** Amounts as text; the period's days are local ones of the plan, both included. */
export type NewBenefit = z.input<typeof NewBenefit>;

export const Usage = z.object({
  amount,
  /** Today in the plan's zone unless given. */
  serviceDate: date.nullish(),
  appointmentId: ids.nullish(),
  idempotencyKey,
});
export type Usage = z.input<typeof Usage>;

export const Reversal = z.object({
  /** All that is left of the entry unless given. */
  amount: amount.nullish(),
  reason: words,
  idempotencyKey,
});
export type Reversal = z.input<typeof Reversal>;

export const Adjustment = z.object({
  amount,
  /** To what is allocated, or from it. */
  direction: z.enum(['ADD', 'TAKE']),
  reason: words,
  idempotencyKey,
});
export type Adjustment = z.input<typeof Adjustment>;
