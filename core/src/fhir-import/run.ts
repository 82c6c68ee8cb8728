/** A run over files: lines become records, records go to their context in batches, and all that befell them is told. */
import * as care from '#care';
import type { InputIssue } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { toLocation, toOrganization, toProvider, toProviderRole } from './directory.ts';
import { type ExportFile, openExportFile, RESOURCE_TYPES, type ResourceType } from './files.ts';
import { type Line, linesOf } from './lines.ts';
import type { Mapped, MappingContext } from './mapping.ts';
import { toPatient } from './patient.ts';
import { type Issue, Refused } from './resource.ts';
import { SeenIds } from './seen.ts';

export interface Counts {
  created: number;
  updated: number;
  unchanged: number;
  refused: number;
  /** Lines of which something was left out, or that need a person's eye. */
  warned: number;
}

/** What is wrong with a line. A refused one left no trace; one with a warning was taken without the part named. */
export interface Finding {
  readonly kind: 'refused' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly issues: readonly Issue[];
}

export interface Progress {
  readonly file: string;
  readonly line: number;
  /** Of all files as stored. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface Run {
  readonly scope: Scope;
  readonly context: MappingContext;
  readonly batch: number;
  readonly counts: Readonly<Record<ResourceType, Counts>>;
  readonly seen: Map<ResourceType, SeenIds>;
  readonly totalBytes: number;
  onFinding(this: void, finding: Finding): void;
  onProgress(this: void, progress: Progress): void;
}

export function noCounts(): Record<ResourceType, Counts> {
  const none = RESOURCE_TYPES.map((type) => [type, { created: 0, updated: 0, unchanged: 0, refused: 0, warned: 0 }]);
  return Object.fromEntries(none) as Record<ResourceType, Counts>;
}

/** Reads the file to its end, or to where it cannot be read further, and takes what it can. */
export async function importFile(run: Run, file: ExportFile, bytesBefore: number): Promise<void> {
  const { chunks, source } = openExportFile(file);
  const importLines = IMPORTERS[file.type];
  let lines: Line[] = [];
  let last = 0;
  const flush = async () => {
    await importLines(run, file, lines);
    run.onProgress({ file: file.name, line: last, bytes: bytesBefore + source.bytesRead, totalBytes: run.totalBytes });
    lines = [];
  };
  const reader = linesOf(chunks);
  for (;;) {
    const next = await nextLine(reader);
    if (next === null) break;
    if (next instanceof Error) {
      tellRefused(run, file, { number: last + 1, issues: [{ path: file.type, message: unreadable(next) }] });
      break;
    }
    last = next.number;
    lines.push(next);
    if (lines.length >= run.batch) await flush();
  }
  await flush();
}

/** A file that breaks off is a finding, while an error of the database ends the run: so reading is caught by itself. */
async function nextLine(reader: AsyncGenerator<Line>): Promise<Line | Error | null> {
  try {
    const { value, done } = await reader.next();
    return done ? null : value;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown) return thrown;
    throw thrown;
  }
}

function unreadable(error: Error & { code?: unknown }): string {
  return `the file cannot be read from here on (${String(error.code)})`;
}

type Importer = (run: Run, file: ExportFile, lines: readonly Line[]) => Promise<void>;
type Outcome = { readonly outcome: keyof Counts; readonly issues?: readonly InputIssue[] };

const IMPORTERS: Readonly<Record<ResourceType, Importer>> = {
  Organization: importer(toOrganization, scheduling.importOrganizations),
  Location: importer(toLocation, scheduling.importLocations),
  Practitioner: importer(toProvider, scheduling.importProviders),
  PractitionerRole: importer(toProviderRole, scheduling.importProviderRoles),
  Patient: importer(toPatient, care.importPatients),
};

interface Read<R> extends Mapped<R> {
  readonly number: number;
}

