import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '#care';
import { asSystem } from '#platform/scope';
import { searchAll } from './support/patients.ts';
import { as, asSuperuser, committed } from './support/testing.ts';

/** Letters that no other test of this file uses. */
let given = 0;
const ownName = () => `Zq${String.fromCharCode(97 + (given % 26), 97 + Math.floor(given++ / 26))}`;

describe('rebuildSearchIndex', () => {
  const count = async (what: string) => {
    const [row] = await asSuperuser<{ count: number }>(`select count(*)::int as count from ${what}`);
    return row?.count ?? 0;
  };
  const indexed = () => count('patients where search_id is not null');
  const entries = async () => (await count('patient_search_entries_0')) + (await count('patient_search_entries_1'));

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
      const live = await indexed();
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
      const live = await indexed();
      assert.equal(await care.rebuildSearchIndex(asSystem(scope)), live - 500);
      assert.deepEqual((await searchAll(scope, lastName)).toSorted(), all);
      assert.equal(await care.rebuildSearchIndex(asSystem(scope)), live);
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
