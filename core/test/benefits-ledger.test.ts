import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as benefits from '#benefits';
import * as care from '#care';
import { Forbidden, IdempotencyMismatch, InvalidInput, NotFound } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import { LedgerDisagrees } from '../src/workers/benefits.ts';
import { type Work, workers } from '../src/workers.ts';
import { booked, newPatient } from './support/appointments.ts';
import { aBenefit, amountsOf, ledgerOf, reread, topicsOf } from './support/benefits.ts';
import { testRights } from './support/rights.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

/** What the worker does. */
const nightly = (queue: 'benefit-expiry' | 'benefit-proof', scope: Scope) =>
  workers[queue].run({ scope: asSystem(scope), payload: {} } as Work<'benefit-expiry'> & Work<'benefit-proof'>);

const at = (scope: Scope, instant: string): Scope => ({ ...scope, now: Temporal.Instant.from(instant) });

describe('createBenefit', () => {
  test(
    'allocates, with an entry, an audit record and an event, once per key',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope);
      const first = await aBenefit(scope, { patientId, idempotencyKey: 'k' });
      const again = await aBenefit(scope, { patientId, idempotencyKey: 'k' });
      assert.equal(again.id, first.id);
      assert.deepEqual(amountsOf(first), ['200.00', '0.00', '0.00', '200.00']);
      assert.equal(first.status, 'ACTIVE');
      assert.deepEqual(await ledgerOf(scope, first), ['ALLOCATE 200.00']);
      assert.deepEqual(await topicsOf(scope, first), ['benefit.created', 'benefit.changed']);
      const other = aBenefit(scope, { patientId, idempotencyKey: 'k', allocated: '5' });
      await assert.rejects(other, IdempotencyMismatch);
    }),
  );

  test(
    'refuses what is no benefit, with every issue',
    sandboxed(async (scope) => {
      const issuesOf = async (more: Partial<benefits.NewBenefit>) => {
        const refused = await aBenefit(scope, more).catch((thrown: unknown) => thrown);
        assert.ok(refused instanceof InvalidInput, JSON.stringify(more));
        return [...new Set(refused.issues.map(({ path }) => path.join('.')))].toSorted();
      };
      const period = { periodStart: '2026-02-30', periodEnd: '26-12-31' };
      assert.deepEqual(await issuesOf({ allocated: '0', timeZone: 'EST', ...period }), [
        'allocated',
        'periodEnd',
        'periodStart',
        'timeZone',
      ]);
      assert.deepEqual(await issuesOf({ periodStart: '2026-05-02', periodEnd: '2026-05-01' }), ['periodEnd']);
      assert.deepEqual(await issuesOf({ unit: 'COUNT', allocated: '1.5' }), ['allocated']);
      await assert.rejects(aBenefit(scope, { patientId: randomUUID() }), NotFound);
      await assert.rejects(aBenefit(as(scope, 'auditor'), { patientId: randomUUID() }), Forbidden);
    }),
  );
});

