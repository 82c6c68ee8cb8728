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
    'create patients of names that an import brings at the same time: all succeed, and each is found once',
    committed(async (scope) => {
      // Words that are new to everybody: that is where two could wait for each other in a circle.
      const words = Array.from({ length: 60 }, ownName);
      const nameAt = (i: number) => Array.from({ length: 6 }, (_, n) => words[(i * (n + 3) + n) % 60]).join(' ');
      const records = Array.from({ length: 300 }, (_, i) => ({
        externalId: `${words[0]}-${i}`,
        firstName: `Uno ${nameAt(i)}`,
        lastName: nameAt(i + 1),
      }));
      const importing = { ended: false };
      const imported = care.importPatients(as(scope, 'admin'), records).finally(() => {
        importing.ended = true;
      });
      const ids: string[] = [];
      const create = async (from: number) => {
        for (let i = from; !importing.ended; i += 8) {
          const { id } = await care.createPatient(scope, { firstName: `Uno ${nameAt(i)}`, lastName: nameAt(i + 5) });
          ids.push(id);
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, i) => create(i)));
      ids.push(...(await imported).map((result) => ('patientId' in result ? result.patientId : result.outcome)));
      assert.deepEqual((await searchAll(scope, 'uno')).toSorted(), ids.toSorted());
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
