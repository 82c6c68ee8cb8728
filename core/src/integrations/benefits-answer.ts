/**
 * What a payer's CoverageEligibilityResponse says, as far as it can be believed. Every part that contradicts itself or
 * leaves out what matters is a fault, by code and without content, and spoils nothing beside it.
 */
import { Decimal } from 'decimal.js';
import { z } from 'zod';

/** One benefit of a member as the payer has it. */
export interface PayerBenefit {
  /** The payer's id of the Coverage. */
  readonly planId: string;
  /** A benefit's type as the platform names it. */
  readonly type: string;
  readonly unit: 'MONEY' | 'COUNT';
  /** Both days are included. */
  readonly periodStart: Temporal.PlainDate;
  readonly periodEnd: Temporal.PlainDate;
  readonly allocated: Decimal;
  readonly used: Decimal;
}

export type PayerFault =
  | 'AMOUNT_MISSING'
  | 'AMOUNT_TWICE'
  | 'AMOUNT_UNREADABLE'
  | 'CURRENCY_UNKNOWN'
  | 'USED_ABOVE_ALLOWED'
  | 'PERIOD_MISSING'
  | 'PERIOD_UNREADABLE'
  | 'UNKNOWN_BENEFIT'
  | 'IN_FORCE_UNCLEAR'
  | 'PLAN_MISSING'
  | 'PLAN_NOT_ASKED'
  | 'PLAN_UNREADABLE'
  | 'ANSWER_PARTIAL';

export interface Faulty {
  /** Empty where the answer names no plan that was asked about. */
  readonly planId: string;
  /** Which benefit of the plan; null for all of it. */
  readonly type: string | null;
  readonly fault: PayerFault;
}

export interface Believed {
  readonly benefits: readonly PayerBenefit[];
  readonly faults: readonly Faulty[];
  /** Plans of which the payer says that they are not in force. */
  readonly notInForce: readonly string[];
  readonly inForce: boolean;
}

/** From the payer's codes to the platform's types; with their system before them, `system|code`, or alone. */
export type BenefitCodes = ReadonlyMap<string, string>;

const Coding = z.object({ system: z.string().nullish(), code: z.string().nullish() });
const Concept = z.object({ coding: z.array(Coding).nullish() });
const Money = z.object({ value: z.string(), currency: z.string().nullish() });

const Benefit = z.object({
  type: Concept.nullish(),
  allowedMoney: Money.nullish(),
  usedMoney: Money.nullish(),
  allowedUnsignedInt: z.string().nullish(),
  usedUnsignedInt: z.string().nullish(),
  allowedString: z.string().nullish(),
});
type Benefit = z.output<typeof Benefit>;

const Item = z.object({
  category: Concept.nullish(),
  productOrService: Concept.nullish(),
  excluded: z.boolean().nullish(),
  benefit: z.array(z.unknown()).nullish(),
});

const Insurance = z.object({
  coverage: z.object({
    reference: z.string().nullish(),
    identifier: z.object({ value: z.string().nullish() }).nullish(),
  }),
  inforce: z.boolean().nullish(),
  benefitPeriod: z.unknown().optional(),
  item: z.array(z.unknown()).nullish(),
});
type Insurance = z.output<typeof Insurance>;

interface Asked {
  readonly planIds: readonly string[];
  readonly codes: BenefitCodes;
}

/** Reads the `insurance` of an answer about these plans. */
export function readInsurance(insurance: readonly unknown[], asked: Asked): Believed {
  const answer = new Answer(asked);
  for (const one of insurance) answer.take(one);
  return answer.believed();
}

