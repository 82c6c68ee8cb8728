import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import { Forbidden } from '#platform/errors';
import { rotateKeys } from '#platform/rotation';
import { type Scope, asSystem } from '#platform/scope';
import { type Key, VaultError, keyIdOf, keyRing, vault } from '#platform/vault';
import { aPatient } from './support/patients.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const secret = randomBytes(32);
const newKey = (id: number): Key => ({ id, bytes: randomBytes(32) });

/** As a process that was started with these keys: it remembers nothing. */
const withKeys = (scope: Scope, ...keys: [Key, ...Key[]]): Scope => ({ ...scope, vault: vault(keyRing(keys), secret) });

async function create(scope: Scope, count: number): Promise<string[]> {
  const created = await Promise.all(Array.from({ length: count }, () => care.createPatient(scope, aPatient())));
  return created.map(({ id }) => id);
}

const wrappers = async () =>
  (await asSuperuser<{ data_key: Buffer }>('select data_key from patients where data_key is not null')).map(
    ({ data_key }) => keyIdOf(data_key),
  );

describe('rotateKeys', () => {
  test(
    'wraps every data key anew while patients are read, created, changed and erased, and then the old key is not needed',
    committed(async (plain) => {
      const [old, young] = [newKey(1), newKey(2)];
      const before = withKeys(plain, old);
      const ids = await create(before, 60);
      const both = withKeys(plain, young, old);

      const rotation = { ended: false };
      const progress: { done: number; total: number }[] = [];
      const rotated = rotateKeys(asSystem(both), [care.wrappedKeys], {
        batch: 7,
        onProgress: (step) => progress.push(step),
      }).finally(() => {
        rotation.ended = true;
      });
      const erased = ids.pop() as string;
      const users = [
        care.erasePatient(as(both, 'admin'), erased),
        create(both, 5).then((created) => ids.push(...created)),
        ...ids.slice(0, 20).map((id) => care.updatePatient(both, id, { lastName: 'King', phone: '212 555 0123' })),
      ];
      while (!rotation.ended) for (const id of ids.slice(0, 5)) await care.getPatient(both, id);
      await Promise.all(users);
      assert.ok((await rotated) >= 59);
      assert.deepEqual(progress.at(-1)?.done, progress.at(-1)?.total);
      assert.ok(progress.length >= 8);

      // Nobody wrote with the old key meanwhile; a second run finds nothing.
      assert.equal(await rotateKeys(asSystem(both), [care.wrappedKeys]), 0);
      assert.ok((await wrappers()).every((id) => id === 2));
      const restarted = withKeys(plain, young);
      for (const id of ids) assert.match((await care.getPatient(restarted, id)).lastName, /^(King|Lovelace)$/);
      await care.updatePatient(restarted, ids[0] as string, { firstName: 'Augusta' });
      assert.equal((await care.getPatient(restarted, ids[0] as string)).version, 3);
      assert.equal(await care.findPatient(restarted, erased), null);
      await assert.rejects(care.getPatient(withKeys(plain, old), ids[0] as string), VaultError);
      await Promise.all([...ids].map((id) => care.erasePatient(as(restarted, 'admin'), id)));
    }),
  );

  test(
    'carries on after it was broken off',
    committed(async (plain) => {
      const [old, young] = [newKey(3), newKey(4)];
      const ids = await create(withKeys(plain, old), 20);
      const both = asSystem(withKeys(plain, young, old));
      const brokenOff = rotateKeys(both, [care.wrappedKeys], {
        batch: 6,
        onProgress: () => {
          throw new Error('broken off');
        },
      });
      await assert.rejects(brokenOff, /broken off/);
      assert.equal((await wrappers()).filter((id) => id === 4).length, 6);
      assert.equal(await rotateKeys(both, [care.wrappedKeys], { batch: 6 }), 14);
      for (const id of ids) await care.getPatient(withKeys(plain, young), id);
      await Promise.all(ids.map((id) => care.erasePatient(as(withKeys(plain, young), 'admin'), id)));
    }),
  );

  test(
    'stops at a key whose wrapper is missing from the ring, and changes nothing of its batch',
    committed(async (plain) => {
      const [lost, young] = [newKey(5), newKey(6)];
      await create(withKeys(plain, lost), 2);
      await assert.rejects(rotateKeys(asSystem(withKeys(plain, young)), [care.wrappedKeys]), VaultError);
      assert.deepEqual(await wrappers(), [5, 5]);
    }),
  );

  test(
    'is for the system alone',
    sandboxed(async (scope) => {
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        await assert.rejects(rotateKeys(as(scope, role), [care.wrappedKeys]), Forbidden);
      }
    }),
  );
});
