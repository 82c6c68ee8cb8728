/** The ledger while everybody uses it and the payer has its say, against plain sums in cents. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as benefits from '#benefits';
import { asSystem, type Scope } from '#platform/scope';
import { booked, newPatient, TOMORROW_AT_TEN } from './support/appointments.ts';
import { aBenefit, amountsOf, ledgerOf, reread } from './support/benefits.ts';
import { anAnswer, testPayer, there } from './support/payer.ts';
import { as, committed, sandboxed } from './support/testing.ts';

const text = (cents: number) => (cents / 100).toFixed(2);
const cents = (amount: benefits.Benefit['used']) => amount.times(100).toNumber();

async function atPayer(scope: Scope): Promise<benefits.Benefit> {
  const patientId = await newPatient(scope, { externalId: randomUUID() });
  return aBenefit(scope, { patientId, externalPlanId: 'plan-1' });
}

/** The payer says that it has allowed so much, and that so much is used. */
const hear = (scope: Scope, benefit: benefits.Benefit, said: { allocated: string; used: string }) =>
  benefits.syncPatient(
    scope,
    benefit.patientId,
    testPayer(() => anAnswer(scope.now, { benefits: [there(benefit, said)] })),
  );

/** Null for what the rules refuse. */
async function accepted<T>(attempt: Promise<T>): Promise<T | null> {
  return attempt.catch((thrown: unknown) => {
    const expected = [benefits.InsufficientBenefit, benefits.ReversalTooLarge, benefits.DriftSettled];
    if (expected.some((error) => thrown instanceof error)) return null;
    throw thrown;
  });
}

const settle = (
  scope: Scope,
  benefit: benefits.Benefit,
  { appointmentId, amount, to }: { appointmentId: string; amount: benefits.Benefit['used']; to: 'HELD' | 'NONE' },
) =>
  benefits.settleVisit(asSystem(scope), {
    benefitId: benefit.id,
    appointmentId,
    amount,
    startsAt: TOMORROW_AT_TEN,
    from: to === 'HELD' ? 'NONE' : 'HELD',
    to,
  });

async function visits(scope: Scope, count: number): Promise<string[]> {
  const made: string[] = [];
  for (let i = 0; i < count; i++) made.push((await booked(scope)).id);
  return made;
}

describe('64 callers who use, take back, hold, ask the payer and accept what it says', () => {
  const SEVEN_DOLLARS = benefits.amount.parse('7');
  interface Act {
    readonly kind: 'use' | 'reverse' | 'hold' | 'sync' | 'accept' | 'dispute';
    readonly cents: number;
  }
  /** What was accepted, in cents. */
  interface Sums {
    entries: number;
    allocated: number;
    used: number;
    held: number;
  }

  const acts: fc.Arbitrary<Act[]> = fc.array(
    fc.record({
      kind: fc.constantFrom('use', 'use', 'reverse', 'hold', 'sync', 'sync', 'accept', 'dispute'),
      cents: fc.integer({ min: 1, max: 3_000 }),
    }),
    { minLength: 64, maxLength: 64 },
  );

  interface Stage {
    readonly scope: Scope;
    readonly benefit: benefits.Benefit;
    readonly useId: string;
    readonly free: string[];
    readonly sums: Sums;
  }

  async function play({ scope, benefit, useId, free, sums }: Stage, { kind, cents: amount }: Act): Promise<void> {
    const add = (more: Partial<Sums>) => {
      for (const [name, value] of Object.entries(more) as [keyof Sums, number][]) sums[name] += value;
      sums.entries++;
    };
    if (kind === 'use') {
      if (await accepted(benefits.recordUsage(scope, benefit.id, { amount: text(amount) }))) add({ used: amount });
    } else if (kind === 'reverse') {
      const reversal = { amount: text(amount), reason: 'r' };
      if (await accepted(benefits.reverseUsage(scope, useId, reversal))) add({ used: -amount });
    } else if (kind === 'hold') {
      const appointmentId = free.pop();
      if (appointmentId === undefined) return;
      const held = settle(scope, benefit, { appointmentId, amount: SEVEN_DOLLARS, to: 'HELD' }).then(() => true);
      if (await accepted(held)) add({ held: 700 });
    } else if (kind === 'sync') await hear(scope, benefit, { allocated: '200', used: text(amount * 6) });
    else await answer({ scope, benefit, useId, free, sums }, kind);
  }

  /** Of the drift as it is when the decision is made. */
  async function answer({ scope, benefit, sums }: Stage, kind: 'accept' | 'dispute'): Promise<void> {
    const { items } = await benefits.benefitDrifts(scope, { patientId: benefit.patientId });
    const id = items[0]?.node.id;
    if (id === undefined) return;
    if (kind === 'dispute') {
      await accepted(benefits.disputeDrift(scope, id, { reason: 'r' }));
      return;
    }
    const drift = await accepted(benefits.acceptDrift(scope, id));
    if (drift?.difference) {
      sums.allocated += cents(drift.difference);
      sums.entries++;
    }
  }

  test(
    'leave amounts that are the sums of what was accepted, and never overdraw',
    committed(async (scope) => {
      await fc.assert(
        fc.asyncProperty(acts, async (acts) => {
          const benefit = await atPayer(scope);
          const { entry } = await benefits.recordUsage(scope, benefit.id, { amount: '60' });
          const sums: Sums = { entries: 2, allocated: 20_000, used: 6_000, held: 0 };
          const stage: Stage = { scope, benefit, useId: entry.id, free: await visits(scope, 4), sums };
          const results = await Promise.allSettled(acts.map((act) => play(stage, act)));
          for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
          const after = await reread(scope, benefit);
          const { allocated, used, held } = sums;
          assert.deepEqual(amountsOf(after), [allocated, used, held, allocated - used - held].map(text));
          assert.ok(!after.available.isNegative());
          assert.equal((await ledgerOf(scope, benefit)).length, sums.entries);
          const disagreeing = await benefits.ledgerDisagreements(as(scope, 'admin'));
          assert.deepEqual(
            disagreeing.filter(({ benefitId }) => benefitId === benefit.id),
            [],
          );
          const truth = { allocated: text(allocated), used: text(used) };
          assert.deepEqual((await hear(scope, benefit, truth)).drifts, []);
        }),
        { numRuns: 4 },
      );
    }),
  );
});

