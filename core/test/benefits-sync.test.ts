/** The run of the sync: every patient once, whatever becomes of the payer or of the process. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as benefits from '#benefits';
import type { PayerAnswer, PayerMember } from '#integrations/benefits-api';
import { Malformed } from '#integrations/fhir';
import { RateLimited } from '#integrations/fhir';
import { NotBegun, Refused, Unavailable } from '#integrations/guard';
import { Forbidden } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import { newPatient } from './support/appointments.ts';
import { aBenefit, ledgerOf, reread } from './support/benefits.ts';
import { anAnswer, testPayer, there, type TestPayer } from './support/payer.ts';
import { committed, sandboxed } from './support/testing.ts';

const HOUR = 3_600;

/** Patients with $200 each at the payer, by their ids: in the order of the run. */
async function atPayer(scope: Scope, count: number): Promise<benefits.Benefit[]> {
  const made: benefits.Benefit[] = [];
  for (let i = 0; i < count; i++) {
    const patientId = await newPatient(scope, { externalId: randomUUID() });
    made.push(await aBenefit(scope, { patientId, externalPlanId: `plan-${randomUUID()}` }));
  }
  return made.toSorted((a, b) => (a.patientId < b.patientId ? -1 : 1));
}

/** Answers that nothing differs. */
function agreeing(scope: Scope, made: readonly benefits.Benefit[]): (member: PayerMember) => PayerAnswer {
  const byPlan = new Map(made.map((benefit) => [benefit.externalPlanId, benefit]));
  return ({ planIds }) =>
    anAnswer(scope.now, { benefits: planIds.flatMap((id) => there(byPlan.get(id) as benefits.Benefit)) });
}

const NEVER = new AbortController().signal;
const sync = (scope: Scope, api: TestPayer) =>
  benefits.syncBenefits(asSystem(scope), { api, perSecond: 10_000, signal: NEVER });

async function runs(scope: Scope): Promise<benefits.SyncRun[]> {
  return (await benefits.syncRuns(scope)).items.map(({ node }) => node);
}
const countsOf = ({ state, patients, synced, failed, drifted }: benefits.SyncRun) =>
  `${state} ${patients}: ${synced} synced, ${failed} failed, ${drifted} drifted`;

async function countOf(scope: Scope, table: string): Promise<number> {
  return transact(asSystem(scope), async ({ db }) => {
    const { rows } = await sql<{ n: number }>`select count(*)::integer as n from ${sql.table(table)}`.execute(db);
    return rows[0]?.n ?? 0;
  });
}

const later = (scope: Scope, seconds: number): Scope => ({ ...scope, now: scope.now.add({ seconds }) });

