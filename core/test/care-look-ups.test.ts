import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import * as care from '#care';
import { Forbidden, InvalidInput } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { aPatient } from './support/patients.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const idsOf = ({ items }: Awaited<ReturnType<typeof care.patients>>) => items.map(({ node }) => node.id);

async function several(scope: Scope, count: number, more: Partial<care.NewPatient> = {}): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await care.createPatient(scope, aPatient(more))).id);
  return ids;
}

async function entriesOf(scope: Scope, action: string) {
  const { items } = await audit.list(as(scope, 'auditor'), { action });
  return items.map(({ node }) => ({ id: node.resourceId, ids: node.resourceIds, outcome: node.outcome }));
}

describe('patients', () => {
  test(
    'pages through all of them in the order in which they came, and a page is on record with its ids',
    sandboxed(async (scope) => {
      const ids = await several(scope, 5);
      const first = await care.patients(scope, { first: 2 });
      assert.deepEqual(idsOf(first), ids.slice(0, 2));
      assert.equal(first.hasNextPage, true);
      await care.deletePatient(scope, ids[1] as string);
      const second = await care.patients(scope, { first: 3, after: first.items[1]?.cursor });
      assert.deepEqual(idsOf(second), ids.slice(2));
      assert.equal(second.hasNextPage, false);
      assert.deepEqual(
        (await entriesOf(scope, 'patient.list')).map((entry) => entry.ids),
        [ids.slice(2), ids.slice(0, 2)],
      );
    }),
  );

  test(
    'can be narrowed by status',
    sandboxed(async (scope) => {
      const [active] = await several(scope, 1);
      const [deceased] = await several(scope, 1, { status: 'DECEASED' });
      const [suspended] = await several(scope, 1, { status: 'SUSPENDED' });
      assert.deepEqual(idsOf(await care.patients(scope, { status: ['DECEASED'] })), [deceased]);
      assert.deepEqual(idsOf(await care.patients(scope, { status: ['SUSPENDED', 'ACTIVE'] })), [active, suspended]);
      assert.deepEqual(idsOf(await care.patients(scope, { status: [] })), []);
      await assert.rejects(care.patients(scope, { status: ['GONE' as 'ACTIVE'], first: 0 }), (error) => {
        return error instanceof InvalidInput && error.issues.length === 2;
      });
      await assert.rejects(care.patients(scope, { after: 'x' }), InvalidInput);
    }),
  );
});

describe('findPatient, getPatient and patientsByIds', () => {
  test(
    'answer nothing for an id that nobody has, or that is none',
    sandboxed(async (scope) => {
      for (const id of [randomUUID(), 'x', '', '\0']) {
        assert.equal(await care.findPatient(scope, id), null);
        assert.equal((await care.patientsByIds(scope, [id])).size, 0);
      }
    }),
  );

  test(
    'load many at once, with one entry for all of them',
    sandboxed(async (scope) => {
      const ids = await several(scope, 3);
      const found = await care.patientsByIds(scope, [...ids.toReversed(), randomUUID()]);
      assert.deepEqual([...found.keys()].toSorted(), ids);
      const [entry, none] = await entriesOf(scope, 'patient.read');
      assert.deepEqual([[...(entry?.ids ?? [])].toSorted(), none], [ids, undefined]);
    }),
  );

  test(
    'show patients their own record; another is not there, and the attempt is on record',
    sandboxed(async (scope) => {
      const [own, other] = (await several(scope, 2)) as [string, string];
      const patient = as(scope, actor('patient', { patientId: own }));
      assert.equal((await care.getPatient(patient, own)).id, own);
      assert.deepEqual([...(await care.patientsByIds(patient, [own, other, '\0'])).keys()], [own]);
      assert.equal(await care.findPatient(patient, '\0'), null);
      assert.equal(await care.findPatient(patient, other), null);
      await assert.rejects(care.patientDetails(patient, other), { code: 'NOT_FOUND' });
      await assert.rejects(care.updatePatient(patient, other, { phone: null }), { code: 'NOT_FOUND' });
      const outcomes = [
        ...(await entriesOf(scope, 'patient.read')),
        ...(await entriesOf(scope, 'patient.readDetails')),
        ...(await entriesOf(scope, 'patient.update')),
      ];
      const denied = outcomes.filter(({ outcome }) => outcome === 'DENIED').map(({ id, ids }) => id ?? ids[0]);
      assert.deepEqual(denied, [other, other, other, other]);
      assert.equal(outcomes.length, 6);
    }),
  );
});

