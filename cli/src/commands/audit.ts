import { createPublicKey, type KeyObject } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import * as audit from '@careflex/core/audit';
import { type Command, InvalidArgumentError } from 'commander';
import { Failure, Misuse } from '../faults.ts';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';
import { share, startProgress } from '../progress.ts';

export function addAudit(program: Command): void {
  const trail = program.command('audit').description('the audit trail: check it, hand it out');
  withJson(trail.command('verify'))
    .description('check the whole trail, or an exported part of it, and name the first bad entry')
    .option('--head <file>', 'a signed head that was kept elsewhere; AUDIT_HEAD_FILE unless given')
    .option('--export <file>', 'check this export instead: it takes no database and no secret, but --public-key')
    .option('--public-key <file>', 'the PEM that "careflex audit public-key" wrote')
    .addHelpText(
      'after',
      `
Without a head from elsewhere a tail that was cut off together with its heads cannot be seen. Exit code 1 when an
entry was edited, deleted, inserted, reordered or cut off. An export is checked against the head it was made at, or an
older one that it was told of by --since; a newer head says nothing about it, and the exit code is 2.
${examples(
  'careflex audit verify --head /mnt/elsewhere/head.json',
  'careflex audit verify --export trail.ndjson --head head.json --public-key audit.pem',
)}`,
    )
    .action(verify);
  withJson(trail.command('export'))
    .description('write sealed entries as NDJSON, with what proves them')
    .option('--output <file>', 'standard output unless given')
    .option('--from-sequence <n>', 'from this sequence on', sequence)
    .option('--to-sequence <n>', 'up to this sequence, without it', sequence)
    .option('--since <head file>', 'prove that the export continues this head')
    .option('--resource-type <type>', 'entries about this type only, such as Patient')
    .option('--resource-id <id>', 'entries about this record only')
    .option('--user <id>', 'entries of this user only')
    .option('--action <action>', 'entries of this action only, such as patient.read')
    .option('--from <instant>', 'from this instant on', instant)
    .option('--to <instant>', 'up to this instant, without it', instant)
    .addHelpText(
      'after',
      examples(
        'careflex audit export --output trail.ndjson',
        'careflex audit export --since kept-head.json --output trail.ndjson',
        'careflex audit export --since kept-head.json --from 2026-03-01T00:00:00Z > march.ndjson',
        'careflex audit export --resource-id 0197… > part.ndjson',
      ),
    )
    .action(exportTrail);
  trail
    .command('public-key')
    .description('write the key that checks heads and exports; it is no secret')
    .addHelpText('after', examples('careflex audit public-key > audit.pem'))
    .action(async () => {
      process.stdout.write(await withApp(async (app) => audit.publicKeyPem(commandScope(app))));
    });
}

function sequence(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 0');
  return Number(text);
}

function instant(text: string): Temporal.Instant {
  try {
    return Temporal.Instant.from(text);
  } catch {
    throw new InvalidArgumentError('expected an instant such as 2026-03-08T09:00:00Z');
  }
}

interface VerifyOptions extends OutputOptions {
  readonly head?: string;
  readonly export?: string;
  readonly publicKey?: string;
}

async function verify({ json, ...options }: VerifyOptions): Promise<void> {
  const output = json ? { json } : {};
  const { result, lines } = options.export === undefined ? await verifyTrail(options) : await verifyExported(options);
  print(output, result, [...lines, ...(result.firstBad === null ? ['Nothing is wrong.'] : [])]);
  if (result.firstBad !== null) throw new Failure(describe(result.firstBad));
}

function describe(damage: audit.Damage | audit.ExportDamage): string {
  const place = damage.leafIndex === null ? 'without a sequence' : `sequence ${damage.leafIndex}`;
  return `The first bad entry (${damage.entryId ?? 'gone'}, ${place}): ${damage.kind}: ${damage.message}.`;
}