describe('recordUsage', () => {
  test(
    'spends what is available, to the cent and no further',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope, { allocated: '10.00' });
      const visit = await booked(scope, { patientId: benefit.patientId });
      const { entry, benefit: after } = await benefits.recordUsage(scope, benefit.id, {
        amount: '9.99',
        appointmentId: visit.id,
      });
      assert.deepEqual([entry.kind, entry.amount.toFixed(2), entry.appointmentId], ['USE', '9.99', visit.id]);
      assert.equal(entry.serviceDate.toString(), '2026-03-02');
      assert.deepEqual(amountsOf(after), ['10.00', '9.99', '0.00', '0.01']);
      const refused = await benefits
        .recordUsage(scope, benefit.id, { amount: '0.02' })
        .catch((thrown: unknown) => thrown);
      assert.ok(refused instanceof benefits.InsufficientBenefit);
      assert.deepEqual([refused.available.toFixed(2), refused.required.toFixed(2)], ['0.01', '0.02']);
      const last = await benefits.recordUsage(scope, benefit.id, { amount: '0.01' });
      assert.equal(last.benefit.status, 'DEPLETED');
      assert.deepEqual(await ledgerOf(scope, benefit), ['ALLOCATE 10.00', 'USE 9.99', 'USE 0.01']);
      assert.deepEqual((await topicsOf(scope, benefit)).slice(-2), ['benefit.changed', 'benefit.depleted']);
    }),
  );

  test(
    'refuses amounts that are none, changes nothing, and says what was expected',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const trips = await aBenefit(scope, { unit: 'COUNT', allocated: '10' });
      for (const amount of ['0', '0.00', '-1', '0.001', '1000000000000', '1e3', 'NaN', 'Infinity', '', ' 1', '١']) {
        const refused = await benefits.recordUsage(scope, benefit.id, { amount }).catch((thrown: unknown) => thrown);
        assert.ok(refused instanceof InvalidInput, amount);
        assert.deepEqual(refused.issues[0]?.path, ['amount']);
      }
      await assert.rejects(benefits.recordUsage(scope, trips.id, { amount: '0.5' }), InvalidInput);
      assert.deepEqual(await ledgerOf(scope, benefit), ['ALLOCATE 200.00']);
      assert.deepEqual(amountsOf(await reread(scope, benefit)), ['200.00', '0.00', '0.00', '200.00']);
      assert.equal((await benefits.recordUsage(scope, trips.id, { amount: '1.00' })).benefit.available.toFixed(), '9');
    }),
  );

  test(
    'counts for a day of the period, in the plan’s zone',
    sandboxed(async (scope) => {
      for (const [timeZone, first, last] of [
        ['America/New_York', '2028-02-01T05:00:00Z', '2028-03-01T04:59:59Z'],
        ['Pacific/Kiritimati', '2028-01-31T10:00:00Z', '2028-02-29T09:59:59Z'],
        ['Pacific/Pago_Pago', '2028-02-01T11:00:00Z', '2028-03-01T10:59:59Z'],
        ['Asia/Kolkata', '2028-01-31T18:30:00Z', '2028-02-29T18:29:59Z'],
      ] as const) {
        // A leap year's February.
        const period = { periodStart: '2028-02-01', periodEnd: '2028-02-29', timeZone };
        const benefit = await aBenefit(scope, period);
        const statusAt = async (instant: string) => (await reread(at(scope, instant), benefit)).status;
        const usedAt = (instant: string) => benefits.recordUsage(at(scope, instant), benefit.id, { amount: '1' });
        const before = Temporal.Instant.from(first).subtract({ seconds: 1 }).toString();
        const after = Temporal.Instant.from(last).add({ seconds: 1 }).toString();
        assert.deepEqual(
          [await statusAt(before), await statusAt(first), await statusAt(last), await statusAt(after)],
          ['PENDING', 'ACTIVE', 'ACTIVE', 'EXPIRED'],
          timeZone,
        );
        await assert.rejects(usedAt(before), InvalidInput);
        assert.equal((await usedAt(first)).entry.serviceDate.toString(), '2028-02-01');
        assert.equal((await usedAt(last)).entry.serviceDate.toString(), '2028-02-29');
        await assert.rejects(usedAt(after), InvalidInput);
        const late = { amount: '1', serviceDate: '2028-02-29' };
        assert.equal((await benefits.recordUsage(at(scope, after), benefit.id, late)).benefit.used.toFixed(), '3');
      }
    }),
  );

  test(
    'is done once per key and benefit, whoever calls; another body is refused',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const other = await aBenefit(scope);
      const usage = { amount: '10', idempotencyKey: 'ride 1' };
      const first = await benefits.recordUsage(scope, benefit.id, usage);
      const again = await benefits.recordUsage(as(scope, 'admin'), benefit.id, usage);
      assert.equal(again.entry.id, first.entry.id);
      assert.equal(again.benefit.used.toFixed(), '10');
      const changed = { ...usage, amount: '11' };
      await assert.rejects(benefits.recordUsage(scope, benefit.id, changed), IdempotencyMismatch);
      const adjustment = { amount: '10', direction: 'ADD', reason: 'x', idempotencyKey: 'ride 1' } as const;
      await assert.rejects(benefits.adjust(as(scope, 'admin'), benefit.id, adjustment), IdempotencyMismatch);
      assert.notEqual((await benefits.recordUsage(scope, other.id, usage)).entry.id, first.entry.id);
    }),
  );

  test(
    'is for staff; for a patient another’s benefit does not exist',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const own = as(scope, actor('patient', { patientId: benefit.patientId }));
      const foreign = as(scope, actor('patient', { patientId: await newPatient(scope) }));
      await assert.rejects(benefits.recordUsage(own, benefit.id, { amount: '1' }), Forbidden);
      await assert.rejects(benefits.recordUsage(as(scope, 'auditor'), benefit.id, { amount: '1' }), Forbidden);
      await assert.rejects(benefits.recordUsage(scope, randomUUID(), { amount: '1' }), NotFound);
      await assert.rejects(benefits.recordUsage(scope, 'no id', { amount: '1' }), NotFound);
      const nowhere = { amount: '1', appointmentId: randomUUID() };
      assert.equal((await reread(own, benefit)).id, benefit.id);
      assert.equal(await benefits.findBenefit(foreign, benefit.id), null);
      await assert.rejects(benefits.patientBenefits(foreign, benefit.patientId), NotFound);
      await assert.rejects(benefits.patientBenefits(as(scope, 'auditor'), benefit.patientId), Forbidden);
      await assert.rejects(benefits.recordUsage(scope, benefit.id, nowhere), NotFound);
    }),
  );
});

