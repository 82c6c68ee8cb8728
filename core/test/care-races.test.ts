import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import { aPatient, searchAll } from './support/patients.ts';
import { as, committed } from './support/testing.ts';

/** Letters that no other test of this file uses. */
let given = 0;
const ownName = () => `Zq${String.fromCharCode(97 + (given % 26), 97 + Math.floor(given++ / 26))}`;

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
    'create patients of the same many words, forwards and backwards: all succeed, and each is found once',
    committed(async (scope) => {
      // Words that are new to everybody, again and again: that is where two could wait for each other in a circle.
      for (let round = 0; round < 4; round++) {
        const words = Array.from({ length: 12 }, ownName);
        const names = [words.join(' '), words.toReversed().join(' ')] as const;
        const created = await Promise.all(
          Array.from({ length: 64 }, (_, i) =>
            care.createPatient(scope, { firstName: names[i % 2 ? 0 : 1], lastName: names[i % 2 ? 1 : 0].slice(0, 11) }),
          ),
        );
        const ids = created.map(({ id }) => id).toSorted();
        for (const query of [words[0], `${words[5]} ${words[2]}`]) {
          assert.deepEqual((await searchAll(scope, query as string)).toSorted(), ids);
        }
      }
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
