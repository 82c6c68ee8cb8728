/**
 * Importing a FHIR export: how many patients a second come in, sealed and indexed, how much memory that takes, and
 * how long it takes to find that nothing has changed. The patients are made from a seed; a resource is as large as
 * Synthea's, since most of it is there to be passed over.
 *
 *     node bench/src/import.ts 10000 50000
 */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImportedPatient } from '@careflex/core/care';
import { importDirectory } from '@careflex/core/fhir-import';
import type { Scope } from '@careflex/core/platform/scope';
import { benchPlatform } from './platform.ts';
import { syntheticPatients } from './synthetic-patients.ts';

export interface ImportFigures {
  readonly patients: number;
  readonly fileMiB: number;
  readonly createdPerSecond: number;
  /** When the same export is imported again. */
  readonly unchangedPerSecond: number;
  /** Resident memory of this process: before the import, after a tenth of it, and at its highest. */
  readonly memoryMiB: { readonly before: number; readonly afterTenth: number; readonly highest: number };
}

export async function measureImport(patients: number): Promise<ImportFigures> {
  const directory = await mkdtemp(path.join(tmpdir(), 'careflex-bench-fhir-'));
  try {
    const file = createWriteStream(path.join(directory, 'Patient.ndjson'));
    await pipeline(Readable.from(linesOf(patients)), file);
    await using platform = await benchPlatform();
    const before = residentMiB();
    const created = await timedImport(platform.scope, directory, patients);
    const again = await timedImport(platform.scope, directory, patients);
    return {
      patients,
      fileMiB: Math.round(file.bytesWritten / 2 ** 20),
      createdPerSecond: created.perSecond,
      unchangedPerSecond: again.perSecond,
      memoryMiB: { before, afterTenth: created.afterTenth, highest: created.highest },
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

const residentMiB = () => Math.round(process.memoryUsage().rss / 2 ** 20);

async function timedImport(
  scope: Scope,
  directory: string,
  patients: number,
): Promise<{ perSecond: number; afterTenth: number; highest: number }> {
  let afterTenth = 0;
  let highest = 0;
  const start = performance.now();
  const { counts } = await importDirectory(scope, directory, {
    onProgress({ line }) {
      const resident = residentMiB();
      if (line <= patients / 10) afterTenth = resident;
      highest = Math.max(highest, resident);
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const { created, unchanged, refused } = counts.Patient;
  if (created + unchanged !== patients) throw new Error(`${refused} synthetic patients were refused`);
  return { perSecond: Math.round(patients / seconds), afterTenth, highest };
}

function* linesOf(patients: number): Generator<string> {
  for (const patient of syntheticPatients(patients)) yield `${JSON.stringify(toFhir(patient))}\n`;
}

function toFhir({ externalId, firstName, lastName, email, phone, dateOfBirth, language }: ImportedPatient): object {
  return {
    resourceType: 'Patient',
    id: externalId,
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${UNREAD.repeat(6)}</div>` },
    extension: Array.from({ length: 7 }, (_, i) => ({
      url: `http://example.test/fhir/StructureDefinition/extension-${i}`,
      valueString: UNREAD,
    })),
    identifier: Array.from({ length: 5 }, (_, i) => ({
      type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }], text: UNREAD },
      system: `urn:example:${i}`,
      value: `${externalId}-${i}`,
    })),
    name: [{ use: 'official', family: lastName, given: firstName.split(' '), prefix: ['Mx.'] }],
    telecom: [{ system: 'phone', value: phone, use: 'home' }, ...(email ? [{ system: 'email', value: email }] : [])],
    birthDate: dateOfBirth,
    address: [{ line: ['100 Sample Street'], city: 'Wichita', state: 'KS', postalCode: '67201', country: 'US' }],
    communication: [{ language: { coding: [{ system: 'urn:ietf:bcp:47', code: language }], text: UNREAD } }],
  };
}

const UNREAD = 'words that stand in every resource and are passed over';

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  for (const patients of sizes.length > 0 ? sizes : [10_000]) console.log(await measureImport(patients));
}