describe('reverseUsage', () => {
  test(
    'gives back a part, then the rest, and never more; the reason is kept in words',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const { entry: use } = await benefits.recordUsage(scope, benefit.id, { amount: '30' });
      const part = await benefits.reverseUsage(scope, use.id, { amount: '12.50', reason: 'half the way' });
      assert.deepEqual([part.entry.reverses, part.entry.reason], [use.id, 'half the way']);
      assert.deepEqual(amountsOf(part.benefit), ['200.00', '17.50', '0.00', '182.50']);
      const tooMuch = await benefits
        .reverseUsage(scope, use.id, { amount: '17.51', reason: 'r' })
        .catch((thrown: unknown) => thrown);
      assert.ok(tooMuch instanceof benefits.ReversalTooLarge);
      assert.equal(tooMuch.reversible.toFixed(2), '17.50');
      const rest = { reason: 'all of it', idempotencyKey: 'k' };
      const first = await benefits.reverseUsage(scope, use.id, rest);
      assert.equal(first.benefit.used.toFixed(), '0');
      assert.equal((await benefits.reverseUsage(scope, use.id, rest)).entry.id, first.entry.id);
      await assert.rejects(benefits.reverseUsage(scope, use.id, { reason: 'r' }), benefits.ReversalTooLarge);
      await assert.rejects(benefits.reverseUsage(scope, first.entry.id, { reason: 'r' }), NotFound);
      await assert.rejects(benefits.reverseUsage(scope, randomUUID(), { reason: 'r' }), NotFound);
    }),
  );

  test(
    'into a period that is over expires at once',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const { entry } = await benefits.recordUsage(scope, benefit.id, { amount: '200' });
      const later = at(scope, '2027-01-01T05:00:00Z');
      const { benefit: after } = await benefits.reverseUsage(later, entry.id, { amount: '50', reason: 'r' });
      assert.deepEqual(amountsOf(after), ['150.00', '150.00', '0.00', '0.00']);
      assert.deepEqual((await ledgerOf(scope, benefit)).slice(-2), ['REVERSE 50.00', 'EXPIRE 50.00']);
    }),
  );
});

describe('adjust', () => {
  test(
    'is for admins, with a reason, and takes no more than is available',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      const admin = as(scope, 'admin');
      await benefits.recordUsage(scope, benefit.id, { amount: '150' });
      const less = { amount: '50.01', direction: 'TAKE', reason: 'plan changed' } as const;
      await assert.rejects(benefits.adjust(scope, benefit.id, less), Forbidden);
      await assert.rejects(benefits.adjust(admin, benefit.id, { ...less, reason: ' ' }), InvalidInput);
      await assert.rejects(benefits.adjust(admin, benefit.id, less), benefits.InsufficientBenefit);
      const taken = await benefits.adjust(admin, benefit.id, { ...less, amount: '50' });
      assert.deepEqual(amountsOf(taken.benefit), ['150.00', '150.00', '0.00', '0.00']);
      assert.deepEqual([taken.entry.adds, taken.entry.reason], [false, 'plan changed']);
      const added = await benefits.adjust(admin, benefit.id, { ...less, amount: '1', direction: 'ADD' });
      assert.deepEqual(amountsOf(added.benefit), ['151.00', '150.00', '0.00', '1.00']);
    }),
  );
});

