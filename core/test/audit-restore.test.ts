import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import { asSystem } from '#platform/scope';
import { committed } from './support/testing.ts';
import { places, sealed, tamper, writeEntries } from './support/audit.ts';

describe('a trail restored into a cluster that counts its transactions anew', () => {
  test(
    'is sealed on, what was waiting first of all and what is new, and stays whole',
    committed(async (scope) => {
      const system = asSystem(scope);
      await writeEntries(scope, 20);
      await sealed(scope);
      await writeEntries(scope, 5);
      // To the old entries it looks as if the counter had been set back by a billion.
      await tamper(`update audit_entries set transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8`);
      assert.equal((await audit.verify(system)).firstBad, null);
      await sealed(scope);
      assert.equal((await places()).length, 26);
      await writeEntries(scope, 5);
      await sealed(scope);
      await writeEntries(scope, 5);
      await sealed(scope);
      assert.equal((await places()).length, 36);
      const { checked, unsealed, firstBad } = await audit.verify(system);
      assert.deepEqual([checked, unsealed, firstBad], [36, 0, null]);
    }),
  );
});
