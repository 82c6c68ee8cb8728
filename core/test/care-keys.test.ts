import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { transact } from '#platform/scope';
import { VaultError } from '#platform/vault';
import { aPatient, eventsSoFar } from './support/patients.ts';
import { actor, as, committed, sandboxed } from './support/testing.ts';

const place = { table: 'visits', column: 'notes', row: randomUUID() };

describe('a patient’s key', () => {
  test(
    'opens what it sealed, at its place alone, and tells no length',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const other = await care.createPatient(scope, aPatient());
      const keys = await care.keysOf(scope, [id, other.id, randomUUID()]);
      assert.deepEqual([...keys.keys()].toSorted(), [id, other.id].toSorted());
      const sealed = keys.get(id)?.seal(place, 'afraid of "dogs"') as Buffer;
      assert.equal(keys.get(id)?.open(place, sealed), 'afraid of "dogs"');
      assert.equal(keys.get(id)?.seal(place, '').length, sealed.length);
      assert.throws(() => keys.get(id)?.open({ ...place, column: 'reason' }, sealed), VaultError);
      assert.throws(() => keys.get(other.id)?.open(place, sealed), VaultError);
    }),
  );

  test(
    'outlives deletion, not erasure; a patient has no key but their own',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const self = as(scope, actor('patient', { patientId: id }));
      assert.equal((await transact(self, (scope) => care.keysOf(scope, [id]))).size, 1);
      const other = as(scope, actor('patient', { patientId: randomUUID() }));
      assert.equal((await transact(other, (scope) => care.keysOf(scope, [id]))).size, 0);
      await care.deletePatient(scope, id);
      assert.equal((await care.keysOf(scope, [id])).size, 1);
      await care.erasePatient(as(scope, 'admin'), id);
      assert.equal((await care.keysOf(scope, [id])).size, 0);
    }),
  );
});

describe('holdPatient', () => {
  test(
    'tells how a live patient stands, also to themselves',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ timeZone: 'America/Phoenix' }));
      const self = as(scope, actor('patient', { patientId: id }));
      const { key, ...standing } = await transact(self, (scope) => care.holdPatient(scope, id));
      assert.deepEqual(standing, { patientId: id, status: 'ACTIVE', timeZone: 'America/Phoenix' });
      assert.equal(key.open(place, key.seal(place, 'x')), 'x');
      await care.deletePatient(scope, id);
      for (const gone of [id, randomUUID(), 'no-id']) await assert.rejects(care.holdPatient(scope, gone), NotFound);
    }),
  );

  test(
    'keeps everybody from deleting the patient until the transaction ends',
    committed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const order: string[] = [];
      const held = Promise.withResolvers<void>();
      const holding = transact(scope, async (scope) => {
        await care.holdPatient(scope, id);
        held.resolve();
        await sleep(100);
        order.push('released');
      });
      await held.promise;
      await care.deletePatient(scope, id);
      order.push('deleted');
      await holding;
      assert.deepEqual(order, ['released', 'deleted']);
    }),
  );
});

describe('a patient’s death', () => {
  test(
    'is told once, when it is noted, by hand or by import',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      await care.updatePatient(scope, id, { status: 'DECEASED' });
      await care.updatePatient(scope, id, { status: 'DECEASED', language: 'es' });
      const record = { externalId: 'x', firstName: 'Ada', lastName: 'King' };
      const [imported] = await care.importPatients(as(scope, 'admin'), [record]);
      await care.importPatients(as(scope, 'admin'), [{ ...record, status: 'DECEASED' }]);
      const told = (await eventsSoFar(scope)).filter(({ topic }) => topic === 'patient.deceased');
      assert.ok(imported && 'patientId' in imported);
      assert.deepEqual(
        told.map(({ payload }) => payload),
        [{ patientId: id }, { patientId: imported.patientId }],
      );
    }),
  );
});