describe('the ledger and the payer', () => {
  interface Step {
    readonly act: keyof typeof ACTS;
    readonly cents: number;
    readonly which: number;
  }
  interface Model {
    readonly scope: Scope;
    readonly benefit: benefits.Benefit;
    readonly appointments: readonly string[];
    readonly holds: Map<string, number>;
    allocated: number;
    used: number;
    /** What is left there less what is left here, when the payer was asked last. */
    drift: number | null;
    disputed: boolean;
  }

  const heldOf = ({ holds }: Model) => [...holds.values()].reduce((sum, held) => sum + held, 0);
  const availableOf = (model: Model) => model.allocated - model.used - heldOf(model);

  const ACTS = {
    async use(model: Model, { cents }: Step) {
      const done = await accepted(benefits.recordUsage(model.scope, model.benefit.id, { amount: text(cents) }));
      assert.equal(done !== null, cents <= availableOf(model));
      if (done) model.used += cents;
    },
    async hold(model: Model, { cents, which }: Step) {
      const appointmentId = model.appointments[which % model.appointments.length] ?? '';
      if (model.holds.has(appointmentId)) return;
      const amount = benefits.amount.parse(text(cents));
      const held = settle(model.scope, model.benefit, { appointmentId, amount, to: 'HELD' }).then(() => true);
      const done = await accepted(held);
      assert.equal(done !== null, cents <= availableOf(model));
      if (done) model.holds.set(appointmentId, cents);
    },
    async release(model: Model, { which }: Step) {
      const [appointmentId, cents] = [...model.holds][which % Math.max(model.holds.size, 1)] ?? [];
      if (appointmentId === undefined) return;
      const amount = benefits.amount.parse(text(cents ?? 0));
      await settle(model.scope, model.benefit, { appointmentId, amount, to: 'NONE' });
      model.holds.delete(appointmentId);
    },
    async sync(model: Model, { cents, which }: Step) {
      const allocated = 20_000 + which * 500;
      await hear(model.scope, model.benefit, { allocated: text(allocated), used: text(cents) });
      const drift = allocated - cents - (model.allocated - model.used);
      if (drift !== model.drift) model.disputed = false;
      model.drift = drift === 0 ? null : drift;
    },
    async accept(model: Model) {
      const id = await liveDrift(model);
      if (id === null) return;
      const drift = model.drift as number;
      const done = await accepted(benefits.acceptDrift(model.scope, id));
      assert.equal(done !== null, drift + availableOf(model) >= 0);
      if (!done) return;
      model.allocated += drift;
      model.drift = null;
    },
    async dispute(model: Model) {
      const id = await liveDrift(model);
      if (id === null) return;
      await benefits.disputeDrift(model.scope, id, { reason: 'r' });
      model.disputed = true;
    },
  };

  /** There is one where the model has one, with the same difference and standing. */
  async function liveDrift({ scope, benefit, drift, disputed }: Model): Promise<string | null> {
    const { patientId } = benefit;
    const { items } = await benefits.benefitDrifts(scope, { patientId, status: ['OPEN', 'DISPUTED'] });
    const found = items.map(({ node }) => [node.difference && cents(node.difference), node.status]);
    assert.deepEqual(found, drift === null ? [] : [[drift, disputed ? 'DISPUTED' : 'OPEN']]);
    return items[0]?.node.id ?? null;
  }

  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.record({
      act: fc.constantFrom('use', 'hold', 'release', 'sync', 'sync', 'accept', 'dispute'),
      cents: fc.integer({ min: 1, max: 9_000 }),
      which: fc.nat({ max: 9 }),
    }),
    { maxLength: 16 },
  );

  test(
    'do what plain sums in cents do, whatever is asked and said',
    sandboxed(async (scope) => {
      const appointments = await visits(scope, 3);
      await fc.assert(
        fc.asyncProperty(steps, async (steps) => {
          const benefit = await atPayer(scope);
          const start = { allocated: 20_000, used: 0, drift: null, disputed: false };
          const model: Model = { scope, benefit, appointments, holds: new Map(), ...start };
          for (const step of steps) await ACTS[step.act](model, step);
          const held = heldOf(model);
          const sums = [model.allocated, model.used, held, availableOf(model)];
          assert.deepEqual(amountsOf(await reread(scope, benefit)), sums.map(text));
          await liveDrift(model);
          assert.deepEqual(await benefits.ledgerDisagreements(as(scope, 'admin')), []);
        }),
        { numRuns: 25 },
      );
    }),
  );
});
