/** Eligibility with the payer's answer, by the simulated payer: what narrows it, what fails, what is remembered. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import * as benefits from '#benefits';
import type { BenefitsApi } from '#integrations/benefits-api';
import { guard } from '#integrations/guard';
import { ManualClock } from '#platform/clock';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { booked, newPatient } from './support/appointments.ts';
import { aBenefit, ledgerOf } from './support/benefits.ts';
import { type Plan, QUICK, type SimulatedPayer, startPayer } from './support/payer-simulator.ts';
import { assertSame } from './support/same.ts';
import { actor, as, asSuperuser, committed, NOW, sandboxed } from './support/testing.ts';

let payer: SimulatedPayer;
before(async () => {
  payer = await startPayer();
});
after(() => payer[Symbol.asyncDispose]());

interface Case {
  readonly scope: Scope;
  readonly patientId: string;
  readonly member: string;
  readonly planId: string;
  readonly benefit: benefits.Benefit;
  readonly check: (more?: Partial<benefits.EligibilityCheck>, api?: BenefitsApi, at?: Scope) => Promise<Answer>;
  /** From now on the payer has this of the plan. */
  readonly says: (allowed: string, used?: string, more?: Partial<Plan>) => Promise<void>;
  /** How often the payer was asked about the member. */
  readonly asked: () => Promise<number>;
}

type Answer = Pick<benefits.Eligibility, 'decision' | 'reasons' | 'source' | 'stale'> & {
  available: string | undefined;
};

const eligible = { decision: 'ELIGIBLE', reasons: [] } as const;
const asked = { source: 'PAYER', stale: false } as const;

/** A patient with $200.00 for rides in a plan of the payer's, which has nothing else to say about them yet. */
function withPlan(work: (of: Case) => Promise<void>, more: Partial<benefits.NewBenefit> = {}) {
  return committed(async (scope) => {
    const [member, planId] = [`M-${randomUUID()}`, randomUUID()];
    const patientId = await newPatient(scope, { externalId: member });
    const benefit = await aBenefit(scope, { patientId, externalPlanId: planId, ...more });
    await work({
      scope,
      patientId,
      member,
      planId,
      benefit,
      async check(more = {}, api = payer.api(), at = scope) {
        const input = { patientId, benefitType: 'TRANSPORTATION', amount: '10', ...more } as const;
        const { decision, reasons, available, source, stale } = await benefits.checkEligibility(at, input, api);
        return { decision, reasons, available: available?.toFixed(2), source, stale };
      },
      says: (allowed, used = '0', more = {}) =>
        payer.tell(member, { id: planId, benefits: [{ code: 'TRANSPORTATION', allowed, used }], ...more }),
      asked: async () => (await payer.requests()).filter((one) => one.member === member).length,
    });
  });
}

const later = (scope: Scope, minutes: number): Scope => ({ ...scope, now: scope.now.add({ minutes }) });

