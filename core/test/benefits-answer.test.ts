/** What is believed of a payer's answer: pure, from the JSON as it is parsed, with numbers as text. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BenefitCodes, readInsurance } from '#integrations/benefits-answer';

const CODES: BenefitCodes = new Map([
  ['TRANSPORTATION', 'TRANSPORTATION'],
  ['OTC_ITEMS', 'OTC_ITEMS'],
  ['x12|56', 'TRANSPORTATION'],
]);
const PERIOD = { start: '2026-01-01', end: '2026-12-31' };

const concept = (code: string, system?: string) => ({ coding: [{ code, ...(system ? { system } : {}) }] });
const dollars = (value: string, currency = 'USD') => ({ value, currency });
const money = (allowed: string, used: string) => ({ allowedMoney: dollars(allowed), usedMoney: dollars(used) });

const item = (benefit: unknown[], more: object = {}) => ({ category: concept('transportation'), benefit, ...more });
const plan = (items: unknown[], more: object = {}) => ({
  coverage: { reference: 'Coverage/p1' },
  inforce: true,
  benefitPeriod: PERIOD,
  item: items,
  ...more,
});

/** In short: each benefit as `plan type unit period allocated used`, each fault as `plan type fault`. */
function read(...insurance: unknown[]): { benefits: string[]; faults: string[]; notInForce: readonly string[] } {
  const { benefits, faults, notInForce } = readInsurance(insurance, { planIds: ['p1'], codes: CODES });
  return {
    benefits: benefits.map(({ planId, type, unit, periodStart, periodEnd, allocated, used }) =>
      [planId, type, unit, periodStart.toString(), periodEnd.toString(), allocated.toFixed(), used.toFixed()].join(' '),
    ),
    faults: faults.map(({ planId, type, fault }) => `${planId} ${type} ${fault}`),
    notInForce,
  };
}

const RIDES = 'p1 TRANSPORTATION MONEY 2026-01-01 2026-12-31';
const believed = (...benefits: string[]) => ({ benefits, faults: [], notInForce: [] });
const faulty = (...faults: string[]) => ({ benefits: [], faults, notInForce: [] });