describe('patientsByPhone, patientByEmail and findByExternalId', () => {
  test(
    'find everybody who shares a phone, however it is written',
    sandboxed(async (scope) => {
      const family = await several(scope, 2, { phone: '(212) 555-0123' });
      await several(scope, 1, { phone: '(212) 555-0124' });
      for (const phone of ['+1 212 555 0123', '212.555.0123', '１２１２５５５０１２３']) {
        assert.deepEqual(
          (await care.patientsByPhone(scope, phone)).map(({ id }) => id),
          family,
        );
      }
      assert.deepEqual(await care.patientsByPhone(scope, '212 555 0199'), []);
      await assert.rejects(care.patientsByPhone(scope, 'ann'), InvalidInput);
      assert.deepEqual((await entriesOf(scope, 'patient.findByPhone')).at(-1)?.ids, family);
    }),
  );

  test(
    'find one by e-mail address or by the id of another system',
    sandboxed(async (scope) => {
      const [id] = await several(scope, 1, { email: 'ada@example.test', externalId: 'x1' });
      assert.equal((await care.patientByEmail(scope, ' ADA@example.test'))?.id, id);
      assert.equal((await care.findByExternalId(scope, 'x1'))?.id, id);
      assert.equal(await care.patientByEmail(scope, 'adam@example.test'), null);
      for (const none of ['X1', '', '\0']) assert.equal(await care.findByExternalId(scope, none), null);
      await assert.rejects(care.patientByEmail(scope, 'ada'), InvalidInput);
      for (const action of ['patient.findByEmail', 'patient.findByExternalId']) {
        assert.deepEqual(
          (await entriesOf(scope, action)).map(({ ids }) => ids),
          [[], [id]],
        );
      }
    }),
  );

  test(
    'are for staff',
    sandboxed(async (scope) => {
      const [id] = (await several(scope, 1)) as [string];
      for (const who of [actor('patient', { patientId: id }), actor('auditor')]) {
        const asWho = as(scope, who);
        await assert.rejects(care.patients(asWho), Forbidden);
        await assert.rejects(care.patientsByPhone(asWho, '212 555 0123'), Forbidden);
        await assert.rejects(care.patientByEmail(asWho, 'a@example.test'), Forbidden);
        await assert.rejects(care.findByExternalId(asWho, 'x1'), Forbidden);
        await assert.rejects(care.createPatient(asWho, aPatient()), Forbidden);
        await assert.rejects(care.importPatients(asWho, []), Forbidden);
        await assert.rejects(care.rebuildSearchIndex(asWho), Forbidden);
      }
      await assert.rejects(care.getPatient(as(scope, 'auditor'), id), Forbidden);
      await assert.rejects(care.patientsByIds(as(scope, 'auditor'), [id]), Forbidden);
    }),
  );

  test(
    'are for a machine only as far as its key goes',
    sandboxed(async (scope) => {
      const [id] = (await several(scope, 1)) as [string];
      const reader = as(scope, actor('agent', { scopes: ['patient.read'] }));
      assert.equal((await care.getPatient(reader, id)).id, id);
      await assert.rejects(care.patients(reader), Forbidden);
      await assert.rejects(care.updatePatient(reader, id, { notes: 'n' }), Forbidden);
      await assert.rejects(
        care.patientsByIds(as(scope, actor('agent', { scopes: ['patient.list'] })), [id]),
        Forbidden,
      );
    }),
  );
});

describe('patientsToRegister', () => {
  test(
    'finds live patients by e-mail address or phone who were born on that day',
    sandboxed(async (scope) => {
      const born = { dateOfBirth: '1980-03-08' };
      const phone = '212 555 0123';
      const [parent] = await several(scope, 1, { ...born, email: 'ada@example.test', phone });
      await several(scope, 1, { dateOfBirth: '2010-03-08', phone });
      await several(scope, 1, { ...born, phone, status: 'DECEASED' });
      await several(scope, 1, { phone });
      const system = as(scope, 'system');
      const match = async (input: care.Registrant) =>
        (await care.patientsToRegister(system, input)).map(({ id }) => id);
      assert.deepEqual(await match({ ...born, phone }), [parent]);
      assert.deepEqual(await match({ ...born, email: 'ADA@example.test', phone }), [parent]);
      assert.deepEqual(await match({ email: 'ada@example.test', dateOfBirth: '1980-03-09' }), []);
      assert.deepEqual(await match(born), []);
      await assert.rejects(match({ dateOfBirth: 'x', phone }), InvalidInput);
      await assert.rejects(care.patientsToRegister(as(scope, 'admin'), { ...born, phone }), Forbidden);
      assert.deepEqual((await entriesOf(scope, 'patient.match')).at(-1)?.ids, [parent]);
    }),
  );
});
