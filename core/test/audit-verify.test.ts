import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import * as audit from '#audit';
import { leafHash } from '@careflex/core/audit/merkle';
import { Forbidden, InvalidInput } from '#platform/errors';
import { asSystem, transact } from '#platform/scope';
import { as, asSuperuser, NOW, testScope } from './support/testing.ts';
import { keepTrail, places, type Place, sealed, tamper, writeEntries } from './support/audit.ts';

const ENTRIES = 600;
/** Somewhere in the second of four batches, each under a head of its own. */
const AT = 250;

let trail: Place[];
let trustedHead: audit.SignedHead;
let restore: () => Promise<void>;

const scopeAt = (minutes: number) => asSystem(testScope({ now: NOW.add({ minutes }) }));
const idAt = (leafIndex: number) => trail[leafIndex]?.entryId ?? '';
const verify = (more: audit.VerifyOptions = {}) => audit.verify(scopeAt(60), { trustedHead, ...more });

async function firstBad(more: audit.VerifyOptions = {}): Promise<Omit<audit.Damage, 'message'> | null> {
  const { firstBad } = await verify(more);
  return firstBad && { kind: firstBad.kind, leafIndex: firstBad.leafIndex, entryId: firstBad.entryId };
}

const headsFrom = (size: number) => `delete from audit_heads where size > ${size}`;

/** What an attacker who read this code would store beside a changed entry. */
async function fitLeafHash(leafIndex: number): Promise<void> {
  const lines: string[] = [];
  await audit.exportEntries(scopeAt(60), { fromSequence: leafIndex, toSequence: leafIndex + 1 }, (line) =>
    lines.push(line),
  );
  const { entry, mac } = JSON.parse(lines[1] ?? '') as { entry: object; mac: string };
  const hash = leafHash(Buffer.concat([Buffer.from(mac, 'hex'), Buffer.from(JSON.stringify(entry))]));
  await tamper(`update audit_leaves set leaf_hash = '\\x${hash.toString('hex')}' where leaf_index = ${leafIndex}`);
}

