/**
 * Import of a FHIR R4 bulk export: a directory of NDJSON files becomes patients and the directory of providers.
 *
 * Files are streamed and written in batches, each a transaction of its own, so memory does not grow with them and a
 * run that was killed is simply run again: what is there and equal is left as it is. A bad line is refused by
 * itself and told at once, by file, line and place, never with what stands there. What is no use to us (race,
 * ethnicity, social security number) is not even read.
 */
import * as audit from '#audit';
import { InvalidInput } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { exportFiles, type ResourceType } from './fhir-import/files.ts';
import { type Counts, type Finding, importFile, noCounts, type Progress } from './fhir-import/run.ts';

export { ImportDirectoryUnusable, RESOURCE_TYPES, type ResourceType } from './fhir-import/files.ts';
export type { Counts, Finding, Progress } from './fhir-import/run.ts';
export type { Issue } from './fhir-import/resource.ts';

export interface ImportOptions {
  /** Called for every refused line and every warning, in the order of the lines of a file as far as one batch. */
  readonly onFinding?: (finding: Finding) => void;
  /** Called after each batch. */
  readonly onProgress?: (progress: Progress) => void;
  /** Lines in a transaction. */
  readonly batch?: number;
  /**
   * A short name of the exporting system, needed when several are imported: ids are unique within one system only,
   * and this one's are then told apart from the others'.
   */
  readonly source?: string;
}

export interface ImportReport {
  readonly counts: Readonly<Record<ResourceType, Counts>>;
  /** Files of the directory that are of no known type. */
  readonly ignored: readonly string[];
}

const BATCH = 1_000;
/** What a source may be called: it becomes part of external ids, for good. */
export const IMPORT_SOURCE = /^[A-Za-z0-9.-]{1,32}$/;

/**
 * Imports the export in `directory`: Organization, Location, Practitioner, PractitionerRole and Patient, as
 * `<Type>.ndjson`, in parts (`<Type>.000.ndjson`) or packed (`.ndjson.gz`). Admins and the system only.
 * Throws {@link ImportDirectoryUnusable}, InvalidInput, Forbidden.
 */
export async function importDirectory(
  scope: Scope,
  directory: string,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const mayImport = scope.actor.role === 'admin' || scope.actor.role === 'system';
  await audit.permit(scope, mayImport, { action: 'fhir.import', resourceType: 'FhirExport' });
  if (options.source !== undefined && !IMPORT_SOURCE.test(options.source)) {
    throw new InvalidInput([{ path: ['source'], message: 'expected up to 32 letters, digits, dots and hyphens' }]);
  }
  const { files, ignored } = await exportFiles(directory);

  const counts = noCounts();
  const run = {
    scope,
    context: {
      today: scope.now.toZonedDateTimeISO(scope.clinic.timeZone).toPlainDate().toString(),
      region: scope.clinic.region,
      source: options.source ?? null,
    },
    batch: options.batch ?? BATCH,
    counts,
    seen: new Map(),
    totalBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    onFinding: options.onFinding ?? (() => undefined),
    onProgress: options.onProgress ?? (() => undefined),
  };
  let bytesBefore = 0;
  for (const file of files) {
    await importFile(run, file, bytesBefore);
    bytesBefore += file.bytes;
  }
  return { counts, ignored };
}
