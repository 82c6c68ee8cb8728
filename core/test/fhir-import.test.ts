import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as audit from '#audit';
import * as care from '#care';
import * as fhir from '#fhir-import';
import { Forbidden } from '#platform/errors';
import { fhirPatient, fhirPractitioner, fhirRole, imported, withExport } from './support/fhir.ts';
import { actor, as, asSuperuser, committed, sandboxed, testScope } from './support/testing.ts';

const DEMO = path.resolve(import.meta.dirname, '../../demo/fhir');
const OWN_DEMO = path.resolve(import.meta.dirname, '../../demo/careflex');

const MIB = 1024 * 1024;
const line = (resource: object) => Buffer.from(`${JSON.stringify(resource)}\n`);

describe('importDirectory', () => {
  test(
    'refuses damaged lines one by one, says where and why, and takes all the others',
    sandboxed(async (scope) => {
      const damage: readonly [what: Buffer | object, path: string, message: RegExp][] = [
        [Buffer.from('{"resourceType":"Patient","id":"x","name":[{"fam\n'), 'Patient', /JSON/],
        [Buffer.from(`${JSON.stringify(fhirPatient('x'))} trailing\n`), 'Patient', /JSON/],
        [Buffer.from('[]\n'), 'Patient', /FHIR resource/],
        [Buffer.from('null\n'), 'Patient', /FHIR resource/],
        [{ ...fhirPatient('x'), resourceType: 'Observation' }, 'Patient.resourceType', /expected Patient/],
        [{ ...fhirPatient('x'), id: undefined }, 'Patient.id', /expected an id/],
        [{ ...fhirPatient('x'), id: 'no/id' }, 'Patient.id', /letters, digits/],
        [fhirPatient('x', { name: undefined }), 'Patient.name', /family and a given name/],
        [fhirPatient('x', { name: [{ family: 'Only' }] }), 'Patient.name', /family and a given name/],
        [fhirPatient('x', { name: 'Ana Rivera' }), 'Patient.name', /list/],
        [fhirPatient('x', { name: [{ family: 'Rivera', given: [7] }] }), 'Patient.name[0].given[0]', /text/],
        [fhirPatient('y', { name: [{ family: '12', given: ['7'] }] }), 'Patient.name[0].given', /letters/],
        [fhirPatient('x', { birthDate: '2021-02-30' }), 'Patient.birthDate', /exists/],
        [fhirPatient('x', { birthDate: '1961-13-01' }), 'Patient.birthDate', /exists/],
        [fhirPatient('x', { birthDate: '04/09/1961' }), 'Patient.birthDate', /exists/],
        [fhirPatient('x', { birthDate: '2031-01-01' }), 'Patient.birthDate', /future/],
        [fhirPatient('x', { name: [{ family: 'Ri\0vera', given: ['Ana'] }] }), 'Patient.name[0].family', /control/],
        [Buffer.from('{"resourceType":"Patient","id":"x\0"}\n'), 'Patient', /JSON/],
        [fhirPatient('x', { name: [{ family: '\ud83d', given: ['Ana'] }] }), 'Patient.name[0].family', /characters/],
        [Buffer.concat([Buffer.from('{"id":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')]), 'Patient', /UTF-8/],
        [fhirPatient('first'), 'Patient.id', /not met before/],
        [fhirPatient('x', { text: 'x'.repeat(MIB) }), 'Patient', /at most 1048576 bytes/],
        [Buffer.alloc(3 * MIB, 'x'), 'Patient', /at most 1048576 bytes/],
      ];
      const lines = damage.map(([what]) => (Buffer.isBuffer(what) ? what : line(what)));
      lines.splice(-1, 1, Buffer.concat([lines.at(-1) as Buffer, Buffer.from('\n')]));
      const file = Buffer.concat([line(fhirPatient('first')), ...lines, line(fhirPatient('last'))]);

      const { counts, findings } = await imported(scope, { 'Patient.ndjson': file }, { batch: 7 });
      assert.deepEqual(counts.Patient, { created: 2, updated: 0, unchanged: 0, refused: damage.length, warned: 0 });
      const told = findings.toSorted((a, b) => a.line - b.line);
      for (const [i, [, place, message]] of damage.entries()) {
        const { issues = [], ...where } = told[i] ?? {};
        assert.deepEqual(where, { kind: 'refused', file: 'Patient.ndjson', line: i + 2 });
        assert.equal(issues[0]?.path, place, `line ${i + 2}`);
        assert.match(issues[0]?.message ?? '', message);
      }
    }),
  );

  test(
    'names every issue of a line',
    sandboxed(async (scope) => {
      const record = fhirPatient('x', { active: 'yes', telecom: {}, birthDate: 1961 });
      const { findings } = await imported(scope, { 'Patient.ndjson': [record] });
      assert.deepEqual(findings[0]?.issues.map((issue) => issue.path).toSorted(), [
        'Patient.active',
        'Patient.birthDate',
        'Patient.telecom',
      ]);
    }),
  );

  test(
    'takes a byte order mark, CRLF, empty lines and a last line without its end, and counts lines as an editor does',
    sandboxed(async (scope) => {
      const text = [
        '\ufeff{"id":',
        '',
        JSON.stringify(fhirPatient('a')),
        '   ',
        `\ufeff${JSON.stringify(fhirPatient('b'))}`,
      ];
      const { counts, findings } = await imported(scope, { 'Patient.ndjson': text.join('\r\n') });
      assert.deepEqual([counts.Patient.created, counts.Patient.refused], [2, 1]);
      assert.equal(findings[0]?.line, 1);
      const { findings: later } = await imported(scope, { 'Patient.ndjson': `${text.slice(1).join('\r\n')}\r\nx` });
      assert.equal(later[0]?.line, 5);
    }),
  );

  test(
    'reads parts and packed files, what is referred to first, and names what it ignores',
    sandboxed(async (scope) => {
      const { counts, findings, ignored } = await imported(scope, {
        'PractitionerRole.ndjson': [fhirRole('r', 'p')],
        'Practitioner.000.ndjson.gz': gzipSync(line(fhirPractitioner('p'))),
        'Patient.10.ndjson': [fhirPatient('b'), fhirPatient('c')],
        'Patient.9.ndjson': [fhirPatient('a'), fhirPatient('b')],
        '1.Location.ndjson': '',
        'Encounter.ndjson': '{}',
        'Patient.ndjson.md5': '',
      });
      assert.deepEqual(ignored, ['Encounter.ndjson', 'Patient.ndjson.md5']);
      assert.equal(counts.PractitionerRole.created, 1);
      assert.equal(counts.Patient.created, 3);
      assert.deepEqual(
        findings.map(({ file, line }) => [file, line]),
        [['Patient.10.ndjson', 1]],
      );
    }),
  );

  test(
    'takes what can be read of a file that breaks off, and goes on with the next',
    sandboxed(async (scope) => {
      const packed = gzipSync(Buffer.concat(Array.from({ length: 500 }, (_, i) => line(fhirPatient(`p${i}`)))));
      const { counts, findings } = await imported(scope, {
        'Patient.0.ndjson.gz': packed.subarray(0, packed.length - 20),
        'Patient.1.ndjson.gz': Buffer.from('no gzip'),
        'Patient.2.ndjson': [fhirPatient('z')],
      });
      assert.ok(counts.Patient.created > 1);
      assert.equal(counts.Patient.refused, 2);
      assert.deepEqual(
        findings.map(({ file }) => file),
        ['Patient.0.ndjson.gz', 'Patient.1.ndjson.gz'],
      );
      for (const { issues } of findings) assert.match(issues[0]?.message ?? '', /cannot be read from here on \(Z_/);
      assert.ok(await care.findByExternalId(as(scope, 'system'), 'z'));
    }),
  );

  test(
    'holds no line in memory that is too long',
    sandboxed(async (scope) => {
      const packed = gzipSync(Buffer.alloc(MIB, 'x'));
      const end = gzipSync(Buffer.concat([Buffer.from('\n'), line(fhirPatient('a'))]));
      const endless = Buffer.concat([...Array.from({ length: 512 }, () => packed), end]);
      const before = process.resourceUsage().maxRSS;
      const { counts } = await imported(scope, { 'Patient.ndjson.gz': endless });
      assert.deepEqual([counts.Patient.refused, counts.Patient.created], [1, 1]);
      // In KiB.
      assert.ok(process.resourceUsage().maxRSS - before < 200 * 1024);
    }),
  );

  test(
    'knows an id again among thousands',
    sandboxed(async (scope) => {
      const organization = (id: string) => ({ resourceType: 'Organization', id, name: 'House' });
      const all = Array.from({ length: 3000 }, (_, i) => organization(`o${i}`));
      const repeated = [...all, organization('o0'), organization('o1499'), organization('o2999')];
      const { counts } = await imported(scope, { 'Organization.ndjson': repeated }, { batch: 1000 });
      assert.deepEqual([counts.Organization.created, counts.Organization.refused], [3000, 3]);
    }),
  );

  test('tells of progress, in bytes of all files', async () => {
    await sandboxed(async (scope) => {
      const seen: fhir.Progress[] = [];
      const files = { 'Organization.ndjson': '', 'Patient.ndjson': ['a', 'b', 'c'].map((id) => fhirPatient(id)) };
      await imported(scope, files, { batch: 2, onProgress: (progress) => void seen.push(progress) });
      assert.deepEqual(
        seen.map(({ file, line }) => [file, line]),
        [
          ['Organization.ndjson', 0],
          ['Patient.ndjson', 2],
          ['Patient.ndjson', 3],
        ],
      );
      assert.equal(seen.at(-1)?.bytes, seen.at(-1)?.totalBytes);
    })();
  });

  test(
    'keeps the ids of two systems apart when told their names',
    sandboxed(async (scope) => {
      for (const source of ['north', 'south']) {
        const { counts } = await imported(
          scope,
          {
            'Patient.ndjson': [fhirPatient('1')],
            'Practitioner.ndjson': [fhirPractitioner('1')],
            'PractitionerRole.ndjson': [fhirRole('1', '1')],
          },
          { source },
        );
        for (const type of ['Patient', 'Practitioner', 'PractitionerRole'] as const)
          assert.equal(counts[type].created, 1);
      }
      assert.notEqual(
        (await care.findByExternalId(as(scope, 'system'), 'north/1'))?.id,
        (await care.findByExternalId(as(scope, 'system'), 'south/1'))?.id,
      );
    }),
  );

  test('refuses a directory that is none, or that holds nothing known', async () => {
    const scope = testScope({ actor: actor('system') });
    await assert.rejects(fhir.importDirectory(scope, '/nowhere/at/all'), {
      code: 'IMPORT_DIRECTORY_UNUSABLE',
      message: /ENOENT/,
    });
    await withExport({ 'Encounter.ndjson': '{}' }, async (directory) => {
      await assert.rejects(fhir.importDirectory(scope, directory), fhir.ImportDirectoryUnusable);
      await assert.rejects(fhir.importDirectory(scope, path.join(directory, 'Encounter.ndjson')), /ENOTDIR/);
    });
  });

  test(
    'is for admins and the system; the attempt of another is on record',
    sandboxed(async (scope) => {
      await withExport({ 'Patient.ndjson': [fhirPatient('a')] }, async (directory) => {
        for (const role of ['agent', 'patient', 'auditor'] as const) {
          await assert.rejects(fhir.importDirectory(as(scope, role), directory), Forbidden);
        }
        const { items } = await audit.list(as(scope, 'admin'), { action: 'fhir.import' });
        assert.deepEqual(
          items.map(({ node }) => [node.userRole, node.outcome]),
          ['auditor', 'patient', 'agent'].map((role) => [role, 'DENIED']),
        );
        const { counts } = await fhir.importDirectory(as(scope, 'admin'), directory);
        assert.equal(counts.Patient.created, 1);
      });
    }),
  );
});

describe('importDirectory, run again', () => {
  const TABLES = ['patients', 'organizations', 'locations', 'providers', 'provider_roles', 'events', 'audit_entries'];
  const everything = async () =>
    Promise.all(TABLES.map((table) => asSuperuser(`select t::text from ${table} t order by t::text`)));

  test(
    'changes nothing, and then only what has changed',
    committed(async (scope) => {
      const system = as(scope, 'system');
      const first = await fhir.importDirectory(system, DEMO);
      assert.deepEqual(
        Object.values(first.counts).map(({ created, refused }) => [created, refused]),
        [
          [271, 0],
          [272, 0],
          [271, 0],
          [271, 0],
          [120, 0],
        ],
      );
      const before = await everything();
      const later = { ...system, now: system.now.add({ hours: 1 }) };
      const second = await fhir.importDirectory(later, DEMO);
      assert.deepEqual(
        Object.values(second.counts).map(({ unchanged, created, updated }) => [unchanged, created + updated]),
        [
          [271, 0],
          [272, 0],
          [271, 0],
          [271, 0],
          [120, 0],
        ],
      );
      assert.deepEqual(await everything(), before);

      const { counts } = await imported(later, {
        'Patient.ndjson': [fhirPatient('new'), fhirPatient('01332066-fca8-cce4-d9b7-75b7fd1e2004')],
        'Organization.ndjson': [
          { resourceType: 'Organization', id: '00efc10e-037d-3d0e-b9b3-bc3d4c7be7bf', name: 'Another name' },
        ],
      });
      assert.deepEqual([counts.Patient.created, counts.Patient.updated], [1, 1]);
      assert.equal(counts.Organization.updated, 1);
      const changed = await care.findByExternalId(system, '01332066-fca8-cce4-d9b7-75b7fd1e2004');
      assert.deepEqual([changed?.firstName, changed?.updatedAt.toString()], ['Ana', later.now.toString()]);
    }),
  );

  test(
    'takes up where a killed run was',
    sandboxed(async (scope) => {
      const files = { 'Patient.ndjson': Array.from({ length: 10 }, (_, i) => fhirPatient(`k${i}`)) };
      const killed = imported(scope, files, {
        batch: 4,
        onProgress: () => {
          throw new Error('killed');
        },
      });
      await assert.rejects(killed, /killed/);
      const { counts } = await imported(scope, files, { batch: 4 });
      assert.deepEqual([counts.Patient.unchanged, counts.Patient.created], [4, 6]);
    }),
  );

  test(
    'loads the patient and the providers of the demo that are ours',
    sandboxed(async (scope) => {
      const { counts } = await fhir.importDirectory(as(scope, 'system'), OWN_DEMO);
      assert.deepEqual(
        Object.values(counts).map(({ refused, warned }) => refused + warned),
        [0, 0, 0, 0, 0],
      );
      const patient = await care.findByExternalId(scope, 'careflex-demo-patient');
      assert.deepEqual(
        [patient?.status, patient?.email, patient?.phone],
        ['ACTIVE', 'patient@demo.careflex.test', '+19135550123'],
      );
    }),
  );
});