describe('the ledger', () => {
  test(
    'cannot be changed, not even by its owner, and its amounts never be overdrawn',
    committed(async (scope) => {
      const benefit = await aBenefit(scope);
      for (const attack of ['update benefit_entries set amount = 1', 'delete from benefit_entries'])
        await assert.rejects(asSuperuser(attack), /append-only/);
      await assert.rejects(asSuperuser('truncate benefit_entries cascade'), /append-only/);
      for (const amounts of ['used = 200.01', 'held = 200.01', 'used = -1', 'held = -1', 'allocated = -1']) {
        const attack = `update benefits set ${amounts} where id = $1`;
        await assert.rejects(asSuperuser(attack, [benefit.id]), /benefits_never_overdrawn/);
      }
      const { entry } = await benefits.recordUsage(scope, benefit.id, { amount: '5' });
      const reverse = `insert into benefit_entries (id, benefit_id, unit, kind, amount, service_date, reverses,
        recorded_by, recorded_role, recorded_at)
        values (gen_random_uuid(), $1, 'MONEY', 'REVERSE', 5.01, '2026-03-02', $2, gen_random_uuid(), 'system', now())`;
      await assert.rejects(asSuperuser(reverse, [benefit.id, entry.id]), /takes back more/);
    }),
  );

  test(
    'that disagrees with the amounts is found, and repaired by entries that say by how much',
    committed(async (scope) => {
      const [benefit, sound] = [await aBenefit(scope), await aBenefit(scope)];
      const admin = as(scope, 'admin');
      const mine = ({ benefitId }: benefits.Disagreement) => [benefit.id, sound.id].includes(benefitId);
      await asSuperuser('update benefits set used = 7.50, allocated = 190, held = 1 where id = $1', [benefit.id]);
      const found = (await benefits.ledgerDisagreements(admin)).filter(mine);
      assert.deepEqual(
        found.map(({ benefitId, allocated, used, held }) => [benefitId, [allocated, used, held].join(' ')]),
        [[benefit.id, '-10 7.5 1']],
      );
      await assert.rejects(nightly('benefit-proof', scope), LedgerDisagrees);
      await assert.rejects(benefits.repairLedger(scope), Forbidden);
      await benefits.repairLedger(admin);
      assert.deepEqual((await benefits.ledgerDisagreements(admin)).filter(mine), []);
      assert.deepEqual(amountsOf(await reread(scope, benefit)), ['190.00', '7.50', '1.00', '181.50']);
      await nightly('benefit-proof', scope);
      const lines = await ledgerOf(scope, benefit);
      assert.deepEqual(lines.toSorted(), ['ADJUST -10.00', 'ALLOCATE 200.00', 'HOLD 1.00', 'USE 7.50']);
    }),
  );

  test(
    'is read newest first, page by page, by staff and by whom it is about',
    sandboxed(async (scope) => {
      const benefit = await aBenefit(scope);
      for (const amount of ['1', '2', '3']) await benefits.recordUsage(scope, benefit.id, { amount });
      const own = as(scope, actor('patient', { patientId: benefit.patientId }));
      const page = async (who: Scope, after?: string) => {
        const pages = await benefits.entriesOfBenefits(who, [benefit.id], { first: 3, ...(after && { after }) });
        return pages.get(benefit.id);
      };
      const first = await page(own);
      assert.ok(first?.hasNextPage);
      assert.deepEqual(
        first.items.map(({ node }) => node.amount.toFixed()),
        ['3', '2', '1'],
      );
      const second = await page(scope, first.items[2]?.cursor);
      assert.deepEqual(
        second?.items.map(({ node }) => node.kind),
        ['ALLOCATE'],
      );
      const foreign = as(scope, actor('patient', { patientId: await newPatient(scope) }));
      assert.equal(await page(foreign), undefined);
      await assert.rejects(page(scope, 'x'), InvalidInput);
      await care.deletePatient(scope, benefit.patientId);
      assert.equal((await page(scope))?.items.length, 3);
    }),
  );
});