describe('a trail of four sealed batches', () => {
  before(async () => {
    for (let batch = 0; batch < 4; batch++) {
      await writeEntries(testScope({ now: NOW.add({ minutes: batch }) }), ENTRIES / 4);
      trustedHead = await sealed(scopeAt(batch));
    }
    trail = await places();
  });
  beforeEach(async () => {
    restore = await keepTrail();
  });
  afterEach(() => restore());

  describe('verify', () => {
    test('finds a whole trail whole, and says how far it has come', async () => {
      const [pending] = await writeEntries(scopeAt(5), 1);
      assert.ok(pending);
      const progress: number[] = [];
      const result = await verify({ onProgress: (leaves) => progress.push(leaves) });
      assert.deepEqual(result, { head: trustedHead, checked: ENTRIES, pruned: 0, unsealed: 1, firstBad: null });
      assert.deepEqual(progress, [ENTRIES]);
    });

    test('finds nothing while entries are written and sealed', async () => {
      const over = new AbortController();
      const busy = async (work: () => Promise<unknown>) => {
        while (!over.signal.aborted) await work();
      };
      const others = [busy(() => writeEntries(scopeAt(5), 20)), busy(() => audit.seal(scopeAt(5)))];
      for (let i = 0; i < 5; i++) assert.equal((await verify()).firstBad, null);
      over.abort();
      await Promise.all(others);
    });

    test('goes on record with what it found', async () => {
      await tamper(`delete from audit_entries where id = '${idAt(AT)}'`);
      const auditor = as(scopeAt(60), 'auditor');
      await audit.verify(auditor);
      const { items } = await audit.list(auditor, { userId: auditor.actor.id });
      assert.deepEqual(
        items.map(({ node }) => [node.action, node.outcome]),
        [['audit.verify', 'FAILURE']],
      );
    });

    test('is for auditors and the system, and for no head of somebody else', async () => {
      for (const role of ['admin', 'agent', 'patient'] as const) {
        await assert.rejects(audit.verify(as(testScope(), role)), Forbidden);
      }
      await assert.rejects(verify({ trustedHead: { ...trustedHead, size: 1 } }), InvalidInput);
    });
  });

  describe('verify names the entry', () => {
    for (const change of [
      `at = at + interval '1 microsecond'`,
      `user_id = gen_random_uuid()`,
      `user_role = 'admin'`,
      `action = 'patient.list'`,
      `resource_type = 'Person'`,
      `resource_id = null`,
      `resource_ids = resource_ids || resource_id`,
      `patient_ids = patient_ids || gen_random_uuid()`,
      `changed_fields = '{email}'`,
      `purpose = ''`,
      `outcome = 'DENIED'`,
      `request_id = ''`,
      `ip_address = null`,
      `user_agent = null`,
      `mac = sha256(mac)`,
    ]) {
      test(`that was edited: set ${change}`, async () => {
        await tamper(`update audit_entries set ${change} where id = '${idAt(AT)}'`);
        assert.deepEqual(await firstBad(), { kind: 'edited', leafIndex: AT, entryId: idAt(AT) });
      });
    }

    test('whose leaf hash was changed', async () => {
      await tamper(`update audit_leaves set leaf_hash = sha256(leaf_hash) where leaf_index = ${AT}`);
      assert.deepEqual(await firstBad(), { kind: 'edited', leafIndex: AT, entryId: idAt(AT) });
    });

    test('that was edited, even when the leaf hash was made to fit and later heads were removed', async () => {
      await tamper(`update audit_entries set action = 'patient.search' where id = '${idAt(AT)}'`);
      await fitLeafHash(AT);
      await tamper(headsFrom(AT));
      const expected = { kind: 'edited', leafIndex: AT, entryId: idAt(AT) };
      assert.deepEqual(await firstBad(), expected);
      assert.deepEqual(await firstBad({ trustedHead: null }), expected);
    });

    test('that was edited before it was sealed', async () => {
      await writeEntries(scopeAt(5), 1);
      const [row] = await asSuperuser<{ id: string }>('select id from audit_entries order by id desc limit 1');
      await tamper(`update audit_entries set outcome = 'DENIED' where id = '${row?.id}'`);
      assert.deepEqual(await firstBad(), { kind: 'inserted', leafIndex: null, entryId: row?.id });
    });

    test('that was removed from its leaf', async () => {
      await tamper(`delete from audit_entries where id = '${idAt(AT)}'`);
      assert.deepEqual(await firstBad(), { kind: 'deleted', leafIndex: AT, entryId: idAt(AT) });
    });

    test('whose place is empty, after it was removed with its leaf', async () => {
      await tamper(
        `delete from audit_entries where id = '${idAt(AT)}'; delete from audit_leaves where leaf_index = ${AT}`,
      );
      assert.deepEqual(await firstBad(), { kind: 'deleted', leafIndex: AT, entryId: null });
    });

    test('whose place is empty, and thousands behind it', async () => {
      await tamper(`update audit_leaves set leaf_index = leaf_index + 100000 where leaf_index >= ${AT}`);
      assert.deepEqual(await firstBad(), { kind: 'deleted', leafIndex: AT, entryId: null });
    });

    test('whose place was closed by moving all later leaves up, their heads removed', async () => {
      await tamper(`
      delete from audit_entries where id = '${idAt(AT)}';
      delete from audit_leaves where leaf_index = ${AT};
      alter table audit_leaves drop constraint audit_leaves_pkey;
      update audit_leaves set leaf_index = leaf_index - 1 where leaf_index > ${AT};
      alter table audit_leaves add primary key (leaf_index);
      ${headsFrom(AT)}`);
      const expected = { kind: 'deleted', leafIndex: AT, entryId: null };
      assert.deepEqual(await firstBad(), expected);
      assert.deepEqual(await firstBad({ trustedHead: null }), expected);
    });

    test('that was passed off as pruned', async () => {
      await tamper(`
      insert into audit_prunings values (${ENTRIES}, now(), 1, sha256('forged'));
      delete from audit_entries where id = '${idAt(AT)}'`);
      assert.deepEqual(await firstBad(), { kind: 'deleted', leafIndex: AT, entryId: idAt(AT) });
    });

    const forged = randomUUID();
    /** A copy of an entry, MAC included, under another id and an older time. */
    const forge = () => `insert into audit_entries
    select (jsonb_populate_record(e, jsonb_build_object('id', '${forged}', 'at', e.at - interval '1 hour'))).*
    from audit_entries e where id = '${idAt(AT)}'`;

    test('that was inserted in the past, outside the tree', async () => {
      await tamper(forge());
      assert.deepEqual(await firstBad(), { kind: 'inserted', leafIndex: null, entryId: forged });
    });

    test('that was inserted in the place of another', async () => {
      await tamper(`${forge()}; update audit_leaves set entry_id = '${forged}' where leaf_index = ${AT}`);
      await fitLeafHash(AT);
      assert.deepEqual(await firstBad(), { kind: 'inserted', leafIndex: AT, entryId: forged });
    });

    test('that was inserted with a stolen leaf index, all later leaves moved down, their heads removed', async () => {
      await tamper(`${forge()};
      alter table audit_leaves drop constraint audit_leaves_pkey;
      update audit_leaves set leaf_index = leaf_index + 1 where leaf_index >= ${AT};
      alter table audit_leaves add primary key (leaf_index);
      insert into audit_leaves select ${AT}, '${forged}', leaf_hash, mac from audit_leaves where leaf_index = ${AT + 1}`);
      await fitLeafHash(AT);
      await tamper(headsFrom(AT));
      const expected = { kind: 'inserted', leafIndex: AT, entryId: forged };
      assert.deepEqual(await firstBad(), expected);
      assert.deepEqual(await firstBad({ trustedHead: null }), expected);
    });

    test('that is genuine, and was put back behind the sealed point', async () => {
      await writeEntries(scopeAt(5), 1);
      const [row] = await asSuperuser<{ id: string }>('select id from audit_entries order by id desc limit 1');
      await tamper(`update audit_entries set transaction_id = '3' where id = '${row?.id}'`);
      assert.deepEqual(await firstBad(), { kind: 'inserted', leafIndex: null, entryId: row?.id });
    });

    const LATER = AT + 3;
    test('that changed places with a later one', async () => {
      await tamper(`
      update audit_leaves set leaf_index = -1 where leaf_index = ${AT};
      update audit_leaves set leaf_index = ${AT} where leaf_index = ${LATER};
      update audit_leaves set leaf_index = ${LATER} where leaf_index = -1`);
      assert.deepEqual(await firstBad(), { kind: 'reordered', leafIndex: AT, entryId: idAt(LATER) });
    });

    test('that changed places with a later one, leaf hashes along, the heads behind them removed', async () => {
      await tamper(`
      alter table audit_leaves drop constraint audit_leaves_entry_once;
      update audit_leaves l set entry_id = other.entry_id, leaf_hash = other.leaf_hash
      from audit_leaves other
      where (l.leaf_index, other.leaf_index) in ((${AT}, ${LATER}), (${LATER}, ${AT}));
      alter table audit_leaves add constraint audit_leaves_entry_once unique (entry_id);
      ${headsFrom(AT)}`);
      const expected = { kind: 'reordered', leafIndex: AT, entryId: idAt(LATER) };
      assert.deepEqual(await firstBad(), expected);
      assert.deepEqual(await firstBad({ trustedHead: null }), expected);
    });

    test('that lists patients and was hidden from one of them', async () => {
      const patients = [randomUUID(), randomUUID()];
      await transact(scopeAt(7), (scope) =>
        audit.record(scope, { action: 'patient.list', resourceType: 'Patient', resourceIds: patients }),
      );
      const { size } = await sealed(scopeAt(7));
      assert.equal(await firstBad(), null);
      await tamper(`delete from audit_subjects where patient_id = '${patients[1]}'`);
      const last = (await places()).at(-1);
      assert.deepEqual(await firstBad(), { kind: 'hidden', leafIndex: size - 1, entryId: last?.entryId });
    });

    test('that was hidden from the patient it names', async () => {
      await tamper(`delete from audit_subjects where entry_id = '${idAt(AT)}'`);
      assert.deepEqual(await firstBad(), { kind: 'hidden', leafIndex: AT, entryId: idAt(AT) });
    });

    test('that a patient finds whom it does not name', async () => {
      await tamper(`insert into audit_subjects values (gen_random_uuid(), '${idAt(AT)}')`);
      assert.deepEqual(await firstBad(), { kind: 'exposed', leafIndex: AT, entryId: idAt(AT) });
    });
  });

  describe('verify names the place from which nothing is vouched for', () => {
    const cut = (from: number) => `
    delete from audit_entries where id in (select entry_id from audit_leaves where leaf_index >= ${from});
    delete from audit_leaves where leaf_index >= ${from}; ${headsFrom(from)};
    delete from audit_nodes where (node_index + 1) * 256 > ${from}`;

    test('when the tail was cut off with its heads, which the head outside alone can show', async () => {
      await tamper(cut(450));
      assert.equal(await firstBad({ trustedHead: null }), null);
      assert.deepEqual(await firstBad(), { kind: 'cut off', leafIndex: 450, entryId: null });
    });

    test('when the tail was cut off between two heads', async () => {
      await tamper(cut(500));
      assert.deepEqual(await firstBad(), { kind: 'cut off', leafIndex: 500, entryId: null });
      assert.deepEqual(await firstBad({ trustedHead: null }), { kind: 'unsigned', leafIndex: 450, entryId: null });
    });

    test('when the trail was cut off, and grew again beyond the head outside', async () => {
      await tamper(cut(450));
      await writeEntries(scopeAt(7), 50);
      await sealed(scopeAt(8));
      await writeEntries(scopeAt(9), 150);
      await sealed(scopeAt(9));
      assert.equal(await firstBad({ trustedHead: null }), null);
      assert.deepEqual(await firstBad(), { kind: 'cut off', leafIndex: 450, entryId: null });
    });

    test('when rows went and their head stayed', async () => {
      await tamper(`delete from audit_leaves where leaf_index >= 500`);
      assert.deepEqual(await firstBad({ trustedHead: null }), { kind: 'deleted', leafIndex: 500, entryId: null });
    });

    test('when the last heads were removed', async () => {
      await tamper(headsFrom(AT));
      assert.deepEqual(await firstBad(), { kind: 'unsigned', leafIndex: 150, entryId: null });
    });

    test('when a head in the middle was removed', async () => {
      await tamper(`delete from audit_heads where size = 300`);
      assert.deepEqual(await firstBad(), { kind: 'unsigned', leafIndex: 150, entryId: null });
    });

    test('when a head was changed', async () => {
      await tamper(`update audit_heads set at = at - interval '1 day' where size = 300`);
      assert.deepEqual(await firstBad(), { kind: 'unsigned', leafIndex: 150, entryId: null });
    });

    test('when an inner node was changed, from which proofs are made', async () => {
      await tamper(`update audit_nodes set hash = sha256(hash) where node_index = 1`);
      assert.deepEqual(await firstBad(), { kind: 'unsigned', leafIndex: 256, entryId: null });
    });
  });

  describe('seal', () => {
    test('does not go on behind a cut-off tail when the head outside is there to compare', async (t) => {
      const directory = mkdtempSync(path.join(tmpdir(), 'careflex-head-'));
      t.after(() => rmSync(directory, { recursive: true }));
      const headFile = path.join(directory, 'head.json');
      writeFileSync(headFile, JSON.stringify(trustedHead));
      await tamper(`delete from audit_leaves where leaf_index >= 450; ${headsFrom(450)}`);
      await writeEntries(scopeAt(7), 1);
      await assert.rejects(audit.seal(scopeAt(8), { headFile }), audit.TrailDamaged);
      assert.deepEqual(await audit.readHeadFile(headFile), trustedHead);
    });

    test('does not sign on top of a leaf that was changed at the edge', async () => {
      await tamper(`update audit_leaves set leaf_hash = sha256(leaf_hash) where leaf_index = ${ENTRIES - 1}`);
      await transact(scopeAt(7), (scope) => audit.record(scope, { action: 'test', resourceType: 'Test' }));
      await assert.rejects(async () => {
        while ((await audit.seal(scopeAt(8))).sealed === 0);
      }, audit.TrailDamaged);
    });
  });
});
