/** Payer against ledger: what differs, and what is made of it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as benefits from '#benefits';
import type { PayerAnswer } from '#integrations/benefits-api';
import { Forbidden, IdempotencyMismatch, NotFound } from '#platform/errors';
import { asSystem, type Scope } from '#platform/scope';
import { newPatient } from './support/appointments.ts';
import { aBenefit, amountsOf, ledgerOf, reread, topicsOf } from './support/benefits.ts';
import { anAnswer, there, testPayer } from './support/payer.ts';
import { testRights } from './support/rights.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const PLAN = 'plan-1';

async function atPayer(scope: Scope, more: Partial<benefits.NewBenefit> = {}): Promise<benefits.Benefit> {
  const patientId = more.patientId ?? (await newPatient(scope, { externalId: randomUUID() }));
  return aBenefit(scope, { externalPlanId: PLAN, patientId, ...more });
}

/** What a sync of the benefit's patient finds when the payer answers this. */
async function syncWith(
  scope: Scope,
  { patientId }: benefits.Benefit,
  answer: Partial<PayerAnswer>,
): Promise<benefits.PatientSync> {
  const payer = testPayer(() => anAnswer(scope.now, answer));
  return benefits.syncPatient(scope, patientId, payer);
}

const said = ({ drifts }: benefits.PatientSync) =>
  drifts.map(({ kind, fault, status, difference, version }) =>
    [kind, fault, difference?.toFixed(2), status, version]
      .filter((word) => word !== null && word !== undefined)
      .join(' '),
  );

const later = (scope: Scope, hours: number): Scope => ({ ...scope, now: scope.now.add({ hours }) });

describe('an answer of the payer', () => {
  const CASES: Record<string, [(benefit: benefits.Benefit) => Partial<PayerAnswer>, string[]]> = {
    'that agrees is no drift': [(b) => ({ benefits: [there(b)] }), []],
    'with another split of the same rest is no drift': [
      (b) => ({ benefits: [there(b, { allocated: '250', used: '80' })] }),
      [],
    ],
    'with less left': [(b) => ({ benefits: [there(b, { used: '130.01' })] }), ['LESS_LEFT -100.01 OPEN 1']],
    'with more left': [(b) => ({ benefits: [there(b, { allocated: '200.01' })] }), ['MORE_LEFT 0.01 OPEN 1']],
    'for other days': [
      (b) => ({ benefits: [there(b, { periodEnd: b.periodEnd.subtract({ days: 1 }) })] }),
      ['PERIOD OPEN 1'],
    ],
    'that says the plan is not in force': [() => ({ notInForce: [PLAN] }), ['NOT_IN_FORCE OPEN 1']],
    'that lists nothing': [() => ({}), ['NOT_THERE OPEN 1']],
    'about another plan': [(b) => ({ benefits: [there(b, { planId: 'other' })] }), ['NOT_THERE OPEN 1']],
    'in another unit': [(b) => ({ benefits: [there(b, { unit: 'COUNT' })] }), ['NOT_THERE OPEN 1', 'NOT_HERE OPEN 1']],
    'with one that is not on record': [
      (b) => ({ benefits: [there(b), there(b, { type: 'MEALS' }), there(b, { type: 'MEALS' })] }),
      ['NOT_HERE OPEN 1'],
    ],
    'with a type that nobody knows': [(b) => ({ benefits: [there(b), there(b, { type: 'DENTAL' })] }), []],
    'with a fault of the benefit': [
      () => ({
        faults: [
          { planId: '', type: null, fault: 'ANSWER_PARTIAL' },
          { planId: PLAN, type: 'MEALS', fault: 'AMOUNT_UNREADABLE' },
          { planId: PLAN, type: 'TRANSPORTATION', fault: 'USED_ABOVE_ALLOWED' },
        ],
      }),
      ['NOT_CREDIBLE USED_ABOVE_ALLOWED OPEN 1'],
    ],
    'with a fault of another benefit of the plan': [
      (b) => ({ benefits: [there(b)], faults: [{ planId: PLAN, type: 'MEALS', fault: 'AMOUNT_TWICE' }] }),
      [],
    ],
    'that says two things': [
      (b) => ({ benefits: [there(b), there(b, { used: '31' })] }),
      ['NOT_CREDIBLE AMOUNT_TWICE OPEN 1'],
    ],
    'that says one thing twice': [(b) => ({ benefits: [there(b), there(b)] }), []],
    'with more used than allowed': [
      (b) => ({ benefits: [there(b, { used: '200.01' })] }),
      ['NOT_CREDIBLE USED_ABOVE_ALLOWED OPEN 1'],
    ],
    'with parts of a cent': [
      (b) => ({ benefits: [there(b, { used: '30.001' })] }),
      ['NOT_CREDIBLE AMOUNT_UNREADABLE OPEN 1'],
    ],
    'with more than there can be': [
      (b) => ({ benefits: [there(b, { allocated: '1e12' })] }),
      ['NOT_CREDIBLE AMOUNT_UNREADABLE OPEN 1'],
    ],
    'with less than nothing': [
      (b) => ({ benefits: [there(b, { used: '-1' })] }),
      ['NOT_CREDIBLE AMOUNT_UNREADABLE OPEN 1'],
    ],
  };
  for (const [name, [answer, expected]] of Object.entries(CASES)) {
    test(
      `${name}: ${expected.join(', ') || 'nothing to decide'}`,
      sandboxed(async (scope) => {
        const made = await atPayer(scope);
        await benefits.recordUsage(scope, made.id, { amount: '30' });
        const benefit = await reread(scope, made);
        const ledger = await ledgerOf(scope, benefit);
        const sync = await syncWith(scope, benefit, answer(benefit));
        assert.deepEqual(said(sync).toSorted(), expected.toSorted());
        assert.deepEqual(amountsOf(await reread(scope, benefit)), amountsOf(benefit));
        assert.deepEqual(await ledgerOf(scope, benefit), ledger);
      }),
    );
  }

  test(
    'about a period that is over or has not begun says nothing of it, unless it lists it',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope, { externalId: randomUUID() });
      const next = await atPayer(scope, { patientId, periodStart: '2027-01-01', periodEnd: '2027-12-31' });
      await atPayer(scope, { patientId, periodStart: '2025-01-01', periodEnd: '2025-12-31' });
      assert.deepEqual(said(await syncWith(scope, next, { notInForce: [PLAN] })), []);
      assert.deepEqual(said(await syncWith(scope, next, { benefits: [there(next, { allocated: '1' })] })), [
        'LESS_LEFT -199.00 OPEN 1',
      ]);
    }),
  );
});