describe('checkEligibility with a payer', () => {
  test(
    'grants what both sides have left, less what is held here',
    withPlan(async ({ scope, benefit, check, says }) => {
      await benefits.recordUsage(scope, benefit.id, { amount: '20' });
      const seen = [];
      for (const [allowed, used] of [
        ['200', '20'],
        ['500', '0'],
        ['200', '60.50'],
      ] as const) {
        await says(allowed, used);
        const { decision, available, source } = await check({}, payer.api(), later(scope, seen.length * 60));
        seen.push(`${decision} ${available} ${source}`);
      }
      assert.deepEqual(seen, ['ELIGIBLE 180.00 PAYER', 'ELIGIBLE 180.00 PAYER', 'ELIGIBLE 139.50 PAYER']);
    }),
  );

  test(
    'takes what is held for a visit here away from what the payer has left',
    withPlan(async ({ scope, patientId, check, says }) => {
      await scheduling.updateCareService(as(scope, 'admin'), 'TELEHEALTH', {
        coverage: { type: 'TRANSPORTATION', unit: 'MONEY', amount: '30', onNoShow: 'USE' },
      });
      await booked(scope, { patientId });
      await says('200', '150');
      assert.deepEqual(await check(), { ...eligible, available: '20.00', ...asked });
    }),
  );

  test(
    'refuses what the payer would not pay, and changes no ledger',
    withPlan(async ({ scope, benefit, check, says }) => {
      await says('200', '195');
      assert.deepEqual(await check(), {
        decision: 'INELIGIBLE',
        reasons: ['INSUFFICIENT'],
        available: '5.00',
        ...asked,
      });
      await says('200', '200');
      const depleted = { decision: 'INELIGIBLE', reasons: ['DEPLETED'], available: '0.00', ...asked };
      assert.deepEqual(await check({}, payer.api(), later(scope, 60)), depleted);
      assert.deepEqual(await ledgerOf(scope, benefit), ['ALLOCATE 200.00']);
    }),
  );

  for (const [name, more] of [
    ['is not in force', { inForce: false }],
    ['has no such benefit', { benefits: [{ code: 'MEALS', unit: 'COUNT', allowed: '5' }] }],
  ] as const) {
    test(
      `grants nothing of a plan that ${name}`,
      withPlan(async ({ check, says }) => {
        await says('200', '0', more);
        const none = { decision: 'INELIGIBLE', reasons: ['NO_BENEFIT'], available: undefined, ...asked };
        assert.deepEqual(await check(), none);
      }),
    );
  }

  test(
    'grants no more days than both sides have',
    withPlan(async ({ check, says }) => {
      await says('200', '0', { end: '2026-03-31' });
      const serviceDate = '2026-04-01';
      assert.equal((await check()).decision, 'ELIGIBLE');
      assert.deepEqual((await check({ serviceDate })).reasons, ['EXPIRED']);
    }),
  );

  test(
    'falls back on a benefit that is no payer’s where the payer grants nothing',
    withPlan(async ({ scope, patientId, planId, benefit, check, says }) => {
      await says('200', '200');
      const own = await aBenefit(scope, { patientId, allocated: '50', periodEnd: '2027-12-31' });
      assert.ok(benefit.externalPlanId === planId && own.externalPlanId === null);
      assert.deepEqual(await check(), { ...eligible, available: '50.00', ...asked });
    }),
  );

  test(
    'asks nobody where the ledger says no, the plan is no payer’s, or the payer cannot know the patient',
    withPlan(async ({ scope, patientId, check, asked: times }) => {
      const local = { source: 'LOCAL', stale: false };
      const tooMuch = { decision: 'INELIGIBLE', reasons: ['INSUFFICIENT'], available: '200.00', ...local };
      assert.deepEqual(await check({ amount: '200.01' }), tooMuch);
      assert.equal((await check({ benefitType: 'MEALS' })).source, 'LOCAL');
      await aBenefit(scope, { patientId, periodEnd: '2026-03-31' });
      assert.deepEqual(await check(), { ...eligible, available: '200.00', ...local });
      assert.equal(await times(), 0);

      const unknown = await aBenefit(scope, { externalPlanId: 'P' });
      assert.equal((await check({ patientId: unknown.patientId })).source, 'LOCAL');
    }),
  );
});

describe('a payer that fails', () => {
  for (const [script, reason] of [
    [{ reply: 'never' }, 'PAYER_UNREACHABLE'],
    [{ reply: 'drop' }, 'PAYER_UNREACHABLE'],
    [{ reply: 500 }, 'PAYER_UNREACHABLE'],
    [{ reply: 429, retryAfterSeconds: 1 }, 'PAYER_UNREACHABLE'],
    [{ reply: 404 }, 'PAYER_ERROR'],
    [{ body: 'cut' }, 'PAYER_ERROR'],
    [{ body: 'html' }, 'PAYER_ERROR'],
    [{ lie: 'error' }, 'PAYER_ERROR'],
    [{ lie: 'queued' }, 'PAYER_UNREACHABLE'],
    [{ lie: 'no-amounts' }, 'PAYER_ERROR'],
    [{ lie: 'amount-twice' }, 'PAYER_ERROR'],
    [{ lie: 'used-above-allowed' }, 'PAYER_ERROR'],
    [{ lie: 'plan-left-out' }, 'PAYER_ERROR'],
    [{ lie: 'other-plan' }, 'PAYER_ERROR'],
  ] as const) {
    test(
      `leaves it unknown: ${JSON.stringify(script)}`,
      withPlan(async ({ member, check, says }) => {
        await says('200');
        await payer.script({ ...script, member, times: null });
        const api = payer.api(
          guard({ ...QUICK, timeoutMs: 'reply' in script && script.reply === 'never' ? 50 : 5_000 }),
        );
        const { decision, reasons } = await check({}, api);
        assert.deepEqual([decision, reasons], ['UNKNOWN', [reason]]);
        assert.deepEqual((await check({ amount: '201' }, api)).decision, 'INELIGIBLE');
      }),
    );
  }

  test(
    'leaves it unknown at once while its circuit is open',
    withPlan(async ({ member, check, says, asked: times }) => {
      await says('200');
      await payer.script({ reply: 503, member, times: null });
      const api = payer.api(guard({ ...QUICK, failuresToOpen: 2, reopenAfterMs: 3_600_000 }));
      for (let n = 0; n < 5; n++) assert.deepEqual((await check({}, api)).reasons, ['PAYER_UNREACHABLE']);
      assert.equal(await times(), 2);
    }),
  );

  test(
    'leaves what it said last, marked as stale, and decides nothing by it',
    withPlan(async ({ scope, member, check, says }) => {
      await says('200', '150');
      assert.equal((await check()).available, '50.00');
      await payer.script({ reply: 500, member, times: null });
      const unknown = { decision: 'UNKNOWN', reasons: ['PAYER_UNREACHABLE'] };
      const at = later(scope, 16);
      assert.deepEqual(await check({}, payer.api(), at), {
        ...unknown,
        available: '50.00',
        source: 'CACHE',
        stale: true,
      });
      // Not by what it said of today.
      const tomorrow = await check({ serviceDate: '2026-03-03' }, payer.api(), at);
      assert.deepEqual(tomorrow, { ...unknown, available: '200.00', source: 'LOCAL', stale: false });
    }),
  );
});

