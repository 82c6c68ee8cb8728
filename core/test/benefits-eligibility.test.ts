import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as benefits from '#benefits';
import * as care from '#care';
import { Forbidden, InvalidInput, NotFound } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { newPatient } from './support/appointments.ts';
import { aBenefit } from './support/benefits.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const check = (scope: Scope, patientId: string, more: Partial<benefits.EligibilityCheck> = {}) =>
  benefits.checkEligibility(scope, { patientId, benefitType: 'TRANSPORTATION', amount: '10', ...more });

const answer = async (...asked: Parameters<typeof check>) => {
  const { decision, reasons, benefit } = await check(...asked);
  return { decision, reasons, benefit: benefit?.id ?? null };
};

describe('checkEligibility', () => {
  test(
    'takes the benefit that ends first of those that cover the day and have enough',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope);
      const later = await aBenefit(scope, { patientId });
      const sooner = await aBenefit(scope, { patientId, allocated: '15', periodEnd: '2026-03-31' });
      assert.deepEqual(await answer(scope, patientId), { decision: 'ELIGIBLE', reasons: [], benefit: sooner.id });
      const [more, april] = [{ amount: '15.01' }, { serviceDate: '2026-04-01' }];
      for (const asked of [more, april]) assert.equal((await answer(scope, patientId, asked)).benefit, later.id);
      const { available, required, unit, serviceDate, asOf, source } = await check(scope, patientId);
      assert.deepEqual(
        [available?.toFixed(2), required.toFixed(2), unit, source],
        ['15.00', '10.00', 'MONEY', 'LOCAL'],
      );
      assert.equal(`${serviceDate.toString()} ${asOf.toString()}`, `2026-03-02 ${scope.now.toString()}`);
    }),
  );

  test(
    'says everything that stands in the way',
    sandboxed(async (scope) => {
      const refused = async (more: Partial<benefits.NewBenefit>[], asked: Partial<benefits.EligibilityCheck> = {}) => {
        const patientId = await newPatient(scope);
        for (const benefit of more) await aBenefit(scope, { patientId, ...benefit });
        const { decision, reasons } = await check(scope, patientId, asked);
        assert.equal(decision, 'INELIGIBLE');
        return reasons;
      };
      assert.deepEqual(await refused([]), ['NO_BENEFIT']);
      assert.deepEqual(await refused([{ type: 'MEALS' }]), ['NO_BENEFIT']);
      assert.deepEqual(await refused([{ periodStart: '2026-03-03' }]), ['NOT_STARTED']);
      assert.deepEqual(await refused([{ periodEnd: '2026-03-01' }]), ['EXPIRED']);
      assert.deepEqual(await refused([{ allocated: '9.99' }]), ['INSUFFICIENT']);
      const lastYear = { periodStart: '2025-01-01', periodEnd: '2025-12-31' };
      assert.deepEqual(await refused([lastYear, { allocated: '1' }]), ['INSUFFICIENT']);
      assert.deepEqual(await refused([lastYear, { periodStart: '2026-07-01' }]), ['NOT_STARTED', 'EXPIRED']);
      // What was left of a period is gone with it, also for a day that was in it.
      assert.deepEqual(await refused([{ periodEnd: '2026-03-01' }], { serviceDate: '2026-03-01' }), ['EXPIRED']);
    }),
  );

  test(
    'says that a benefit is depleted, or that a patient cannot have it',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope, { allocated: '10' });
      const { patientId } = benefit;
      await care.updatePatient(scope, patientId, { status: 'SUSPENDED' });
      assert.deepEqual(await answer(scope, patientId), {
        decision: 'INELIGIBLE',
        reasons: ['SUSPENDED'],
        benefit: benefit.id,
      });
      await benefits.recordUsage(scope, benefit.id, { amount: '10' });
      assert.deepEqual((await check(scope, patientId)).reasons, ['SUSPENDED', 'DEPLETED']);
      await care.updatePatient(scope, patientId, { status: 'INACTIVE' });
      assert.deepEqual((await check(scope, patientId)).reasons, ['PATIENT_INACTIVE', 'DEPLETED']);
      await care.deletePatient(scope, patientId);
      await assert.rejects(check(scope, patientId), NotFound);
    }),
  );

  test(
    'reserves nothing, is on record, and is a patient’s own',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const own = as(scope, actor('patient', { patientId: benefit.patientId }));
      assert.equal((await check(own, benefit.patientId)).decision, 'ELIGIBLE');
      assert.equal((await check(own, benefit.patientId, { amount: '200' })).decision, 'ELIGIBLE');
      assert.equal((await benefits.findBenefit(own, benefit.id))?.version, benefit.version);
      const foreign = as(scope, actor('patient', { patientId: await newPatient(scope) }));
      await assert.rejects(check(foreign, benefit.patientId), NotFound);
      await assert.rejects(check(scope, randomUUID()), NotFound);
      await assert.rejects(check(as(scope, 'auditor'), benefit.patientId), Forbidden);
      await assert.rejects(check(scope, benefit.patientId, { amount: '0' }), InvalidInput);
    }),
  );
});
