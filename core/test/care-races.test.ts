import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import { type Scope, asSystem } from '#platform/scope';
import { aPatient } from './support/patients.ts';
import { as, asSuperuser, committed } from './support/testing.ts';

/** Letters that no other test of this file uses. */
let given = 0;
const ownName = () => `Zq${String.fromCharCode(97 + (given % 26), 97 + Math.floor(given++ / 26))}`;

async function searchAll(scope: Scope, query: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof care.searchPatients>> = await care.searchPatients(scope, {
      query,
      first: 100,
      after,
    });
    ids.push(...page.items.map(({ node }) => node.id));
    after = page.items.at(-1)?.cursor ?? null;
    if (!page.hasNextPage) return ids;
  }
}

describe('64 at once', () => {
  test(
    'create patients of one e-mail address: one succeeds, the others are told why',
    committed(async (scope) => {
      const email = `${randomUUID()}@example.test`;
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, () => care.createPatient(scope, aPatient({ email }))),
      );
      const refusals = results.filter((result) => result.status === 'rejected');
      assert.equal(refusals.length, 63);
      assert.ok(refusals.every(({ reason }) => reason instanceof care.EmailTaken));
    }),
  );

  test(
    'create patients whose names share keywords in every order: all succeed, and each is found once',
    committed(async (scope) => {
      const [a, b, c] = [ownName(), ownName(), ownName()];
      const names = [`${a} ${b}`, `${b} ${c}`, `${c} ${a}`, `${b} ${a}`];
      const created = await Promise.all(
        Array.from({ length: 64 }, (_, i) =>
          care.createPatient(scope, { firstName: names[i % 4] as string, lastName: names[(i + 1) % 4] as string }),
        ),
      );
      const ids = created.map(({ id }) => id).toSorted();
      for (const query of [a, b, `${b} ${a}`]) assert.deepEqual((await searchAll(scope, query)).toSorted(), ids);
    }),
  );

  test(
    'import the same records: each is created once',
    committed(async (scope) => {
      const admin = as(scope, 'admin');
      const lastName = ownName();
      const records = Array.from({ length: 20 }, (_, i) => ({
        externalId: `${lastName}-${i}`,
        firstName: 'Ann',
        lastName,
        email: `${lastName}-${i}@example.test`,
      }));
      const runs = await Promise.all(
        Array.from({ length: 8 }, (_, i) => care.importPatients(admin, i % 2 ? records : records.toReversed())),
      );
      const outcomes = runs.flat().map(({ outcome }) => outcome);
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 20);
      assert.equal(outcomes.filter((outcome) => outcome === 'unchanged').length, 140);
      assert.equal((await searchAll(scope, lastName)).length, 20);
    }),
  );

  test(
    'change different facts of one patient: no change is lost',
    committed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      await Promise.all([
        care.updatePatient(scope, id, { phone: '212 555 0123' }),
        care.updatePatient(scope, id, { lastName: 'King' }),
        care.updatePatient(scope, id, { notes: 'n' }),
      ]);
      const patient = await care.getPatient(scope, id);
      assert.deepEqual([patient.phone, patient.lastName, patient.version], ['+12125550123', 'King', 4]);
    }),
  );
});

describe('rebuildSearchIndex', () => {
  const entries = async () => {
    const [row] = await asSuperuser<{ count: number }>(
      `select (select count(*) from patient_search_entries_0)::int + (select count(*) from patient_search_entries_1)::int as count`,
    );
    return row?.count;
  };

  test(
    'leaves behind what renamed and erased patients had, and keeps everybody else',
    committed(async (scope) => {
      const admin = as(scope, 'admin');
      const lastName = ownName();
      const make = (firstName: string) => care.createPatient(scope, { firstName, lastName });
      const [kept, renamed, deleted, erased] = [
        await make('Ann'),
        await make('Bob'),
        await make('Cleo'),
        await make('Dan'),
      ];
      await care.updatePatient(scope, renamed.id, { firstName: 'Rob' });
      await care.deletePatient(scope, deleted.id);
      await care.erasePatient(admin, erased.id);
      const [{ live } = { live: 0 }] = await asSuperuser<{ live: number }>(
        'select count(*)::int as live from patients where search_id is not null',
      );
      const { items } = await care.searchPatients(scope, { query: lastName, first: 1 });

      const progress: care.Progress[] = [];
      assert.equal(await care.rebuildSearchIndex(admin, (step) => progress.push(step)), live);
      assert.deepEqual(progress.at(-1), { done: live, total: live });
      assert.equal(await entries(), 32 * live);
      assert.deepEqual(await searchAll(scope, lastName), [renamed.id, kept.id]);
      await care.restorePatient(scope, deleted.id);
      assert.deepEqual(await searchAll(scope, lastName), [deleted.id, renamed.id, kept.id]);
      const older = care.searchPatients(scope, { query: lastName, after: items[0]?.cursor });
      await assert.rejects(older, care.SearchExpired);
    }),
  );

  test(
    'carries on after it was broken off, and again later',
    committed(async (scope) => {
      const lastName = ownName();
      const records = Array.from({ length: 1200 }, (_, i) => ({
        externalId: `${lastName}-${i}`,
        firstName: 'Ann',
        lastName,
      }));
      for (const from of [0, 400, 800]) await care.importPatients(asSystem(scope), records.slice(from, from + 400));
      const all = (await searchAll(scope, lastName)).toSorted();
      const brokenOff = care.rebuildSearchIndex(asSystem(scope), () => {
        throw new Error('broken off');
      });
      await assert.rejects(brokenOff, /broken off/);
      assert.deepEqual((await searchAll(scope, lastName)).toSorted(), all);
      const rest = await care.rebuildSearchIndex(asSystem(scope));
      assert.ok(rest >= 700 && rest < 1200, String(rest));
      assert.deepEqual((await searchAll(scope, lastName)).toSorted(), all);
      assert.ok((await care.rebuildSearchIndex(asSystem(scope))) >= 1200);
      assert.deepEqual((await searchAll(scope, lastName)).toSorted(), all);
    }),
  );

  test(
    'misses nobody who is created, renamed, deleted or restored meanwhile, nor does a search',
    committed(async (scope) => {
      const system = asSystem(scope);
      const [lastName, before, after] = [ownName(), ownName(), ownName()];
      const standing = await care.createPatient(scope, { firstName: before, lastName });
      const renamed = await Promise.all(
        Array.from({ length: 10 }, () => care.createPatient(scope, { firstName: before, lastName })),
      );
      const rebuild = { ended: false };
      const rebuilt = Promise.all([care.rebuildSearchIndex(system), care.rebuildSearchIndex(system)]).finally(() => {
        rebuild.ended = true;
      });
      const created: string[] = [];
      for (const { id } of renamed) {
        const [patient] = await Promise.all([
          care.createPatient(scope, { firstName: after, lastName }),
          care.updatePatient(scope, id, { firstName: after }),
        ]);
        created.push(patient.id);
        assert.ok((await searchAll(scope, before)).includes(standing.id));
      }
      while (!rebuild.ended) assert.ok((await searchAll(scope, before)).includes(standing.id));
      await rebuilt;
      assert.deepEqual(await searchAll(scope, before), [standing.id]);
      const expected = [...created, ...renamed.map(({ id }) => id)].toSorted();
      assert.deepEqual((await searchAll(scope, `${after} ${lastName}`)).toSorted(), expected);
    }),
  );
});
