import { statSync } from 'node:fs';
import path from 'node:path';
import type { App } from '@careflex/core/app';
import * as audit from '@careflex/core/audit';
import { type DatabaseAccess, databaseTime, loginRoleFaults } from '@careflex/core/installation';
import { keyColumns } from '@careflex/core/key-columns';
import type { Config } from '@careflex/core/platform/config';
import { DEAD_LETTERS, queueCounts } from '@careflex/core/platform/jobs';
import { createLog } from '@careflex/core/platform/log';
import { wrappingKeys } from '@careflex/core/platform/rotation';
import type { Command } from 'commander';
import { Failure, sentenceOf } from '../faults.ts';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, loadConfig, openApp, openDatabase } from '../platform.ts';

export function addDoctor(program: Command): void {
  withJson(program.command('doctor'))
    .description('look for what is wrong: configuration, database, roles, keys, jobs, audit')
    .addHelpText(
      'after',
      `\nExit code 1 when something is wrong; what is only worth knowing is no fault.\n${examples('careflex doctor')}`,
    )
    .action(examine);
}

interface Finding {
  readonly name: string;
  readonly level: 'ok' | 'note' | 'fault';
  readonly says: string;
}

interface Patient {
  readonly config: Config;
  readonly access: DatabaseAccess;
  readonly app: App;
}

type Check = (patient: Patient) => Promise<Omit<Finding, 'name'>>;

const CHECKS: Readonly<Record<string, Check>> = {
  'login role': loginRole,
  clock,
  keys,
  jobs,
  'audit trail': auditTrail,
  messages,
  secrets,
};

async function examine(options: OutputOptions): Promise<void> {
  const config = loadConfig();
  const findings: Finding[] = [{ name: 'configuration', ...ok(`is complete, for ${config.NODE_ENV}`) }];
  try {
    await using database = await openDatabase(config);
    await using app = await openApp(config, database, createLog('silent'));
    findings.push({ name: 'database', ...ok('answers and is up to date') });
    for (const [name, check] of Object.entries(CHECKS)) {
      const found = await check({ config, access: database.access, app }).catch(faultOf);
      findings.push({ name, ...found });
    }
  } catch (thrown) {
    findings.push({ name: 'database', ...faultOf(thrown) });
  }
  const healthy = findings.every(({ level }) => level !== 'fault');
  print(options, { healthy, findings }, findings.map(lineOf));
  if (!healthy) throw new Failure('Something is wrong.');
}

const MARKS = { ok: 'ok   ', note: 'note ', fault: 'WRONG' } as const;

function lineOf({ name, level, says }: Finding): string {
  return `${MARKS[level]}  ${name.padEnd(14)} ${says}`;
}

const ok = (says: string) => ({ level: 'ok', says }) as const;
const note = (says: string) => ({ level: 'note', says }) as const;
const fault = (says: string) => ({ level: 'fault', says }) as const;
const faultOf = (thrown: unknown) => fault(sentenceOf(thrown));

async function loginRole({ access }: Patient): Promise<Omit<Finding, 'name'>> {
  const faults = await loginRoleFaults(access.url);
  return faults.length === 0 ? ok('can do nothing by itself') : fault(`is not as it must be: ${faults.join('; ')}`);
}

const TOLERATED_SKEW_MS = 5_000;

async function clock({ access, app }: Patient): Promise<Omit<Finding, 'name'>> {
  const database = await databaseTime(access.url);
  const skewMs = Math.abs(database.epochMilliseconds - app.clock.now().epochMilliseconds);
  const says = `differs from the database's by ${skewMs} ms`;
  return skewMs > TOLERATED_SKEW_MS ? fault(says) : ok(says);
}

const sealed = (n: number) => count(n, 'data key or message', 'data keys and messages');

async function keys({ app }: Patient): Promise<Omit<Finding, 'name'>> {
  const used = await wrappingKeys(commandScope(app), keyColumns);
  const known = new Set(app.config.CAREFLEX_KEYS.map(({ id }) => id));
  const lost = [...used].filter(([id]) => !known.has(id));
  if (lost.length > 0) {
    const parts = lost.map(([id, keys]) => `${sealed(keys)} under key ${id}`);
    return fault(`${parts.join(', ')}, which CAREFLEX_KEYS lacks: what they seal cannot be read`);
  }
  const { id: active } = app.vault.ring.active;
  const old = [...used].filter(([id]) => id !== active).reduce((sum, [, keys]) => sum + keys, 0);
  if (old > 0) return note(`${sealed(old)} not yet under the active key ${active}; run "careflex keys rotate"`);
  return ok(`every data key and message is under the active key ${active}`);
}

async function jobs({ app }: Patient): Promise<Omit<Finding, 'name'>> {
  const counts = await queueCounts(commandScope(app));
  const dead = counts.filter(({ queue }) => queue === DEAD_LETTERS).reduce((sum, { jobs }) => sum + jobs, 0);
  return dead > 0
    ? note(`${count(dead, 'job')} failed for good and wait in ${DEAD_LETTERS}`)
    : ok('none has failed for good');
}

const TOLERATED_LAG_SECONDS = 60;

async function auditTrail({ app }: Patient): Promise<Omit<Finding, 'name'>> {
  const foreign = await audit.foreignGuards(commandScope(app));
  if (foreign.length > 0) return fault(`is not guarded as it must be: ${foreign.join('; ')}`);
  // Read before the database is asked: a sealer goes on meanwhile.
  const file = app.config.AUDIT_HEAD_FILE;
  const kept = file === undefined ? null : await audit.readHeadFile(file).catch(() => 'unreadable' as const);
  if (kept === 'unreadable') return fault(`${file} does not hold a signed head`);
  try {
    await audit.verifyTail(commandScope(app), kept);
  } catch (thrown) {
    if (!(thrown instanceof audit.TrailDamaged)) throw thrown;
    return fault(`is damaged: ${thrown.message}; "careflex audit verify" tells more`);
  }
  const seconds = Math.round(await audit.sealLag(commandScope(app)));
  if (seconds > TOLERATED_LAG_SECONDS)
    return note(`its oldest unsealed entry is ${seconds} s old; is a worker running?`);
  if (kept === null) return note('is sealed, but no head is kept elsewhere: a cut-off tail would not be seen');
  return ok('is sealed, and its end is as the head says; "careflex audit verify" checks all of it');
}

async function messages({ config }: Patient): Promise<Omit<Finding, 'name'>> {
  const missing = [
    ...(config.TWILIO_ACCOUNT_SID && config.TWILIO_AUTH_TOKEN && config.SMS_FROM ? [] : ['text messages']),
    ...(config.SMTP_URL ? [] : ['e-mail']),
  ];
  if (missing.length === 0) return ok('text messages and e-mail are configured');
  const says = `${missing.join(' and ')} not configured`;
  return config.NODE_ENV === 'production' ? note(says) : ok(`${says}: "careflex start" has simulators`);
}

const OTHERS = 0o077;

async function secrets({ config }: Patient): Promise<Omit<Finding, 'name'>> {
  const file = path.join(config.CAREFLEX_DATA_DIR, 'secrets.json');
  const found = statSync(file, { throwIfNoEntry: false });
  if (config.NODE_ENV === 'production' || !found) return ok('come from the environment');
  if ((found.mode & OTHERS) !== 0) return fault(`${file} may be read by others`);
  return ok(`made for development, in ${file}`);
}
