import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem } from '#platform/scope';
import { as, asSuperuser, committed } from './support/testing.ts';

const CHANGES: readonly [what: string, change: string, undo: string, says: string][] = [
  [
    'a trigger of somebody else',
    'create trigger a before insert on audit_entries for each row execute function suppress_redundant_updates_trigger()',
    'drop trigger a on audit_entries',
    'trigger a on audit_entries is not ours',
  ],
  [
    'one of ours that is switched off',
    'alter table audit_leaves disable trigger no_delete',
    'alter table audit_leaves enable trigger no_delete',
    'trigger no_delete on audit_leaves is missing or switched off',
  ],
  [
    'a rule',
    'create rule a as on insert to audit_entries where new.action is null do instead nothing',
    'drop rule a on audit_entries',
    'rule a on audit_entries is not ours',
  ],
  [
    'row-level security that is switched off',
    'alter table audit_subjects disable row level security',
    'alter table audit_subjects enable row level security',
    'row-level security of audit_subjects is switched off',
  ],
  [
    'another default',
    "alter table audit_entries alter transaction_id set default '3'",
    'alter table audit_entries alter transaction_id set default pg_current_xact_id()',
    'default of transaction_id on audit_entries is not ours',
  ],
];

describe('foreignGuards', () => {
  for (const [what, change, undo, says] of CHANGES) {
    test(
      `names ${what}`,
      committed(async (scope) => {
        assert.deepEqual(await audit.foreignGuards(asSystem(scope)), []);
        await asSuperuser(change);
        assert.deepEqual(await audit.foreignGuards(asSystem(scope)), [says]);
        await asSuperuser(undo);
      }),
    );
  }

  test(
    'is for the system',
    committed(async (scope) => {
      await assert.rejects(audit.foreignGuards(as(scope, 'admin')), Forbidden);
    }),
  );
});