class Answer {
  readonly #asked: Asked;
  readonly #inForce = new Map<string, Set<boolean | null>>();
  /** By plan, type, unit and period: what is said twice is believed when it is the same. */
  readonly #benefits = new Map<string, PayerBenefit[]>();
  readonly #faults = new Map<string, Faulty>();

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  take(one: unknown): void {
    const { data: insurance } = Insurance.safeParse(one);
    if (!insurance) return this.#fault('', null, 'PLAN_UNREADABLE');
    const planId = planOf(insurance);
    if (!this.#asked.planIds.includes(planId)) return this.#fault('', null, 'PLAN_NOT_ASKED');
    const said = this.#inForce.get(planId) ?? new Set();
    this.#inForce.set(planId, said.add(insurance.inforce ?? null));
    if (insurance.inforce === true) this.#takeItems(planId, insurance);
  }

  #takeItems(planId: string, { benefitPeriod, item }: Insurance): void {
    const period = readPeriod(benefitPeriod);
    if (typeof period === 'string') return this.#fault(planId, null, period);
    if (!item || item.length === 0) return this.#fault(planId, null, 'AMOUNT_MISSING');
    for (const one of item) this.#takeItem({ planId, ...period }, one);
  }

  #takeItem(plan: Pick<PayerBenefit, 'planId' | 'periodStart' | 'periodEnd'>, one: unknown): void {
    const { data: item } = Item.safeParse(one);
    const type = item && typeOf([item.category, item.productOrService], this.#asked.codes);
    if (!item || type === undefined) return this.#fault(plan.planId, null, 'UNKNOWN_BENEFIT');
    if (item.excluded) return;
    const amounts = readAmounts(item.benefit ?? []);
    if (typeof amounts === 'string') return this.#fault(plan.planId, type, amounts);
    for (const amount of amounts) this.#add({ ...plan, type, ...amount });
  }

  #add(benefit: PayerBenefit): void {
    const { planId, type, unit, periodStart, periodEnd } = benefit;
    const key = [planId, type, unit, periodStart.toString(), periodEnd.toString()].join('|');
    this.#benefits.set(key, [...(this.#benefits.get(key) ?? []), benefit]);
  }

  #fault(planId: string, type: string | null, fault: PayerFault): void {
    this.#faults.set(`${planId}|${type}|${fault}`, { planId, type, fault });
  }

  believed(): Believed {
    const { planIds } = this.#asked;
    for (const planId of planIds) this.#judgePlan(planId);
    const benefits = [...this.#benefits.values()].flatMap((same) => this.#judge(same));
    const notBelieved = new Set(
      [...this.#faults.values()].filter(({ type }) => type !== null).map(({ planId, type }) => `${planId}|${type}`),
    );
    const isSaid = (planId: string, inForce: boolean) => {
      const said = this.#inForce.get(planId);
      return said?.size === 1 && said.has(inForce);
    };
    return {
      benefits: benefits.filter(({ planId, type }) => isSaid(planId, true) && !notBelieved.has(`${planId}|${type}`)),
      faults: [...this.#faults.values()],
      notInForce: planIds.filter((planId) => isSaid(planId, false)),
      inForce: planIds.some((planId) => isSaid(planId, true)),
    };
  }

  #judgePlan(planId: string): void {
    const said = this.#inForce.get(planId);
    if (said === undefined) this.#fault(planId, null, 'PLAN_MISSING');
    else if (said.size > 1 || said.has(null)) this.#fault(planId, null, 'IN_FORCE_UNCLEAR');
  }

  #judge([first, ...others]: readonly PayerBenefit[]): PayerBenefit[] {
    if (first === undefined) return [];
    const { planId, type, allocated, used } = first;
    const isSame = others.every((other) => other.allocated.equals(allocated) && other.used.equals(used));
    if (!isSame) this.#fault(planId, type, 'AMOUNT_TWICE');
    if (used.greaterThan(allocated)) this.#fault(planId, type, 'USED_ABOVE_ALLOWED');
    return [first];
  }
}

/** `Coverage/7`, `https://payer.example/fhir/Coverage/7/_history/1`, or an identifier. */
function planOf({ coverage: { reference, identifier } }: Insurance): string {
  const [, id] = /(?:^|\/)Coverage\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[^/]+)?$/.exec(reference ?? '') ?? [];
  return id ?? identifier?.value ?? '';
}

const Period = z.object({ start: z.string(), end: z.string() });