function importer<R extends { externalId: string }>(
  map: (resource: unknown, context: MappingContext) => Mapped<R>,
  save: (scope: Scope, records: readonly R[]) => Promise<readonly Outcome[]>,
): Importer {
  return async (run, file, lines) => {
    const taken: Read<R>[] = [];
    for (const line of lines) {
      try {
        taken.push({ ...readLine(run, file, { line, map }), number: line.number });
      } catch (thrown) {
        if (!(thrown instanceof Refused)) throw thrown;
        tellRefused(run, file, { number: line.number, issues: thrown.issues });
      }
    }
    if (taken.length > 0) await saveLeavingOut(run, file, { taken, save });
  };
}

function readLine<R extends { externalId: string }>(
  run: Run,
  { type }: ExportFile,
  { line, map }: { line: Line; map: (resource: unknown, context: MappingContext) => Mapped<R> },
): Mapped<R> {
  if ('damage' in line) throw new Refused([{ path: type, message: line.damage }]);
  const mapped = map(parseJson(type, line.text), run.context);
  const seen = run.seen.get(type) ?? new SeenIds();
  run.seen.set(type, seen);
  if (seen.add(mapped.record.externalId)) return mapped;
  throw new Refused([
    { path: pathOf(mapped, type, 'externalId'), message: 'expected an id not met before in this export' },
  ]);
}

/** The parser's own message quotes the line. */
function parseJson(type: ResourceType, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused([{ path: type, message: 'expected JSON' }]);
  }
}

const DISPENSABLE: ReadonlySet<string | undefined> = new Set([
  'address',
  'email',
  'furtherPhones',
  'language',
  'location',
  'organization',
  'phone',
  'speciality',
  'specialityCode',
]);

/** A record that is refused only for parts it can do without is offered once more without them. */
async function saveLeavingOut<R extends { externalId: string }>(
  run: Run,
  file: ExportFile,
  {
    taken,
    save,
  }: { taken: readonly Read<R>[]; save: (scope: Scope, records: readonly R[]) => Promise<readonly Outcome[]> },
): Promise<void> {
  const lesser: Read<R>[] = [];
  const outcomes = await save(
    run.scope,
    taken.map(({ record }) => record),
  );
  for (const [i, read] of taken.entries()) {
    const { outcome, issues = [] } = outcomes[i] as Outcome;
    const dispensable = issues.length > 0 && issues.every(({ path }) => DISPENSABLE.has(path[0]));
    const told = issues.map(({ path, message }) => ({ path: pathOf(read, file.type, path[0]), message }));
    if (dispensable) lesser.push(without(read, issues, told));
    else if (outcome === 'refused') tellRefused(run, file, { number: read.number, issues: told });
    else tellTaken(run, file, { read, outcome });
  }
  if (lesser.length > 0) await saveLeavingOut(run, file, { taken: lesser, save });
}

function without<R>(read: Read<R>, issues: readonly InputIssue[], told: readonly Issue[]): Read<R> {
  const record = { ...read.record } as Record<string, unknown>;
  for (const { path } of issues) delete record[path[0] ?? ''];
  const warnings = told.map(({ path, message }) => ({ path, message: `left out: ${message}` }));
  return { ...read, record: record as R, warnings: [...read.warnings, ...warnings] };
}

function pathOf(mapped: Mapped<unknown>, type: ResourceType, field: string | undefined): string {
  return mapped.origin[field ?? ''] ?? type;
}

function tellRefused(
  run: Run,
  file: ExportFile,
  { number, issues }: { number: number; issues: readonly Issue[] },
): void {
  run.counts[file.type].refused++;
  run.onFinding({ kind: 'refused', file: file.name, line: number, issues });
}

function tellTaken<R>(run: Run, file: ExportFile, { read, outcome }: { read: Read<R>; outcome: keyof Counts }): void {
  const counts = run.counts[file.type];
  counts[outcome]++;
  if (read.warnings.length === 0) return;
  counts.warned++;
  run.onFinding({ kind: 'warning', file: file.name, line: read.number, issues: read.warnings });
}