describe('syncBenefits', () => {
  test(
    'asks once about every patient with a benefit at the payer, over several batches, and moves no amount',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 205);
      await aBenefit(scope, { patientId: (made[0] as benefits.Benefit).patientId, type: 'MEALS' });
      await aBenefit(scope);
      const second = await aBenefit(scope, {
        patientId: (made[1] as benefits.Benefit).patientId,
        externalPlanId: 'two',
      });
      const payer = testPayer(agreeing(scope, [...made, second]));
      assert.equal(await sync(scope, payer), null);
      assert.equal(payer.asked.length, 205);
      assert.equal(new Set(payer.asked.map(({ memberId }) => memberId)).size, 205);
      assert.deepEqual(payer.asked.find(({ planIds }) => planIds.includes('two'))?.planIds.length, 2);
      assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 205: 205 synced, 0 failed, 0 drifted']);
      const after = await reread(scope, second);
      assert.equal(after.lastSyncedAt?.toString(), scope.now.toString());
      assert.equal(after.version, second.version);
      assert.deepEqual(await ledgerOf(scope, second), ['ALLOCATE 200.00']);
    }),
  );

  test(
    'has no effect when the payer says the same again but that it is seen, and keeps what it says instead',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 3);
      const [first] = made as [benefits.Benefit];
      const payer = testPayer(agreeing(scope, made));
      await sync(scope, payer);
      const before = [await countOf(scope, 'events'), await countOf(scope, 'benefit_snapshots')];
      const again = later(scope, HOUR);
      payer.answer = agreeing(again, made);
      await sync(again, payer);
      assert.deepEqual([await countOf(scope, 'events'), await countOf(scope, 'benefit_snapshots')], before);
      payer.answer = (member) => ({
        ...agreeing(again, made)(member),
        ...(member.planIds.includes(first.externalPlanId ?? '') && { benefits: [there(first, { used: '7' })] }),
      });
      await sync(later(scope, 2 * HOUR), payer);
      const { rows } = await transact(asSystem(scope), ({ db }) =>
        sql<object>`select used, as_of < seen_at as seen_again from benefit_snapshots where benefit_id = ${first.id}
          order by id`.execute(db),
      );
      assert.deepEqual(rows, [
        { used: '0.00', seen_again: true },
        { used: '7.00', seen_again: false },
      ]);
      assert.deepEqual((await runs(scope)).map(countsOf)[0], 'FINISHED 3: 3 synced, 0 failed, 1 drifted');
    }),
  );

  test(
    'keeps for whom there was no usable answer, by code, and does all the others',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 8);
      const nameless = await newPatient(scope);
      await aBenefit(scope, { patientId: nameless, externalPlanId: 'nameless' });
      const faults = [
        new Refused('404'),
        new Malformed('NOT_JSON'),
        new TypeError('of Ada Lovelace'),
        new Unavailable('503'),
      ];
      const bad = new Map(faults.map((fault, i) => [made[i * 2]?.externalPlanId, fault]));
      const payer = testPayer((member) => {
        const fault = bad.get(member.planIds[0] ?? '');
        if (fault) throw fault;
        return agreeing(scope, made)(member);
      });
      assert.equal(await sync(scope, payer), null);
      const [run] = await runs(scope);
      assert.equal(run && countsOf(run), 'FINISHED 9: 4 synced, 5 failed, 0 drifted');
      const { items } = await benefits.syncFailures(scope, run?.id ?? '');
      const failures = new Map(items.map(({ node }) => [node.patientId, `${node.code} ${node.detail}`]));
      assert.deepEqual(
        [0, 2, 4, 6].map((i) => failures.get((made[i] as benefits.Benefit).patientId)),
        ['REFUSED 404', 'UNUSABLE_ANSWER NOT_JSON', 'UNUSABLE_ANSWER TypeError', 'UNAVAILABLE 503'],
      );
      assert.equal(failures.get(nameless), 'NO_MEMBER_ID null');
    }),
  );

  for (const [how, fault] of [
    ['refuses', () => new NotBegun('CIRCUIT_OPEN')],
    ['fails', () => new Unavailable('ECONNREFUSED')],
  ] as const) {
    test(
      `waits where it is while the payer ${how} for an hour, asks seldom, and goes on by itself`,
      sandboxed(async (scope) => {
        const made = await atPayer(scope, 12);
        let calls = 0;
        const payer = testPayer((member) => {
          const isUp = ++calls <= 5;
          if (!isUp) throw new NotBegun('CIRCUIT_OPEN');
          return agreeing(scope, made)(member);
        });
        let again = await sync(scope, payer);
        const done = (await runs(scope))[0]?.synced ?? 0;
        assert.ok(done >= 1 && done <= 5, String(done));
        assert.deepEqual(
          (await runs(scope)).map(({ state, failed }) => [state, failed]),
          [['WAITING', 0]],
        );
        payer.answer = () => {
          throw fault();
        };
        const begun = payer.asked.length;
        const ends = scope.now.add({ seconds: HOUR });
        let attempts = 0;
        for (; again !== null && Temporal.Instant.compare(again, ends) < 0; attempts++) {
          const now = { ...scope, now: again };
          assert.ok((await benefits.syncRuns(now)).items[0]?.node.waitingSince);
          again = await sync(now, payer);
        }
        assert.ok(attempts >= 4 && attempts <= 9, String(attempts));
        assert.ok(payer.asked.length - begun <= attempts * 20, String(payer.asked.length - begun));
        const waiting = { ...scope, now: ends };
        assert.ok((await benefits.syncWaitSeconds(asSystem(waiting))) >= HOUR - 1);
        const asked = payer.asked.length;
        payer.answer = agreeing(scope, made);
        assert.equal(await sync(waiting, payer), null);
        assert.equal(payer.asked.length - asked, 12 - done);
        assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 12: 12 synced, 0 failed, 0 drifted']);
      }),
    );
  }

  test(
    'waits when the payer wants a pause, and counts it as nobody’s failure',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 3);
      let calls = 0;
      const payer = testPayer((member) => {
        if (++calls === 2) throw new RateLimited(1_000);
        return agreeing(scope, made)(member);
      });
      const again = await sync(scope, payer);
      assert.ok(again && Temporal.Instant.compare(again, scope.now) > 0);
      assert.deepEqual(
        (await runs(scope)).map(({ state, failed }) => [state, failed]),
        [['WAITING', 0]],
      );
      assert.equal(await sync({ ...scope, now: again }, payer), null);
      assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 3: 3 synced, 0 failed, 0 drifted']);
    }),
  );

  test(
    'does not wait for ever for the last ones, who get no answer from a payer that is there',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 1);
      const payer = testPayer(() => {
        throw new Unavailable('TIMEOUT');
      });
      assert.ok(await sync(scope, payer));
      assert.ok(await sync(later(scope, HOUR), payer));
      assert.equal(await sync(later(scope, 2 * HOUR), payer), null);
      assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 1: 0 synced, 1 failed, 0 drifted']);
      assert.equal((await reread(scope, made[0] as benefits.Benefit)).lastSyncedAt, null);
    }),
  );

  test(
    'asks nobody where no payer is configured, and is the system’s alone',
    sandboxed(async (scope) => {
      await atPayer(scope, 1);
      const payer = { ...testPayer(() => anAnswer(scope.now)), configured: false };
      assert.equal(await sync(scope, payer), null);
      assert.deepEqual([payer.asked.length, (await runs(scope)).length], [0, 0]);
      const options = { api: payer, perSecond: 1, signal: NEVER };
      await assert.rejects(benefits.syncBenefits(scope, options), Forbidden);
    }),
  );

  test(
    'leaves out whoever is deleted',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 4);
      const { patientId } = made[0] as benefits.Benefit;
      await transact(asSystem(scope), ({ db }) =>
        sql`update patients set deleted_at = now() where id = ${patientId}`.execute(db),
      );
      const payer = testPayer(agreeing(scope, made));
      assert.equal(await sync(scope, payer), null);
      assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 4: 3 synced, 0 failed, 0 drifted']);
    }),
  );

  test(
    'writes nothing once it is told to stop, and goes on from there',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 3);
      const stop = new AbortController();
      const payer = testPayer((member) => {
        stop.abort();
        return agreeing(scope, made)(member);
      });
      const options = { api: payer, perSecond: 10_000, signal: stop.signal };
      assert.ok(await benefits.syncBenefits(asSystem(scope), options));
      assert.deepEqual((await runs(scope)).map(countsOf), ['RUNNING 3: 0 synced, 0 failed, 0 drifted']);
      assert.equal(await sync(scope, payer), null);
      assert.deepEqual((await runs(scope)).map(countsOf), ['FINISHED 3: 3 synced, 0 failed, 0 drifted']);
    }),
  );

  test(
    'calls no more often than it may, and does not wait for its turn once it is told to stop',
    sandboxed(async (scope) => {
      const made = await atPayer(scope, 3);
      const stop = new AbortController();
      const payer = testPayer((member) => {
        setImmediate(() => stop.abort());
        return agreeing(scope, made)(member);
      });
      const onceAnHour = { api: payer, perSecond: 1 / HOUR, signal: stop.signal };
      assert.ok(await benefits.syncBenefits(asSystem(scope), onceAnHour));
      assert.equal(payer.asked.length, 1);
    }),
  );

  test(
    'counts each patient once, also where several processes go on with one run',
    committed(async (scope) => {
      const made = await atPayer(scope, 30);
      const payer = testPayer(agreeing(scope, made));
      const results = await Promise.allSettled(Array.from({ length: 4 }, () => sync(scope, payer)));
      for (const result of results)
        if (result.status === 'rejected') assert.match(String(result.reason), /Another process/);
      const done = (await runs(scope)).filter(({ patients }) => patients === 30);
      for (const run of done) assert.equal(countsOf(run), 'FINISHED 30: 30 synced, 0 failed, 0 drifted');
      const [first] = made as [benefits.Benefit];
      const { rows } = await transact(asSystem(scope), ({ db }) =>
        sql`select from benefit_snapshots where benefit_id = ${first.id}`.execute(db),
      );
      assert.equal(rows.length, 1);
    }),
  );
});
