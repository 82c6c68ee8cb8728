import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem, transact } from '#platform/scope';
import { as, asSuperuser, committed } from './support/testing.ts';
import { sealed, tamper, writeEntries } from './support/audit.ts';

describe('witness', () => {
  test(
    'finds nothing amiss in what is waiting, sealed, or undone',
    committed(async (scope) => {
      await writeEntries(scope, 3);
      const undone = transact(scope, async (scope) => {
        await audit.record(scope, { action: 'undone', resourceType: 'Test' });
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      assert.deepEqual(await audit.witness(asSystem(scope)), []);
      await sealed(scope);
      assert.deepEqual(await audit.witness(asSystem(scope)), []);
    }),
  );

  test(
    'reports an entry that was deleted before it could be sealed, and verify names it',
    committed(async (scope) => {
      const system = asSystem(scope);
      await writeEntries(scope, 2);
      const [last] = await asSuperuser<{ id: string }>('select id from audit_entries order by id desc limit 1');
      await tamper(`delete from audit_entries where id = '${last?.id}'`);
      await sealed(scope);
      assert.equal((await audit.verify(system)).firstBad, null);

      assert.deepEqual(await audit.witness(system), [last?.id]);
      assert.deepEqual(await audit.witness(system), []);
      const head = await sealed(scope);
      const { firstBad } = await audit.verify(system, { trustedHead: head });
      assert.deepEqual([firstBad?.kind, firstBad?.entryId], ['deleted', last?.id]);
    }),
  );

  test(
    'counts what waits for longer than sealing ever takes',
    committed(async (scope) => {
      const later = { ...asSystem(scope), now: scope.now.add({ seconds: 31 }) };
      await sealed(scope);
      await audit.witness(later);
      await writeEntries(scope, 2);
      assert.deepEqual([audit.overdue(asSystem(scope)), audit.overdue(later)], [0, 2]);
      await sealed(scope);
      await audit.witness(later);
      assert.equal(audit.overdue(later), 0);
    }),
  );

  test(
    'is for the system',
    committed(async (scope) => {
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        await assert.rejects(audit.witness(as(scope, role)), Forbidden);
      }
    }),
  );
});
