/** The files of a bulk export: which of a directory's files they are, and in which order they are read. */
import { createReadStream, type ReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { DomainError } from '#platform/errors';

/** In the order of their dependence: what a resource refers to is read before it. */
export const RESOURCE_TYPES = ['Organization', 'Location', 'Practitioner', 'PractitionerRole', 'Patient'] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];

export interface ExportFile {
  readonly type: ResourceType;
  readonly name: string;
  readonly path: string;
  /** As stored, so compressed when it is. */
  readonly bytes: number;
}

/** The directory cannot be read, or holds no file of a known type. */
export class ImportDirectoryUnusable extends DomainError {
  readonly code = 'IMPORT_DIRECTORY_UNUSABLE';
}

/** `Patient.ndjson`, `Patient.000.ndjson`, `1.Patient.ndjson`, `Patient-7.ndjson.gz`. */
const NAME = new RegExp(`^(?:\\d+\\.)?(${RESOURCE_TYPES.join('|')})(?:[._-][\\w-]+)*\\.ndjson(?:\\.gz)?$`);

export interface ExportFiles {
  readonly files: readonly ExportFile[];
  /** Names of what else lies there and is not imported. */
  readonly ignored: readonly string[];
}

/** The directory's files in the order in which they are to be read. Throws {@link ImportDirectoryUnusable}. */
export async function exportFiles(directory: string): Promise<ExportFiles> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    throw new ImportDirectoryUnusable(`The directory ${directory} cannot be read (${error.code})`);
  });
  const files: ExportFile[] = [];
  const ignored: string[] = [];
  for (const name of names.toSorted(byNumber.compare)) {
    const file = await exportFile(directory, name);
    if (file) files.push(file);
    else ignored.push(name);
  }
  if (files.length === 0) {
    const expected = RESOURCE_TYPES.map((type) => `${type}.ndjson`).join(', ');
    throw new ImportDirectoryUnusable(`The directory ${directory} holds no FHIR file; expected some of ${expected}`);
  }
  const order = (file: ExportFile) => RESOURCE_TYPES.indexOf(file.type);
  return { files: files.sort((a, b) => order(a) - order(b)), ignored };
}

const byNumber = new Intl.Collator('en', { numeric: true });

async function exportFile(directory: string, name: string): Promise<ExportFile | null> {
  const type = NAME.exec(name)?.[1] as ResourceType | undefined;
  if (type === undefined) return null;
  const full = path.join(directory, name);
  // A pipe of that name would keep its reader waiting for ever.
  const found = await stat(full).catch(() => null);
  return found?.isFile() ? { type, name, path: full, bytes: found.size } : null;
}

/** The file's content, unpacked, and how far into the stored file the reading is. */
export function openExportFile(file: ExportFile): { chunks: AsyncIterable<Buffer>; source: ReadStream } {
  const source = createReadStream(file.path, { highWaterMark: 256 * 1024 });
  if (!file.name.endsWith('.gz')) return { chunks: source, source };
  const unpacked = createGunzip();
  source.on('error', (error) => unpacked.destroy(error));
  return { chunks: source.pipe(unpacked), source };
}
