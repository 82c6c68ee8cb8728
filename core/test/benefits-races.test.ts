import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as benefits from '#benefits';
import type { Scope } from '#platform/scope';
import { aBenefit, amountsOf, ledgerOf, reread } from './support/benefits.ts';
import { as, committed, sandboxed } from './support/testing.ts';

describe('64 callers', () => {
  test(
    'who spend $10 each from $200: twenty do, and every cent is accounted for',
    committed(async (scope) => {
      const benefit = await aBenefit(scope);
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, () => benefits.recordUsage(scope, benefit.id, { amount: '10' })),
      );
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
      assert.equal(results.length - refused.length, 20);
      assert.ok(
        refused.every((error) => error instanceof benefits.InsufficientBenefit),
        String(refused[0]),
      );
      assert.deepEqual(amountsOf(await reread(scope, benefit)), ['200.00', '200.00', '0.00', '0.00']);
      assert.equal((await ledgerOf(scope, benefit)).length, 21);
    }),
  );

  test(
    'with one key: one entry, and all of them have it',
    committed(async (scope) => {
      const benefit = await aBenefit(scope);
      const usage = { amount: '10', idempotencyKey: 'once' };
      const all = await Promise.all(Array.from({ length: 64 }, () => benefits.recordUsage(scope, benefit.id, usage)));
      assert.equal(new Set(all.map(({ entry }) => entry.id)).size, 1);
      assert.deepEqual(amountsOf(await reread(scope, benefit)), ['200.00', '10.00', '0.00', '190.00']);
    }),
  );

  test(
    'who take back one use: no more than it was comes back',
    committed(async (scope) => {
      const benefit = await aBenefit(scope);
      const { entry } = await benefits.recordUsage(scope, benefit.id, { amount: '100' });
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, () => benefits.reverseUsage(scope, entry.id, { amount: '9', reason: 'no ride' })),
      );
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
      assert.equal(results.length - refused.length, 11);
      assert.ok(refused.every((error) => error instanceof benefits.ReversalTooLarge));
      assert.equal((await reread(scope, benefit)).used.toFixed(), '1');
    }),
  );

  test(
    'who do everything at once leave amounts that are the sums of the ledger',
    committed(async (scope) => {
      const benefit = await aBenefit(scope);
      const admin = as(scope, 'admin');
      const { entry } = await benefits.recordUsage(scope, benefit.id, { amount: '50' });
      const acts: (() => Promise<unknown>)[] = [
        () => benefits.recordUsage(scope, benefit.id, { amount: '7.77' }),
        () => benefits.reverseUsage(scope, entry.id, { amount: '1.01', reason: 'r' }),
        () => benefits.adjust(admin, benefit.id, { amount: '3.33', direction: 'TAKE', reason: 'r' }),
        () => benefits.adjust(admin, benefit.id, { amount: '2.22', direction: 'ADD', reason: 'r' }),
      ];
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) => (acts[i % acts.length] as (typeof acts)[0])()),
      );
      for (const result of results)
        if (result.status === 'rejected') assert.ok(result.reason instanceof benefits.InsufficientBenefit);
      const found = (await benefits.ledgerDisagreements(admin)).filter(({ benefitId }) => benefitId === benefit.id);
      assert.deepEqual(found, []);
      assert.ok(!(await reread(scope, benefit)).available.isNegative());
    }),
  );
});

describe('the ledger', () => {
  interface Step {
    readonly act: keyof typeof ACTS;
    readonly cents: number;
    readonly which: number;
  }
  interface Model {
    readonly scope: Scope;
    readonly benefit: benefits.Benefit;
    readonly uses: { id: string; left: number }[];
    allocated: number;
    used: number;
  }
  const text = (cents: number) => (cents / 100).toFixed(2);

  /** Each act is done to the ledger and to the sum, and refused by both or by neither. */
  const ACTS = {
    async use(model: Model, { cents }: Step) {
      const done = await accepted(benefits.recordUsage(model.scope, model.benefit.id, { amount: text(cents) }));
      assert.equal(done !== null, cents <= model.allocated - model.used);
      if (!done) return;
      model.uses.push({ id: done.entry.id, left: cents });
      model.used += cents;
    },
    async reverse(model: Model, { cents, which }: Step) {
      const use = model.uses[which % Math.max(model.uses.length, 1)];
      if (!use) return;
      const reversal = { amount: text(cents), reason: 'r' };
      const done = await accepted(benefits.reverseUsage(model.scope, use.id, reversal));
      assert.equal(done !== null, cents <= use.left);
      if (!done) return;
      use.left -= cents;
      model.used -= cents;
    },
    async add(model: Model, { cents }: Step) {
      const adjustment = { amount: text(cents), direction: 'ADD', reason: 'r' } as const;
      await benefits.adjust(as(model.scope, 'admin'), model.benefit.id, adjustment);
      model.allocated += cents;
    },
    async take(model: Model, { cents }: Step) {
      const adjustment = { amount: text(cents), direction: 'TAKE', reason: 'r' } as const;
      const done = await accepted(benefits.adjust(as(model.scope, 'admin'), model.benefit.id, adjustment));
      assert.equal(done !== null, cents <= model.allocated - model.used);
      if (done) model.allocated -= cents;
    },
  };

  /** Null for what was refused. */
  async function accepted(attempt: Promise<benefits.Recorded>): Promise<benefits.Recorded | null> {
    return attempt.catch((thrown: unknown) => {
      const refused = thrown instanceof benefits.InsufficientBenefit || thrown instanceof benefits.ReversalTooLarge;
      if (refused) return null;
      throw thrown;
    });
  }

  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.record({
      act: fc.constantFrom('use', 'reverse', 'add', 'take'),
      cents: fc.integer({ min: 1, max: 9_000 }),
      which: fc.nat({ max: 9 }),
    }),
    { maxLength: 14 },
  );

  test(
    'does what a plain sum in cents does, whatever is asked of it',
    sandboxed(async (scope) => {
      await fc.assert(
        fc.asyncProperty(steps, async (steps) => {
          const benefit = await aBenefit(scope);
          const model: Model = { scope, benefit, uses: [], allocated: 20_000, used: 0 };
          for (const step of steps) await ACTS[step.act](model, step);
          const { allocated, used } = model;
          const sums = [text(allocated), text(used), '0.00', text(allocated - used)];
          assert.deepEqual(amountsOf(await reread(scope, benefit)), sums);
          assert.deepEqual(await benefits.ledgerDisagreements(as(scope, 'admin')), []);
        }),
        { numRuns: 25 },
      );
    }),
  );
});