describe('expireEnded', () => {
  test(
    'writes off what is left once the last local day is over, once, and tells',
    committed(async (scope) => {
      const system = asSystem(scope);
      const zones = ['Pacific/Kiritimati', 'America/New_York', 'Pacific/Pago_Pago'] as const;
      const period = { periodStart: '2026-03-01', periodEnd: '2026-03-31' };
      const made: benefits.Benefit[] = [];
      for (const timeZone of zones) made.push(await aBenefit(scope, { ...period, timeZone }));
      await benefits.recordUsage(scope, (made[0] as benefits.Benefit).id, { amount: '50' });
      const spent = await aBenefit(scope, { ...period, timeZone: zones[0] });
      await benefits.recordUsage(scope, spent.id, { amount: '200' });
      const left = async (instant: string) => {
        await Promise.all([1, 2].map(() => nightly('benefit-expiry', at(system, instant))));
        const now = await Promise.all(made.map((benefit) => reread(scope, benefit)));
        return now.map(({ available }) => available.toFixed());
      };
      assert.deepEqual(await left('2026-03-31T09:59:59Z'), ['150', '200', '200']);
      assert.deepEqual(await left('2026-03-31T10:00:00Z'), ['0', '200', '200']);
      assert.deepEqual(await left('2026-04-01T04:00:00Z'), ['0', '0', '200']);
      assert.deepEqual(await left('2026-04-01T11:00:00Z'), ['0', '0', '0']);
      assert.deepEqual((await ledgerOf(scope, made[0] as benefits.Benefit)).slice(-2), ['USE 50.00', 'EXPIRE 150.00']);
      for (const benefit of [made[1] as benefits.Benefit, spent]) {
        const topics = await topicsOf(scope, benefit);
        assert.equal(topics.filter((topic) => topic === 'benefit.expired').length, 1);
      }
      assert.deepEqual(await ledgerOf(scope, spent), ['ALLOCATE 200.00', 'USE 200.00']);
      await assert.rejects(benefits.expireEnded(as(scope, 'admin')), Forbidden);
    }),
  );

  test(
    'has those that end soon on a list before, for staff',
    sandboxed(async (scope) => {
      const soon = await aBenefit(scope, { periodEnd: '2026-03-31' });
      const sooner = await aBenefit(scope, { periodEnd: '2026-03-02' });
      const spent = await aBenefit(scope, { periodEnd: '2026-03-20', allocated: '1' });
      await benefits.recordUsage(scope, spent.id, { amount: '1' });
      await aBenefit(scope, { periodEnd: '2026-04-02' });
      await aBenefit(scope, { periodEnd: '2026-03-01' });
      await aBenefit(scope, { periodStart: '2026-03-03', periodEnd: '2026-03-10' });
      const { items } = await benefits.unspentBenefits(scope, { first: 1 });
      assert.deepEqual(
        items.map(({ node }) => node.id),
        [sooner.id],
      );
      const rest = await benefits.unspentBenefits(scope, { after: items[0]?.cursor });
      assert.deepEqual(
        rest.items.map(({ node }) => node.id),
        [soon.id],
      );
      const own = as(scope, actor('patient', { patientId: soon.patientId }));
      await assert.rejects(benefits.unspentBenefits(own), Forbidden);
    }),
  );
});

describe('the tables of benefits', () => {
  const reader = { patient: 'select', auditor: '' };
  testRights({
    benefits: { ...reader, staff: 'select insert update', system: 'select insert update', written: 'used' },
    benefit_entries: { ...reader, staff: 'select insert', system: 'select insert', written: 'amount' },
  });

  test(
    'let patients read their own rows and write nothing, staff add and move amounts, nobody delete',
    sandboxed(async (scope) => {
      const [mine] = [await aBenefit(scope), await aBenefit(scope)];
      const own = as(scope, actor('patient', { patientId: mine.patientId }));
      const run = (who: Scope, text: string) => transact(who, ({ db }) => sql.raw<{ id: string }>(text).execute(db));
      assert.deepEqual((await run(own, 'select id from benefits')).rows, [{ id: mine.id }]);
      assert.equal((await run(own, 'select from benefit_entries')).rows.length, 1);
      const denied: [Scope, string[]][] = [
        [own, ['update benefits set used = 0', 'insert into benefits default values', 'delete from benefits']],
        [own, ['insert into benefit_entries default values', 'delete from benefit_entries']],
        [scope, ['update benefits set patient_id = id', 'delete from benefits', 'truncate benefits']],
        [scope, ['update benefit_entries set amount = 1', 'delete from benefit_entries', 'truncate benefit_entries']],
        [as(scope, 'system'), ['delete from benefits', 'delete from benefit_entries']],
        [as(scope, 'auditor'), ['select from benefits', 'select from benefit_entries']],
      ];
      for (const [who, statements] of denied)
        for (const statement of statements) await assert.rejects(run(who, statement), /permission denied/, statement);
    }),
  );
});