describe('a drift', () => {
  const drifted = (benefit: benefits.Benefit, used = '10') => ({ benefits: [there(benefit, { used })] });

  test(
    'is one for each benefit, follows the payer, and closes by itself once both agree',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [first] = (await syncWith(scope, benefit, drifted(benefit))).drifts;
      assert.deepEqual(said(await syncWith(later(scope, 1), benefit, drifted(benefit))), ['LESS_LEFT -10.00 OPEN 1']);
      const second = await syncWith(later(scope, 2), benefit, drifted(benefit, '12'));
      assert.deepEqual(said(second), ['LESS_LEFT -12.00 OPEN 2']);
      assert.equal(second.drifts[0]?.id, first?.id);
      assert.deepEqual(said(await syncWith(later(scope, 3), benefit, { benefits: [there(benefit)] })), []);
      const { items } = await benefits.benefitDrifts(scope, { status: ['RESOLVED'], patientId: benefit.patientId });
      assert.deepEqual([items.length, items[0]?.node.version, items[0]?.node.settledBy], [1, 3, null]);
      assert.deepEqual((await topicsOf(scope, benefit)).slice(-3), [
        'benefit.drifted',
        'benefit.drifted',
        'benefit.drift_resolved',
      ]);
    }),
  );

  test(
    'is accepted with a correction by what was found, once, and then both agree',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [drift] = (await syncWith(scope, benefit, drifted(benefit, '40'))).drifts;
      const id = drift?.id ?? '';
      await benefits.recordUsage(scope, benefit.id, { amount: '5' });
      const accepted = await benefits.acceptDrift(scope, id, { idempotencyKey: 'k', version: 1 });
      assert.deepEqual(
        [accepted.status, accepted.version, accepted.settledBy, accepted.entryId !== null],
        ['ACCEPTED', 2, scope.actor.id, true],
      );
      assert.equal(
        (await benefits.acceptDrift(scope, id, { idempotencyKey: 'k', version: 1 })).entryId,
        accepted.entryId,
      );
      await assert.rejects(benefits.acceptDrift(scope, id, { idempotencyKey: 'k', version: 2 }), IdempotencyMismatch);
      await assert.rejects(benefits.acceptDrift(scope, id), benefits.DriftSettled);
      assert.deepEqual(amountsOf(await reread(scope, benefit)), ['160.00', '5.00', '0.00', '155.00']);
      assert.deepEqual((await ledgerOf(scope, benefit)).at(-1), 'SYNC_CORRECTION -40.00');
      const learned = { benefits: [there(benefit, { used: '45' })] };
      assert.deepEqual(said(await syncWith(scope, benefit, learned)), []);
      assert.ok((await topicsOf(scope, benefit)).includes('benefit.drift_accepted'));
    }),
  );

  test(
    'is not accepted where what it takes is spent or held, and nothing is changed',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [drift] = (await syncWith(scope, benefit, drifted(benefit, '40'))).drifts;
      await benefits.recordUsage(scope, benefit.id, { amount: '160.01' });
      const ledger = await ledgerOf(scope, benefit);
      await assert.rejects(benefits.acceptDrift(scope, drift?.id ?? '', { idempotencyKey: 'k' }), (thrown) => {
        assert.ok(thrown instanceof benefits.InsufficientBenefit);
        return thrown.available.toFixed(2) === '39.99' && thrown.required.toFixed(2) === '40.00';
      });
      assert.deepEqual(await ledgerOf(scope, benefit), ledger);
      const { items } = await benefits.benefitDrifts(scope, { patientId: benefit.patientId });
      assert.deepEqual([items.length, items[0]?.node.version], [1, 1]);
    }),
  );

  test(
    'of which no amount is to be corrected is not accepted, nor is an old one',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [gone] = (await syncWith(scope, benefit, {})).drifts;
      await assert.rejects(benefits.acceptDrift(scope, gone?.id ?? ''), benefits.DriftNotCorrectable);
      const [drift] = (await syncWith(scope, benefit, drifted(benefit))).drifts;
      await assert.rejects(benefits.acceptDrift(scope, drift?.id ?? '', { version: 1 }), benefits.StaleDrift);
      await assert.rejects(benefits.acceptDrift(scope, randomUUID()), NotFound);
      await assert.rejects(benefits.acceptDrift(scope, 'none'), NotFound);
    }),
  );

  test(
    'is disputed for a reason that nobody reads in the database, and open again with something else to decide',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [drift] = (await syncWith(scope, benefit, drifted(benefit))).drifts;
      const disputed = await benefits.disputeDrift(scope, drift?.id ?? '', { reason: 'a ride that never was' });
      assert.deepEqual([disputed.status, disputed.reason], ['DISPUTED', 'a ride that never was']);
      assert.deepEqual(said(await syncWith(later(scope, 1), benefit, drifted(benefit))), [
        'LESS_LEFT -10.00 DISPUTED 2',
      ]);
      assert.deepEqual(said(await syncWith(later(scope, 2), benefit, drifted(benefit, '11'))), [
        'LESS_LEFT -11.00 OPEN 3',
      ]);
      const { items } = await benefits.benefitDrifts(scope, { status: ['DISPUTED'], patientId: benefit.patientId });
      assert.equal(items.length, 0);
      assert.ok((await topicsOf(scope, benefit)).includes('benefit.drift_disputed'));
    }),
  );

  test(
    'is settled when the period of its benefit ends',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope, { periodEnd: '2026-03-05' });
      await syncWith(scope, benefit, drifted(benefit));
      await benefits.expireEnded(asSystem(later(scope, 100)));
      const { items } = await benefits.benefitDrifts(scope, { status: ['RESOLVED'], patientId: benefit.patientId });
      assert.equal(items.length, 1);
    }),
  );

  test(
    'is for staff to see and decide, and every read and decision is on record',
    sandboxed(async (scope) => {
      const benefit = await atPayer(scope);
      const [drift] = (await syncWith(scope, benefit, drifted(benefit))).drifts;
      const id = drift?.id ?? '';
      for (const who of [as(scope, 'auditor'), as(scope, actor('patient', { patientId: benefit.patientId }))]) {
        await assert.rejects(benefits.benefitDrifts(who), Forbidden);
        await assert.rejects(benefits.acceptDrift(who, id), Forbidden);
        await assert.rejects(benefits.disputeDrift(who, id, { reason: 'r' }), Forbidden);
        await assert.rejects(benefits.syncRuns(who), Forbidden);
        await assert.rejects(benefits.syncFailures(who, id), Forbidden);
        await assert.rejects(
          benefits.syncPatient(
            who,
            benefit.patientId,
            testPayer(() => anAnswer(who.now)),
          ),
          Forbidden,
        );
      }
      const entries: { action: string; patientIds?: readonly string[] }[] = [];
      const watched = { ...scope, onRecord: (entry: object) => void entries.push(entry as { action: string }) };
      await benefits.benefitDrifts(watched, { patientId: benefit.patientId });
      await benefits.acceptDrift(watched, id);
      const actions = entries.map(({ action }) => action);
      assert.ok(actions.includes('benefit.listDrifts') && actions.includes('benefit.acceptDrift'), actions.join());
      for (const { patientIds } of entries) assert.deepEqual(patientIds, [benefit.patientId]);
    }),
  );
});

describe('the tables of the sync', () => {
  const staff = { patient: '', auditor: '' };
  testRights({
    benefit_sync_runs: { ...staff, staff: 'select', system: 'select insert update', written: 'cursor' },
    benefit_sync_failures: { ...staff, staff: 'select', system: 'select insert', seen: 'run_id', written: 'code' },
    benefit_snapshots: { ...staff, staff: '', system: 'select insert update', written: 'seen_at' },
    benefit_drifts: { ...staff, staff: 'select update', system: 'select insert update', written: 'reason' },
  });
});