/** The days as the payer writes them, without their times. */
function readPeriod(
  given: unknown,
): Pick<PayerBenefit, 'periodStart' | 'periodEnd'> | 'PERIOD_MISSING' | 'PERIOD_UNREADABLE' {
  const { data: period } = Period.safeParse(given);
  if (!period) return 'PERIOD_MISSING';
  const [periodStart, periodEnd] = [dayOf(period.start), dayOf(period.end)];
  if (!periodStart || !periodEnd || Temporal.PlainDate.compare(periodStart, periodEnd) > 0) return 'PERIOD_UNREADABLE';
  return { periodStart, periodEnd };
}

function dayOf(text: string): Temporal.PlainDate | null {
  const [, day] = /^(\d{4}-\d{2}-\d{2})(T|$)/.exec(text) ?? [];
  try {
    return day === undefined ? null : Temporal.PlainDate.from(day);
  } catch {
    return null;
  }
}

type Codes = readonly (z.output<typeof Concept> | null | undefined)[];

function typeOf(concepts: Codes, codes: BenefitCodes): string | undefined {
  for (const { system, code } of concepts.flatMap((concept) => concept?.coding ?? [])) {
    if (code === null || code === undefined) continue;
    const found = codes.get(`${system ?? ''}|${code}`) ?? codes.get(code) ?? codes.get(nameOf(code));
    if (found !== undefined) return found;
  }
  return undefined;
}

const nameOf = (code: string): string => code.toUpperCase().replaceAll('-', '_');

/** What is left of a plan, not what the patient pays beside it. */
const ALLOWANCES = new Set(['benefit', 'visit']);

const isAllowance = ({ type }: Benefit): boolean => {
  const codes = type?.coding?.flatMap(({ code }) => code ?? []) ?? [];
  return codes.length === 0 || codes.some((code) => ALLOWANCES.has(code));
};

type Amounts = Pick<PayerBenefit, 'unit' | 'allocated' | 'used'>;

function readAmounts(given: readonly unknown[]): Amounts[] | PayerFault {
  const amounts: Amounts[] = [];
  for (const one of given) {
    const { data: benefit } = Benefit.safeParse(one);
    if (!benefit) return 'AMOUNT_UNREADABLE';
    if (!isAllowance(benefit)) continue;
    const amount = readAmount(benefit);
    if (typeof amount === 'string') return amount;
    amounts.push(amount);
  }
  return amounts.length === 0 ? 'AMOUNT_MISSING' : amounts;
}

function readAmount(benefit: Benefit): Amounts | PayerFault {
  const money = [benefit.allowedMoney, benefit.usedMoney] as const;
  const count = [benefit.allowedUnsignedInt, benefit.usedUnsignedInt] as const;
  if (money.some(Boolean) && count.some(Boolean)) return 'AMOUNT_TWICE';
  if (count.some(Boolean)) return toAmounts('COUNT', ...count);
  if (benefit.allowedString && !money.some(Boolean)) return 'AMOUNT_UNREADABLE';
  if (money.some((one) => one && one.currency !== 'USD')) return 'CURRENCY_UNKNOWN';
  return toAmounts('MONEY', money[0]?.value, money[1]?.value);
}

type Text = string | null | undefined;

/** What is allowed says nothing as long as nobody says how much of it is gone. */
function toAmounts(unit: PayerBenefit['unit'], allowed: Text, spent: Text): Amounts | PayerFault {
  if (!allowed || !spent) return 'AMOUNT_MISSING';
  const [allocated, used] = [decimalOf(allowed, unit), decimalOf(spent, unit)];
  return allocated && used ? { unit, allocated, used } : 'AMOUNT_UNREADABLE';
}

const AMOUNT = /^\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?$/;
const MOST = new Decimal('9999999.99');
const PLACES = { MONEY: 2, COUNT: 0 } as const;

function decimalOf(text: string, unit: PayerBenefit['unit']): Decimal | null {
  if (!AMOUNT.test(text)) return null;
  const amount = new Decimal(text);
  return amount.lessThanOrEqualTo(MOST) && amount.decimalPlaces() <= PLACES[unit] ? amount : null;
}
