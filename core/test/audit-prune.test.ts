import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem } from '#platform/scope';
import { hmac } from '#platform/vault';
import { actor, as, asSuperuser, NOW, testScope, testVault } from './support/testing.ts';
import { keepTrail, places, type Place, sealed, tamper, writeEntries } from './support/audit.ts';

const DAYS = 365;
const at = (days: number) => asSystem(testScope({ now: NOW.add({ hours: 24 * days }) }));
const count = async (table: string) => (await asSuperuser(`select from ${table}`)).length;

describe('prune', () => {
  let patients: string[];
  let trail: Place[];
  let trustedHead: audit.SignedHead;
  let restore: () => Promise<void>;

  before(async () => {
    patients = await writeEntries(at(0), 300);
    await sealed(at(0));
    await writeEntries(at(1), 50);
    await sealed(at(1));
    await writeEntries(at(3 * DAYS), 100);
    trustedHead = await sealed(at(3 * DAYS));
    trail = await places();
  });
  beforeEach(async () => {
    restore = await keepTrail();
  });
  afterEach(() => restore());

  const due = () => at(6 * DAYS + 3);
  const verify = (head: audit.SignedHead | null = trustedHead) => audit.verify(due(), { trustedHead: head });

  test('drops entries past their retention, and no others', async () => {
    assert.deepEqual(await audit.prune(at(6 * DAYS - 1), { years: 6 }), { dropped: 0, below: null });
    assert.deepEqual(await audit.prune(due(), { years: 6 }), { dropped: 350, below: 350 });
    assert.deepEqual(await audit.prune(due(), { years: 6 }), { dropped: 0, below: null });
    assert.equal(await count(`audit_entries where action = 'patient.read'`), 100);
    assert.equal(await count('audit_subjects'), 100);
    assert.equal(await count('audit_leaves'), 450);
  });

  test('leaves a trail that can be verified, sealed and exported as before', async () => {
    await audit.prune(due(), { years: 6 });
    const result = await verify();
    assert.deepEqual([result.pruned, result.checked, result.unsealed, result.firstBad], [350, 100, 1, null]);

    await writeEntries(due(), 1);
    const head = await sealed(due());
    assert.equal((await verify(head)).firstBad, null);
    const lines: string[] = [];
    const exported = await audit.exportEntries(due(), {}, (line) => lines.push(line));
    assert.deepEqual(exported?.range, [350, head.size]);
    assert.equal((await audit.verifyExport(lines, head, audit.publicKeyPem(due()))).firstBad, null);
  });

  test('goes on record', async () => {
    await audit.prune(due(), { years: 6 });
    const { items } = await audit.list(as(due(), 'auditor'), { action: 'audit.prune' });
    assert.deepEqual(
      items.map(({ node }) => [node.userRole, node.resourceId]),
      [['system', '0-349']],
    );
  });

  test('is gone from what its patient sees, too', async () => {
    const own = as(due(), actor('patient', { patientId: patients[0] ?? '' }));
    assert.equal((await audit.whoSawMyRecord(own)).items.length, 1);
    await audit.prune(due(), { years: 6 });
    assert.equal((await audit.whoSawMyRecord(own)).items.length, 0);
  });

  test('cannot be used to hide a younger entry', async () => {
    await audit.prune(due(), { years: 6 });
    const { entryId } = trail[400] ?? { entryId: '' };
    await tamper(`delete from audit_entries where id = '${entryId}'`);
    const bad = { kind: 'deleted', leafIndex: 400, entryId, message: 'the entry that was sealed here is gone' };
    assert.deepEqual((await verify()).firstBad, bad);
    await tamper(`update audit_prunings set size = 450`);
    assert.equal((await verify()).firstBad?.kind, 'deleted');
    await tamper(`update audit_prunings set size = 350, retention_years = 1`);
    assert.deepEqual((await verify()).firstBad?.leafIndex, 0);
  });

  test('cannot be provoked by a head that was made older', async () => {
    await tamper(`update audit_heads set at = at - interval '6 years'`);
    await assert.rejects(audit.prune(at(4 * DAYS), { years: 6 }), audit.TrailDamaged);
    assert.equal(await count(`audit_entries where action = 'patient.read'`), 450);
  });

  test('does not excuse a removal before its time, even with the key of the platform', async () => {
    const mac = hmac(testVault.keyFor('audit:pruning'), `350 ${NOW.toString({ fractionalSecondDigits: 3 })} 6`);
    await tamper(`
      insert into audit_prunings values (350, '${NOW.toString()}', 6, '\\x${mac.toString('hex')}');
      delete from audit_entries where id = '${trail[0]?.entryId}'`);
    assert.deepEqual((await verify()).firstBad?.leafIndex, 0);
  });

  test('does not hide a changed leaf of a dropped entry', async () => {
    await audit.prune(due(), { years: 6 });
    await tamper(`update audit_leaves set leaf_hash = sha256(leaf_hash) where leaf_index = 310`);
    assert.deepEqual(
      { ...(await verify()).firstBad, message: '' },
      { kind: 'unsigned', leafIndex: 300, entryId: null, message: '' },
    );
  });

  test('is for the system', async () => {
    for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
      await assert.rejects(audit.prune(as(due(), role), { years: 6 }), Forbidden);
    }
  });
});
