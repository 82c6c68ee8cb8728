import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem } from '#platform/scope';
import { as, NOW, testScope } from './support/testing.ts';
import { places, type Place, sealed, writeEntries } from './support/audit.ts';

const scopeAt = (minutes: number) => asSystem(testScope({ now: NOW.add({ minutes }) }));

describe('exportEntries and verifyExport', () => {
  const publicKey = audit.publicKeyPem(testScope());
  let patients: string[];
  let trail: Place[];
  let olderHead: audit.SignedHead;
  let head: audit.SignedHead;

  before(async () => {
    patients = await writeEntries(scopeAt(0), 300);
    olderHead = await sealed(scopeAt(0));
    patients.push(...(await writeEntries(scopeAt(1), 300)));
    head = await sealed(scopeAt(1));
    trail = await places();
  });

  async function exported(input: audit.ExportInput = {}): Promise<string[]> {
    const lines: string[] = [];
    await audit.exportEntries(scopeAt(2), input, (line) => lines.push(line));
    return lines;
  }

  const check = (lines: readonly string[], trusted = head) => audit.verifyExport(lines, trusted, publicKey);

  async function firstBad(lines: readonly string[]): Promise<Omit<audit.ExportDamage, 'message'> | null> {
    const { firstBad } = await check(lines);
    return (
      firstBad && { kind: firstBad.kind, line: firstBad.line, leafIndex: firstBad.leafIndex, entryId: firstBad.entryId }
    );
  }

  const range = { fromSequence: 100, toSequence: 200 };
  const idAt = (leafIndex: number) => trail[leafIndex]?.entryId ?? '';

  test('prove a complete range to somebody with the head and the public key alone', async () => {
    const lines = await exported(range);
    assert.equal(lines.length, 102);
    assert.deepEqual(await check(lines), { head, range: [100, 200], isComplete: true, count: 100, firstBad: null });
    assert.deepEqual(await check(await exported()), {
      head,
      range: [0, 600],
      isComplete: true,
      count: 600,
      firstBad: null,
    });
  });

  test('prove what a filter found', async () => {
    const [from, to] = [NOW.add({ minutes: 1 }), NOW.add({ minutes: 2 })];
    const one = await check(await exported({ resourceId: patients[150] ?? '' }));
    assert.deepEqual([one.count, one.isComplete, one.firstBad], [1, false, null]);
    const half = await check(await exported({ from, to, action: 'patient.read' }));
    assert.deepEqual([half.count, half.firstBad], [300, null]);
    const none = await check(await exported({ action: 'none' }));
    assert.deepEqual([none.count, none.firstBad], [0, null]);
  });

  test('prove that an export continues an older head that somebody kept', async () => {
    assert.equal((await check(await exported({ ...range, since: olderHead }), olderHead)).firstBad, null);
  });

  test('say that a head proves nothing where it is newer, or the export was not made for it', async () => {
    const lines = await exported(range);
    await assert.rejects(check(lines, olderHead), audit.HeadsApart);
    const newer = await writeEntries(scopeAt(3), 1).then(() => sealed(scopeAt(3)));
    await assert.rejects(check(lines, newer), audit.HeadsApart);
    // A forged head is no misuse.
    assert.equal((await check(lines, { ...newer, root: head.root })).firstBad?.kind, 'unsigned');
    head = newer;
    trail = await places();
  });

  test('do not accept a head or a key of somebody else', async () => {
    const lines = await exported(range);
    const foreign = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' });
    assert.equal((await audit.verifyExport(lines, head, foreign)).firstBad?.kind, 'unsigned');
    assert.equal((await check(lines, { ...head, root: olderHead.root })).firstBad?.kind, 'unsigned');
  });

  const AT = 50;
  const LEAF = 100 + AT - 1;

  test('name an entry that was edited, in whatever way it was written', async () => {
    const lines = await exported(range);
    const line = lines[AT] ?? '';
    const bad = { kind: 'edited', line: AT + 1, leafIndex: LEAF, entryId: idAt(LEAF) };
    assert.deepEqual(await firstBad(lines.with(AT, line.replace('"system"', '"admin"'))), bad);
    assert.deepEqual(
      await firstBad(
        lines.with(
          AT,
          line.replace(/(?<="mac":")./, (first) => (first === '0' ? '1' : '0')),
        ),
      ),
      bad,
    );
    const reordered = line.replace(/"action":"patient.read",(.*?)\},"mac"/, '$1,"action":"patient.read"},"mac"');
    assert.notEqual(reordered, line);
    assert.deepEqual(await firstBad(lines.with(AT, reordered)), bad);
    const twice = line.replace('{"action":"patient.read"', '{"action":"patient.delete","action":"patient.read"');
    assert.equal((await firstBad(lines.with(AT, twice)))?.kind, 'malformed');
    assert.equal((await firstBad(lines.with(AT, line.replace(':', ': '))))?.kind, 'malformed');
  });

  test('name an entry that was removed, inserted, or put at another place', async () => {
    const lines = await exported(range);
    const [first, second] = [lines[AT] ?? '', lines[AT + 3] ?? ''];
    const gone = { kind: 'deleted', line: AT + 1, leafIndex: LEAF, entryId: null };
    assert.deepEqual(await firstBad(lines.toSpliced(AT, 1)), gone);
    const moved = { kind: 'reordered', line: AT + 1, leafIndex: LEAF, entryId: idAt(LEAF) };
    assert.deepEqual(await firstBad(lines.with(AT, second).with(AT + 3, first)), moved);
    const doubled = { kind: 'reordered', line: AT + 2, leafIndex: LEAF, entryId: idAt(LEAF) };
    assert.deepEqual(await firstBad(lines.toSpliced(AT, 0, first)), doubled);
    const renumbered = first.replace(`"leafIndex":${LEAF}`, `"leafIndex":${LEAF + 1}`);
    const edited = { kind: 'edited', line: AT + 1, leafIndex: LEAF + 1, entryId: idAt(LEAF) };
    assert.deepEqual(await firstBad(lines.with(AT, renumbered)), edited);
  });

  test('notice a tail that was cut off', async () => {
    const lines = await exported(range);
    assert.deepEqual(await firstBad(lines.slice(0, AT)), { kind: 'cut off', line: AT, leafIndex: LEAF, entryId: null });
    const last = lines.at(-1) ?? '';
    assert.deepEqual(await firstBad([...lines.slice(0, AT), last]), {
      kind: 'cut off',
      line: AT + 1,
      leafIndex: LEAF,
      entryId: null,
    });
    assert.equal((await firstBad([]))?.kind, 'cut off');
  });

  test('notice what was left out of a filtered export, and a changed filter or range', async () => {
    const lines = await exported({ userId: null, action: 'patient.read', ...range });
    assert.equal(await firstBad(lines), null);
    assert.equal((await firstBad(lines.toSpliced(AT, 1)))?.kind, 'deleted');
    const first = lines[0] ?? '';
    assert.equal((await firstBad(lines.with(0, first.replace('patient.read', 'patient.list'))))?.kind, 'deleted');
    assert.equal((await firstBad(lines.with(0, first.replace('[100,200]', '[100,201]'))))?.kind, 'deleted');
    assert.equal((await firstBad(lines.slice(0, -1)))?.kind, 'cut off');
    assert.equal(
      (await firstBad([...lines.slice(0, -1), lines.at(-1)?.replace('"count":100', '"count":99') ?? '']))?.kind,
      'unsigned',
    );
  });

  test('are for admins, auditors and the system, and go on record', async () => {
    for (const role of ['agent', 'patient'] as const) {
      await assert.rejects(
        audit.exportEntries(as(testScope(), role), {}, () => undefined),
        Forbidden,
      );
    }
    const auditor = as(scopeAt(4), 'auditor');
    await audit.exportEntries(auditor, range, () => undefined);
    const { items } = await audit.list(auditor, { userId: auditor.actor.id });
    assert.deepEqual(
      items.map(({ node }) => node.action),
      ['audit.export'],
    );
  });
});