describe('what a payer said', () => {
  test(
    'counts for a quarter of an hour, with what was spent since, and is asked for again',
    withPlan(async ({ scope, patientId, benefit, check, says, asked: times }) => {
      await says('200', '150');
      assert.equal((await check()).source, 'PAYER');
      await says('200', '0');
      const cached = { source: 'CACHE', stale: false };
      assert.deepEqual(await check({}, payer.api(), later(scope, 15)), { ...eligible, available: '50.00', ...cached });
      const input = { patientId, benefitType: 'TRANSPORTATION', amount: '1' } as const;
      const { asOf } = await benefits.checkEligibility(later(scope, 15), input, payer.api());
      assertSame(asOf, NOW);
      await benefits.recordUsage(scope, benefit.id, { amount: '160' });
      assert.equal((await check({}, payer.api(), later(scope, 15))).available, '40.00');
      assert.equal(await times(), 1);
      const clock = new ManualClock(NOW.add({ minutes: 16 }));
      assert.equal((await check({}, payer.api(guard(QUICK), clock), later(scope, 16))).source, 'PAYER');
      assert.equal(await times(), 2);
    }),
  );

  test(
    'is kept as the sync keeps it, and what could not be believed is asked for again',
    withPlan(async ({ member, benefit, check, says, asked: times }) => {
      await says('200', '150');
      await payer.script({ lie: 'amount-twice', member });
      assert.equal((await check()).decision, 'UNKNOWN');
      assert.equal((await check()).available, '50.00');
      assert.equal(await times(), 2);
      const rows = await asSuperuser<{ line: string }>(
        `select concat_ws(' ', allocated, used, fault) as line from benefit_snapshots where benefit_id = $1 order by id`,
        [benefit.id],
      );
      assert.deepEqual(
        rows.map(({ line }) => line),
        ['AMOUNT_TWICE', '200.00 150.00'],
      );
    }),
  );

  test(
    'of another day is neither kept nor taken from what was kept',
    withPlan(async ({ check, says, asked: times }) => {
      await says('200', '150');
      const serviceDate = '2026-05-01';
      for (let n = 0; n < 2; n++) assert.equal((await check({ serviceDate })).source, 'PAYER');
      assert.equal((await check({ serviceDate: '2026-03-02' })).source, 'PAYER');
      assert.equal((await check()).source, 'CACHE');
      assert.equal(await times(), 3);
    }),
  );

  test(
    'is for patients too, of themselves',
    withPlan(async ({ scope, patientId, check, says }) => {
      await says('200', '150');
      const own = as(scope, actor('patient', { patientId }));
      assert.deepEqual(await check({}, payer.api(), own), { ...eligible, available: '50.00', ...asked });
    }),
  );
});

test(
  'the payer is never asked in a transaction',
  sandboxed(async (scope) => {
    const patientId = await newPatient(scope, { externalId: randomUUID() });
    await aBenefit(scope, { patientId, externalPlanId: 'P' });
    const check = { patientId, benefitType: 'TRANSPORTATION', amount: '1' } as const;
    await assert.rejects(benefits.checkEligibility(scope, check, payer.api()), /outside of a transaction/);
    assert.equal((await benefits.checkEligibility(scope, check)).source, 'LOCAL');
  }),
);
