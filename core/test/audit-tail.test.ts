import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem } from '#platform/scope';
import { keepTrail, sealed, tamper, writeEntries } from './support/audit.ts';
import { as, NOW, testScope } from './support/testing.ts';

const scopeAt = (minutes: number) => asSystem(testScope({ now: NOW.add({ minutes }) }));
const tail = (head: audit.SignedHead | null) => audit.verifyTail(scopeAt(60), head);

describe('verifyTail', () => {
  let head: audit.SignedHead;
  let restore: () => Promise<void>;

  before(async () => {
    for (let batch = 0; batch < 2; batch++) {
      await writeEntries(scopeAt(batch), 30);
      head = await sealed(scopeAt(batch));
    }
  });
  beforeEach(async () => {
    restore = await keepTrail();
  });
  afterEach(() => restore());

  test('passes a trail that has grown since the head was kept', async () => {
    await tail(head);
    await writeEntries(scopeAt(2), 1);
    await sealed(scopeAt(2));
    await tail(head);
    await tail(null);
  });

  const cut = (from: number) => `
    delete from audit_entries where id in (select entry_id from audit_leaves where leaf_index >= ${from});
    delete from audit_leaves where leaf_index >= ${from}`;

  test('names a tail that was cut off together with its heads, by the head alone', async () => {
    await tamper(`${cut(30)}; delete from audit_heads where size > 30`);
    await tail(null);
    await assert.rejects(tail(head), audit.TrailDamaged);
  });

  const DAMAGES: Record<string, string> = {
    'a tail that was cut off but for its heads': cut(50),
    'entries that are gone': cut(50).split(';')[0] as string,
    'an entry that was edited': `update audit_entries set action = 'x' where id = (select entry_id from audit_leaves where leaf_index = 40)`,
    'a head that is not ours': `update audit_heads set root = sha256('x') where size = 60`,
    'a trail that was emptied': `truncate audit_entries, audit_leaves, audit_nodes, audit_heads`,
  };
  for (const [what, statement] of Object.entries(DAMAGES)) {
    test(`names ${what}`, async () => {
      await tamper(statement);
      await assert.rejects(tail(head), audit.TrailDamaged);
    });
  }

  test('is for the system', async () => {
    await assert.rejects(audit.verifyTail(as(scopeAt(60), 'auditor'), head), Forbidden);
  });
});
