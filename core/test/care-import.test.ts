import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import * as care from '#care';
import { Forbidden } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';
import { eventsSoFar } from './support/patients.ts';
import { NOW, as, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const record = (externalId: string, more: Partial<care.ImportedPatient> = {}): care.ImportedPatient => ({
  externalId,
  firstName: 'Ada',
  lastName: 'Lovelace',
  ...more,
});

const runAs = (scope: Scope) => as(scope, 'system');

async function outcomes(scope: Scope, records: readonly care.ImportedPatient[]): Promise<string[]> {
  return (await care.importPatients(runAs(scope), records)).map((result) =>
    result.outcome === 'refused' ? result.issues.map(({ path }) => path.join('.')).join() : result.outcome,
  );
}

describe('importPatients', () => {
  test(
    'creates, then changes nothing, then updates what changed',
    sandboxed(async (scope) => {
      const records = [
        record('a', { email: 'a@example.test', phone: '212 555 0123', dateOfBirth: '1980-03-08', notes: 'n' }),
        record('b', { firstName: 'Bea', status: 'DECEASED', address: { lines: ['1 Main St'] } }),
      ];
      assert.deepEqual(await outcomes(scope, records), ['created', 'created']);
      const a = await care.findByExternalId(scope, 'a');
      assert.ok(a);
      assertSame(await care.getPatient(scope, a.id), a);
      assert.equal((await care.findByExternalId(scope, 'b'))?.status, 'DECEASED');

      const later = { ...scope, now: NOW.add({ hours: 1 }) };
      assert.deepEqual(await outcomes(later, records), ['unchanged', 'unchanged']);
      assertSame(await care.findByExternalId(scope, 'a'), a);

      const changed = [record('a', { email: 'a@example.test', phone: null, lastName: 'King' }), records[1] as never];
      assert.deepEqual(await outcomes(later, changed), ['updated', 'unchanged']);
      const updated = { ...a, lastName: 'King', phone: null, version: 2, updatedAt: later.now };
      assertSame(await care.findByExternalId(scope, 'a'), updated);
      assert.equal((await care.patientDetails(scope, a.id)).notes, 'n');
      const found = async (query: string) =>
        (await care.searchPatients(scope, { query })).items.map(({ node }) => node.id);
      assert.deepEqual(
        [await found('king'), await found('ada lovelace'), await found('bea')],
        [[a.id], [], [(await care.findByExternalId(scope, 'b'))?.id]],
      );
    }),
  );

  test(
    'refuses bad records by themselves, with every issue and its path',
    sandboxed(async (scope) => {
      const records = [
        record('a'),
        record('b', { firstName: '', phone: '12', dateOfBirth: '2099-01-01' }),
        { lastName: 'Nobody' } as care.ImportedPatient,
        null as unknown as care.ImportedPatient,
        record('c'),
      ];
      assert.deepEqual(await outcomes(scope, records), [
        'created',
        'dateOfBirth,firstName,phone',
        'firstName,externalId',
        '',
        'created',
      ]);
      assert.equal((await care.patients(scope)).items.length, 2);
    }),
  );

  test(
    'refuses an e-mail address that another live patient has, here or earlier in the batch',
    sandboxed(async (scope) => {
      await care.createPatient(scope, { firstName: 'Ada', lastName: 'Li', email: 'taken@example.test' });
      const records = [
        record('a', { email: 'taken@example.test' }),
        record('b', { email: 'new@example.test' }),
        record('c', { email: ' NEW@example.test' }),
      ];
      assert.deepEqual(await outcomes(scope, records), ['email', 'created', 'email']);
      assert.deepEqual(await outcomes(scope, [record('b', { email: 'taken@example.test' })]), ['email']);
      assert.deepEqual(await outcomes(scope, [record('b', { email: null })]), ['updated']);
      assert.deepEqual(await outcomes(scope, records), ['email', 'updated', 'email']);
    }),
  );

  test(
    'takes an id that occurs again as a change of the first',
    sandboxed(async (scope) => {
      const records = [record('a'), record('a'), record('a', { lastName: 'King' }), record('b')];
      assert.deepEqual(await outcomes(scope, records), ['created', 'unchanged', 'updated', 'created']);
      assert.equal((await care.findByExternalId(scope, 'a'))?.lastName, 'King');
    }),
  );

  test(
    'does not undo what people changed here as long as the source stays the same',
    sandboxed(async (scope) => {
      await outcomes(scope, [record('a', { phone: '212 555 0123' })]);
      const { id } = (await care.findByExternalId(scope, 'a')) as care.Patient;
      await care.updatePatient(scope, id, { phone: '212 555 0124' });
      assert.deepEqual(await outcomes(scope, [record('a', { phone: '212 555 0123' })]), ['unchanged']);
      assert.deepEqual(await outcomes(scope, [record('a', { phone: '212 555 0124' })]), ['unchanged']);
      const patient = await care.getPatient(scope, id);
      assert.deepEqual([patient.phone, patient.version], ['+12125550124', 2]);
    }),
  );

  test(
    'keeps a deleted patient deleted and an erased one erased: who is brought again is somebody new',
    sandboxed(async (scope) => {
      await outcomes(scope, [record('a'), record('b')]);
      const [a, b] = [await care.findByExternalId(scope, 'a'), await care.findByExternalId(scope, 'b')];
      assert.ok(a && b);
      await care.deletePatient(scope, a.id);
      await care.erasePatient(as(scope, 'admin'), b.id);
      const changed = [record('a', { lastName: 'King' }), record('b', { lastName: 'King' })];
      assert.deepEqual(await outcomes(scope, changed), ['updated', 'created']);
      const [again] = (await care.patients(scope)).items;
      assert.deepEqual([again?.node.externalId, again?.node.version], ['b', 1]);
      assert.equal(await care.findPatient(scope, b.id), null);
      assert.equal((await care.restorePatient(scope, a.id)).lastName, 'King');
    }),
  );

  test(
    'is on record with the ids that were written, and each has its event',
    sandboxed(async (scope) => {
      await outcomes(scope, [record('a'), record('b')]);
      await outcomes(scope, [record('a'), record('b', { lastName: 'King' })]);
      await outcomes(scope, [record('a')]);
      const [a, b] = [await care.findByExternalId(scope, 'a'), await care.findByExternalId(scope, 'b')];
      assert.ok(a && b);
      const { items } = await audit.list(as(scope, 'auditor'), { action: 'patient.import' });
      assert.deepEqual(
        items.map(({ node }) => node.resourceIds.toSorted()),
        [[b.id], [a.id, b.id].toSorted()],
      );
      assert.deepEqual(
        (await eventsSoFar(scope)).map(({ topic, payload }) => [topic, (payload as { patientId: string }).patientId]),
        [
          ['patient.created', a.id],
          ['patient.created', b.id],
          ['patient.updated', b.id],
        ],
      );
    }),
  );

  test(
    'goes into the transaction of its caller',
    sandboxed(async (scope) => {
      const undone = transact(runAs(scope), async (scope) => {
        await care.importPatients(scope, [record('a')]);
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      assert.equal(await care.findByExternalId(scope, 'a'), null);
      await assert.rejects(care.importPatients(scope, [record('a')]), Forbidden);
    }),
  );
});
