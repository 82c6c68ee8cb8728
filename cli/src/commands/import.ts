import { type Finding, IMPORT_SOURCE, importDirectory, type ImportReport } from '@careflex/core/fhir-import';
import { type Command, InvalidArgumentError } from 'commander';
import { Failure } from '../faults.ts';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';
import { share, startProgress } from '../progress.ts';

export function addImport(program: Command): void {
  const imports = program.command('import').description('bring in data of other systems');
  withJson(imports.command('fhir'))
    .description('import a FHIR R4 bulk export: patients, practitioners, organizations, locations')
    .argument('<directory>', 'with <Type>.ndjson, <Type>.000.ndjson or <Type>.ndjson.gz')
    .option('--source <name>', 'a short name of the exporting system, where there are several', source)
    .option('--batch <lines>', 'lines in a transaction', positive)
    .addHelpText(
      'after',
      `
A bad line is refused by itself: its file, line and reason go to standard error, the others are imported. A second
run changes nothing, and updates what has changed. Exit code 1 when a line was refused.
${examples('careflex import fhir ./export', 'careflex import fhir ./export --source hospital --json > report.json')}`,
    )
    .action(importFhir);
}

function source(text: string): string {
  if (!IMPORT_SOURCE.test(text)) {
    throw new InvalidArgumentError('expected up to 32 letters, digits, dots and hyphens');
  }
  return text;
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('expected a whole number above 0');
  return number;
}

interface Options extends OutputOptions {
  readonly source?: string;
  readonly batch?: number;
}

async function importFhir(directory: string, { json, ...options }: Options): Promise<void> {
  const findings: Finding[] = [];
  const report = await withApp(async (app) => {
    using progress = startProgress('Importing');
    return importDirectory(commandScope(app), directory, {
      ...options,
      onFinding(finding) {
        progress.clear();
        process.stderr.write(`${lineOf(finding)}\n`);
        if (json) findings.push(finding);
      },
      onProgress: ({ file, line, bytes, totalBytes }) =>
        progress.update(`${file} line ${line.toLocaleString('en')}, ${share(bytes, totalBytes)} bytes`),
    });
  });
  print(json ? { json } : {}, { ...report, findings }, tableOf(report));
  const refused = Object.values(report.counts).reduce((sum, counts) => sum + counts.refused, 0);
  if (refused > 0) throw new Failure(`${count(refused, 'line')} refused; the rest is imported.`);
}

function lineOf({ kind, file, line, issues }: Finding): string {
  return `${file}:${line}: ${kind}: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`;
}

const COLUMNS = ['created', 'updated', 'unchanged', 'refused', 'warned'] as const;

function tableOf({ counts, ignored }: ImportReport): string[] {
  const row = (name: string, cells: readonly string[]) =>
    name.padEnd(20) + cells.map((cell) => cell.padStart(11)).join('');
  return [
    row('', COLUMNS),
    ...Object.entries(counts).map(([type, of]) =>
      row(
        type,
        COLUMNS.map((column) => of[column].toLocaleString('en')),
      ),
    ),
    ...ignored.map((file) => `${file} is of no known type and was left out`),
  ];
}
