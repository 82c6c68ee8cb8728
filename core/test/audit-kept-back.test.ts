import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem, transact } from '#platform/scope';
import { as, asSuperuser, committed } from './support/testing.ts';
import { sealed, writeEntries } from './support/audit.ts';

/** A superuser's way to keep what is written meanwhile from being sealed. */
async function passedOver(write: () => Promise<unknown>): Promise<string> {
  await asSuperuser(`
    create function pass_over() returns trigger language plpgsql as $$
      begin new.transaction_id := '3'; return new; end $$;
    create trigger a_pass_over before insert on audit_entries for each row execute function pass_over()`);
  await write();
  await asSuperuser('drop trigger a_pass_over on audit_entries; drop function pass_over()');
  const [entry] = await asSuperuser<{ id: string }>(
    `select id from audit_entries where transaction_id = '3' order by id desc`,
  );
  return entry?.id ?? '';
}

describe('an entry that a superuser keeps behind what is sealed', () => {
  test(
    'is sealed late all the same, and verify names it',
    committed(async (scope) => {
      const system = asSystem(scope);
      await writeEntries(scope, 2);
      await sealed(scope);
      const id = await passedOver(() => writeEntries(scope, 1));
      assert.equal((await audit.verify(system)).firstBad?.entryId, id);
      assert.ok((await audit.sealLag({ ...system, now: scope.now.add({ seconds: 20 }) })) >= 20);

      assert.deepEqual((await audit.seal(system, { lookBack: true })).late, [id]);
      assert.deepEqual((await audit.seal(system, { lookBack: true })).late, []);
      const head = await sealed(scope);
      const { firstBad } = await audit.verify(system, { trustedHead: head });
      assert.deepEqual([firstBad?.kind, firstBad?.entryId], ['delayed', id]);
    }),
  );
});

describe('settle', () => {
  test(
    'seals what the process wrote before it forgets it',
    committed(async (scope) => {
      const system = asSystem(scope);
      await writeEntries(scope, 3);
      const id = await passedOver(() => writeEntries(scope, 1));
      assert.equal(await audit.settle(system, { withinMs: 10_000, lookBack: true }), 0);
      const [row] = await asSuperuser<{ sealed: boolean }>(
        `select exists (select from audit_leaves where entry_id = '${id}') as sealed`,
      );
      assert.equal(row?.sealed, true);
    }),
  );

  test(
    'tells how many entries still wait when its time is up',
    committed(async (scope) => {
      await writeEntries(scope, 2);
      await transact(scope, async (open) => {
        await sql`select pg_current_xact_id()`.execute(open.db);
        await writeEntries(scope, 1);
        assert.ok((await audit.settle(asSystem(scope), { withinMs: 1 })) >= 1);
      });
      assert.equal(await audit.settle(asSystem(scope), { withinMs: 10_000 }), 0);
    }),
  );

  test(
    'is for the system',
    committed(async (scope) => {
      await writeEntries(scope, 1);
      await assert.rejects(audit.settle(as(scope, 'admin'), { withinMs: 1 }), Forbidden);
    }),
  );
});