async function verifyTrail({ head }: VerifyOptions): Promise<{ result: audit.Verification; lines: string[] }> {
  const { result, trustedHead } = await withApp(async (app) => {
    using progress = startProgress('Checking');
    const file = head ?? app.config.AUDIT_HEAD_FILE;
    const trustedHead = file === undefined ? null : await readHead(file, head !== undefined);
    const onProgress = (leaves: number, of: number) => progress.update(share(leaves, of));
    return { result: await audit.verify(commandScope(app), { trustedHead, onProgress }), trustedHead };
  });
  const lines = [
    `${count(result.checked, 'sealed entry', 'sealed entries')} checked, ${result.unsealed} not sealed yet, ${result.pruned} dropped past their retention.`,
    trustedHead === null
      ? 'No head from elsewhere: a tail that was cut off would not be seen.'
      : `Compared with the head of ${count(trustedHead.size, 'entry', 'entries')} that was kept elsewhere.`,
  ];
  return { result, lines };
}

async function verifyExported({
  head,
  publicKey,
  ...options
}: VerifyOptions): Promise<{ result: audit.ExportCheck; lines: string[] }> {
  if (head === undefined || publicKey === undefined) throw new Misuse('--export needs --head and --public-key.');
  const trusted = await readHead(head, true);
  const key = await readPublicKey(publicKey);
  await using file = await open(options.export ?? '').catch(noSuchFile);
  const result = await audit.verifyExport(file.readLines(), trusted as audit.SignedHead, key);
  const kind = result.isComplete ? 'none of its range is missing' : 'a selection, so what is not in it is not proven';
  const lines = result.firstBad === null ? [`${count(result.count, 'entry', 'entries')} proven; ${kind}.`] : [];
  return { result, lines };
}

async function readPublicKey(file: string): Promise<KeyObject> {
  const pem = await readFile(file, 'utf8').catch(noSuchFile);
  try {
    return createPublicKey(pem);
  } catch {
    throw new Misuse(`${file} does not hold a public key in PEM, as "careflex audit public-key" writes it.`);
  }
}

function noSuchFile(thrown: NodeJS.ErrnoException): never {
  throw thrown.code === 'ENOENT' ? new Misuse(`There is no file ${thrown.path}.`) : thrown;
}

async function readHead(file: string, mustExist: boolean): Promise<audit.SignedHead | null> {
  const head = await audit.readHeadFile(file).catch(() => {
    throw new Misuse(`${file} is not a signed head.`);
  });
  if (head === null && mustExist) throw new Misuse(`There is no file ${file}.`);
  return head;
}

interface ExportOptions extends OutputOptions {
  readonly output?: string;
  readonly fromSequence?: number;
  readonly toSequence?: number;
  readonly since?: string;
  readonly resourceType?: string;
  readonly resourceId?: string;
  readonly user?: string;
  readonly action?: string;
  readonly from?: Temporal.Instant;
  readonly to?: Temporal.Instant;
}

async function exportTrail({ output, since, user: userId, json, ...filter }: ExportOptions): Promise<void> {
  const known = since === undefined ? {} : { since: await readHead(since, true) };
  const exported = await withApp(async (app) => {
    using progress = startProgress('Exporting');
    const stream = output === undefined ? process.stdout : createWriteStream(output, { mode: 0o600 });
    let lines = 0;
    const write = async (line: string) => {
      progress.update(`${(++lines).toLocaleString('en')} lines`);
      if (!stream.write(line)) await once(stream, 'drain');
    };
    const exported = await audit.exportEntries(commandScope(app), { ...filter, ...known, userId }, write);
    if (stream !== process.stdout)
      await new Promise<void>((resolve, reject) => stream.once('error', reject).end(() => resolve()));
    return exported;
  });
  if (exported === null) throw new Failure('Nothing is sealed yet, so there is nothing to export.');
  const { range, head } = exported;
  const says = `${count(exported.count, 'entry', 'entries')} of sequences ${range[0]} to ${range[1]}, proven by the head of ${head.size}.`;
  if (output === undefined) process.stderr.write(`${says}\n`);
  else print(json ? { json } : {}, exported, [says]);
}
