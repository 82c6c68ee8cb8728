import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import * as audit from '#audit';
import { leafHash, merkleRoot } from '@careflex/core/audit/merkle';
import { Forbidden } from '#platform/errors';
import { asSystem, transact } from '#platform/scope';
import { as, asSuperuser, committed, NOW } from './support/testing.ts';
import { sealed, writeEntries } from './support/audit.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'careflex-head-'));
after(() => rmSync(directory, { recursive: true }));

const leaves = () =>
  asSuperuser<{ leaf_index: string; leaf_hash: Buffer; entry_id: string }>(
    'select leaf_index, leaf_hash, entry_id from audit_leaves order by leaf_index',
  );

describe('seal', () => {
  test(
    'numbers committed entries without a gap in the order of their transactions, and signs their root',
    committed(async (scope) => {
      const undone = transact(scope, async (scope) => {
        await audit.record(scope, { action: 'undone', resourceType: 'Test' });
        throw new Error('undone');
      });
      await assert.rejects(undone);
      for (let batch = 0; batch < 5; batch++) {
        await writeEntries(scope, 60 + batch);
        await sealed(scope);
      }
      const rows = await leaves();
      assert.deepEqual(
        rows.map((row) => Number(row.leaf_index)),
        Array.from({ length: 310 }, (_, i) => i),
      );
      const inOrder = await asSuperuser('select id as entry_id from audit_entries order by transaction_id, id');
      assert.deepEqual(
        rows.map(({ entry_id }) => ({ entry_id })),
        inOrder,
      );
      const { head } = await audit.seal(asSystem(scope));
      assert.equal(head?.size, 310);
      assert.equal(head?.root, merkleRoot(rows.map((row) => row.leaf_hash)).toString('hex'));
      assert.equal((await asSuperuser('select from audit_heads')).length >= 5, true);
    }),
  );

  test(
    'has one caller at a time, and none of them seals an entry twice',
    committed(async (scope) => {
      await writeEntries(scope, 500);
      await Promise.all(Array.from({ length: 8 }, () => sealed(scope)));
      const [counts] = await asSuperuser(
        `select count(*)::int as leaves, count(distinct entry_id)::int as entries, max(leaf_index)::int + 1 as size,
          (select count(*)::int from audit_entries) as all from audit_leaves`,
      );
      assert.equal(counts?.['leaves'], counts?.['all']);
      assert.equal(counts?.['entries'], counts?.['all']);
      assert.equal(counts?.['size'], counts?.['all']);
    }),
  );

  test(
    'goes on while somebody searches names',
    committed(async (scope) => {
      await writeEntries(scope, 1);
      await transact(scope, async ({ db }) => {
        await sql`select use_patient_search()`.execute(db);
        const first = await Promise.race([sealed(scope), sleep(5_000, 'waits for the search')]);
        assert.notEqual(first, 'waits for the search');
      });
    }),
  );

  test(
    'waits for a transaction that began before, so that nothing appears later behind a sealed point',
    committed(async (scope) => {
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      let began = (): void => undefined;
      const begun = new Promise<void>((resolve) => (began = resolve));
      const slow = transact(scope, async (scope) => {
        await audit.record(scope, { action: 'slow', resourceType: 'Test' });
        // The entry is written with the next statement.
        await sql`select`.execute(scope.db);
        began();
        await finished;
      });
      await begun;
      await writeEntries(scope, 3);
      assert.equal((await audit.seal(asSystem(scope))).sealed, 0);
      assert.ok((await audit.sealLag({ ...asSystem(scope), now: NOW.add({ seconds: 7 }) })) >= 7);
      finish();
      await slow;
      await sealed(scope);
      const order = await asSuperuser<{ action: string }>(
        'select action from audit_leaves join audit_entries on id = entry_id order by leaf_index desc limit 4',
      );
      assert.equal(order.at(-1)?.action, 'slow');
      assert.equal(await audit.sealLag(asSystem(scope)), 0);
    }),
  );

  test(
    'leaves the newest head in a file, and goes on from it',
    committed(async (scope) => {
      const headFile = path.join(directory, 'head.json');
      await writeEntries(scope, 2);
      const first = await sealed(scope, headFile);
      assert.deepEqual(JSON.parse(readFileSync(headFile, 'utf8')), first);
      await writeEntries(scope, 2);
      const second = await sealed(scope, headFile);
      assert.equal(second.size, first.size + 2);
      assert.deepEqual(JSON.parse(readFileSync(headFile, 'utf8')), second);
      assert.deepEqual(readdirSync(directory), ['head.json']);
    }),
  );

  test(
    'stops, and leaves the file as it is, when the head outside is not in the database',
    committed(async (scope) => {
      const headFile = path.join(directory, 'other.json');
      await writeEntries(scope, 2);
      const head = await sealed(scope, headFile);
      const foreign = `${JSON.stringify({ ...head, size: head.size + 1 })}\n`;
      writeFileSync(headFile, foreign);
      await writeEntries(scope, 1);
      await assert.rejects(audit.seal(asSystem(scope), { headFile }), audit.TrailDamaged);
      assert.equal(readFileSync(headFile, 'utf8'), foreign);
      assert.ok((await audit.sealLag({ ...asSystem(scope), now: NOW.add({ seconds: 7 }) })) >= 7);
      await sealed(scope);
    }),
  );

  test(
    'does not vouch for an entry that the platform did not write',
    committed(async (scope) => {
      const forged = randomUUID();
      await asSuperuser(
        `insert into audit_entries (id, at, user_id, user_role, action, resource_type, resource_ids, patient_ids,
          changed_fields, outcome, request_id, mac)
         values ($1, now(), $1, 'admin', 'forged', 'Test', '{}', '{}', '{}', 'SUCCESS', 'r', $2)`,
        [forged, leafHash(Buffer.alloc(0))],
      );
      await writeEntries(scope, 1);
      const refused: string[] = [];
      let count = 0;
      while (count === 0) {
        const result = await audit.seal(asSystem(scope));
        count += result.sealed;
        refused.push(...result.refused);
      }
      assert.equal(count, 1);
      assert.ok(refused.includes(forged));
      assert.deepEqual((await audit.seal(asSystem(scope))).refused, []);
    }),
  );

  test(
    'is refused to everybody but the system',
    committed(async (scope) => {
      await writeEntries(scope, 1);
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        await assert.rejects(audit.seal(as(scope, role)), Forbidden);
      }
      await sealed(scope);
    }),
  );
});

describe('a list', () => {
  test(
    'shows the place of an entry in the sealed trail',
    committed(async (scope) => {
      const [id] = await writeEntries(scope, 1);
      const [{ node: before } = { node: null }] = (await audit.list(as(scope, 'auditor'), { resourceId: id })).items;
      assert.equal(before?.sequence, -1);
      await sealed(scope);
      const [{ node } = { node: null }] = (await audit.list(as(scope, 'auditor'), { resourceId: id })).items;
      const [leaf] = await asSuperuser<{ at: number }>(
        'select leaf_index::int as at from audit_leaves where entry_id = $1',
        [node?.id],
      );
      assert.equal(node?.sequence, leaf?.at);
    }),
  );
});
