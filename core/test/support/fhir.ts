/** Exports in a directory of their own, and small resources with valid defaults. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fhir from '../../src/fhir-import.ts';
import type { Scope } from '../../src/platform/scope.ts';
import { as } from './testing.ts';

/** A file's content: resources, one a line, or what stands there instead. */
export type Content = readonly (object | string)[] | string | Buffer;

export interface Imported extends fhir.ImportReport {
  readonly findings: readonly fhir.Finding[];
}

/** Writes the files and imports them as the system. */
export async function imported(
  scope: Scope,
  files: Readonly<Record<string, Content>>,
  options: fhir.ImportOptions = {},
): Promise<Imported> {
  return withExport(files, async (directory) => {
    const findings: fhir.Finding[] = [];
    const onFinding = (finding: fhir.Finding) => void findings.push(finding);
    const report = await fhir.importDirectory(as(scope, 'system'), directory, { onFinding, ...options });
    return { ...report, findings };
  });
}

export async function withExport<T>(
  files: Readonly<Record<string, Content>>,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'careflex-fhir-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(path.join(directory, name), toBytes(content));
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function toBytes(content: Content): string | Buffer {
  if (typeof content === 'string' || Buffer.isBuffer(content)) return content;
  return content.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');
}

export function fhirPatient(id: string, more: object = {}): object {
  return {
    resourceType: 'Patient',
    id,
    name: [{ use: 'official', family: 'Rivera', given: ['Ana'] }],
    birthDate: '1961-04-09',
    ...more,
  };
}

export function fhirPractitioner(id: string, more: object = {}): object {
  return { resourceType: 'Practitioner', id, name: [{ family: 'Okafor', given: ['Lee'], prefix: ['Dr.'] }], ...more };
}

export function fhirRole(id: string, practitioner: string, more: object = {}): object {
  const practitionerReference = { practitioner: { reference: `Practitioner/${practitioner}` } };
  return { resourceType: 'PractitionerRole', id, ...practitionerReference, ...specialityOf('208D00000X'), ...more };
}

export function specialityOf(code: string): object {
  return {
    specialty: [{ coding: [{ system: 'http://nucc.org/provider-taxonomy', code, display: `Speciality ${code}` }] }],
  };
}