describe('readInsurance', () => {
  it('takes money to the cent and counts', () => {
    assert.deepEqual(read(plan([item([money('200.10', '0.3')])])), believed(`${RIDES} 200.1 0.3`));
    const trips = item([{ type: concept('visit'), allowedUnsignedInt: '24', usedUnsignedInt: '3' }]);
    assert.deepEqual(read(plan([trips])), believed('p1 TRANSPORTATION COUNT 2026-01-01 2026-12-31 24 3'));
    assert.deepEqual(read(plan([item([money('2e2', '0')])])), believed(`${RIDES} 200 0`));
  });

  it('knows a benefit by its own name, or by a code of its system', () => {
    for (const category of [concept('TRANSPORTATION'), concept('transportation'), concept('56', 'x12')])
      assert.equal(read(plan([item([money('1', '0')], { category })])).benefits.length, 1);
    const byService = { category: concept('30'), productOrService: concept('otc-items') };
    assert.match(read(plan([item([money('1', '0')], byService)])).benefits.join(), /OTC_ITEMS/);
    const other = item([money('1', '0')], { category: concept('56', 'another') });
    assert.deepEqual(read(plan([other])), faulty('p1 null UNKNOWN_BENEFIT'));
  });

  it('knows a plan by its reference in any form, or by an identifier', () => {
    const names = ['Coverage/p1', 'https://payer.example/fhir/Coverage/p1', 'Coverage/p1/_history/2'];
    for (const coverage of [...names.map((reference) => ({ reference })), { identifier: { value: 'p1' } }])
      assert.equal(read(plan([item([money('1', '0')])], { coverage })).benefits.length, 1);
  });

  it('takes the days of a period as they are written', () => {
    const benefitPeriod = { start: '2026-01-01T00:00:00-05:00', end: '2026-12-31T23:59:59-05:00' };
    assert.deepEqual(read(plan([item([money('1', '0')])], { benefitPeriod })), believed(`${RIDES} 1 0`));
  });

  it('leaves out what the patient pays, and what is excluded', () => {
    const copay = { type: concept('copay'), allowedMoney: dollars('5') };
    assert.deepEqual(read(plan([item([copay, money('1', '0')])])), believed(`${RIDES} 1 0`));
    assert.deepEqual(read(plan([item([], { excluded: true })])), believed());
  });

  it('believes the same amount twice, and neither of two', () => {
    const once = money('200', '10');
    assert.deepEqual(read(plan([item([once, money('200.00', '10')])])), believed(`${RIDES} 200 10`));
    assert.deepEqual(read(plan([item([once])]), plan([item([once])])), believed(`${RIDES} 200 10`));
    const twice = faulty('p1 TRANSPORTATION AMOUNT_TWICE');
    assert.deepEqual(read(plan([item([once, money('200', '11')])])), twice);
    assert.deepEqual(read(plan([item([once])]), plan([item([money('300', '10')])])), twice);
    assert.deepEqual(read(plan([item([{ ...once, allowedUnsignedInt: '2' }])])), twice);
  });

  for (const [benefit, fault] of [
    [{}, 'AMOUNT_MISSING'],
    [{ allowedMoney: dollars('200') }, 'AMOUNT_MISSING'],
    [{ usedUnsignedInt: '2' }, 'AMOUNT_MISSING'],
    [{ allowedString: 'unlimited' }, 'AMOUNT_UNREADABLE'],
    [money('-1', '0'), 'AMOUNT_UNREADABLE'],
    [money('200.001', '0'), 'AMOUNT_UNREADABLE'],
    [money('10000000', '0'), 'AMOUNT_UNREADABLE'],
    [money('1e99', '0'), 'AMOUNT_UNREADABLE'],
    [{ allowedUnsignedInt: '1.5', usedUnsignedInt: '0' }, 'AMOUNT_UNREADABLE'],
    [{ allowedMoney: 'much' }, 'AMOUNT_UNREADABLE'],
    [{ ...money('1', '0'), usedMoney: dollars('0', 'EUR') }, 'CURRENCY_UNKNOWN'],
    [money('200', '200.01'), 'USED_ABOVE_ALLOWED'],
  ] as const) {
    it(`does not believe ${JSON.stringify(benefit)}: ${fault}`, () => {
      const other = { category: concept('otc-items'), benefit: [money('5', '1')] };
      assert.deepEqual(read(plan([item([benefit]), other])), {
        benefits: ['p1 OTC_ITEMS MONEY 2026-01-01 2026-12-31 5 1'],
        faults: [`p1 TRANSPORTATION ${fault}`],
        notInForce: [],
      });
    });
  }

  for (const [more, fault] of [
    [{ benefitPeriod: undefined }, 'PERIOD_MISSING'],
    [{ benefitPeriod: { start: '2026-01-01' } }, 'PERIOD_MISSING'],
    [{ benefitPeriod: { start: '2026', end: '2026' } }, 'PERIOD_UNREADABLE'],
    [{ benefitPeriod: { start: '2026-02-30', end: '2026-12-31' } }, 'PERIOD_UNREADABLE'],
    [{ benefitPeriod: { start: '2026-12-31', end: '2026-01-01' } }, 'PERIOD_UNREADABLE'],
    [{ item: [] }, 'AMOUNT_MISSING'],
    [{ item: ['x'] }, 'UNKNOWN_BENEFIT'],
    [{ inforce: undefined }, 'IN_FORCE_UNCLEAR'],
  ] as const) {
    it(`does not believe a plan with ${JSON.stringify(more)}: ${fault}`, () => {
      assert.deepEqual(read(plan([item([money('1', '0')])], more)), faulty(`p1 null ${fault}`));
    });
  }

  it('says which plans are not in force, and believes no amount of them', () => {
    const ended = plan([item([money('1', '0')])], { inforce: false });
    assert.deepEqual(read(ended), { benefits: [], faults: [], notInForce: ['p1'] });
    assert.deepEqual(read(ended, plan([item([money('1', '0')])])), faulty('p1 null IN_FORCE_UNCLEAR'));
  });

  it('misses a plan that was asked about, and passes over one that was not', () => {
    assert.deepEqual(read(), faulty('p1 null PLAN_MISSING'));
    const foreign = plan([item([money('1', '0')])], { coverage: { reference: 'Coverage/p2' } });
    assert.deepEqual(read(foreign, plan([item([money('1', '0')])])), {
      benefits: [`${RIDES} 1 0`],
      faults: [' null PLAN_NOT_ASKED'],
      notInForce: [],
    });
    assert.deepEqual(read('x'), faulty(' null PLAN_UNREADABLE', 'p1 null PLAN_MISSING'));
  });
});
