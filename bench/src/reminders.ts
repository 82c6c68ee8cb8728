/**
 * Reminders that are all due at once, delivered by two workers to the simulated provider, each once: how many a second.
 *
 *     node bench/src/reminders.ts [reminders]
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, createApp } from '@careflex/core/app';
import * as care from '@careflex/core/care';
import { install } from '@careflex/core/installation';
import * as notifications from '@careflex/core/notifications';
import { readConfig } from '@careflex/core/platform/config';
import { startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { createLog } from '@careflex/core/platform/log';
import * as scheduling from '@careflex/core/scheduling';
import pg from 'pg';
import { systemScope } from './api-bench.ts';
import { phoneOf } from './synthetic-patients.ts';
import { start, told } from './children.ts';

export interface WorkerSettings {
  readonly databaseUrl: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface ReminderFigures {
  readonly reminders: number;
  readonly seconds: number;
  readonly aSecond: number;
  /** Taken by the provider more than once; none, or the bench fails. */
  readonly doubled: number;
  readonly loadBefore: number;
}

const WORKERS = 2;
const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' };
const CREDENTIALS = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-the-bench-only' };

export async function measureReminders({ reminders = 100_000 } = {}): Promise<ReminderFigures> {
  await using parts = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  parts.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  parts.defer(() => server.stop());
  const provider = start(parts, 'reminders-provider');
  const url = await told<string>(provider, { credentials: CREDENTIALS, kept: reminders + 1 });
  const environment = environmentFor(url);
  const config = readConfig(environment);
  await install(server.adminUrl, LOGIN, { config, log: createLog('silent') });
  const databaseUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  await using app = await createApp(config, { databaseUrl, log: createLog('silent') });
  const admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  parts.defer(() => admin.end());
  await seed(app, admin, reminders);

  const settings: WorkerSettings = { databaseUrl, environment };
  const workers = Array.from({ length: WORKERS }, () => start(parts, 'reminders-worker'));
  await Promise.all(workers.map((worker) => told(worker, settings)));
  const loadBefore = loadavg()[0] as number;
  const begun = performance.now();
  await admin.query(`update notifications set due_at = now() - interval '1 second'`);
  await settled(admin);
  const seconds = (performance.now() - begun) / 1_000;
  const doubled = await countDoubled(url, reminders);
  return { reminders, seconds, aSecond: reminders / seconds, doubled, loadBefore };
}

function environmentFor(url: string): Record<string, string> {
  const secret = () => randomBytes(32).toString('base64');
  return {
    NODE_ENV: 'test',
    CAREFLEX_KEYS: `1:${secret()}`,
    CAREFLEX_SECRET: secret(),
    CLINIC_PHONE: '+12125550100',
    TWILIO_ACCOUNT_SID: CREDENTIALS.accountSid,
    TWILIO_AUTH_TOKEN: CREDENTIALS.authToken,
    TWILIO_BASE_URL: url,
    SMS_FROM: '+12125550190',
  };
}

const AT_ONCE = 500;

/** A patient each, who may be written to at this hour wherever it is day now, and a visit tomorrow. */
async function seed(app: App, admin: pg.Client, count: number): Promise<void> {
  const timeZone = zoneWhereItIsNoon();
  for (let from = 0; from < count; from += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => from + i);
    const outcomes = await care.importPatients(
      systemScope(app),
      numbers.map((n) => ({
        externalId: `bench-${n}`,
        firstName: 'Ada',
        lastName: 'Lovelace',
        phone: phoneOf(n),
        timeZone,
        preferences: { channels: ['SMS'] },
      })),
    );
    const ids = outcomes.flatMap((outcome) => ('patientId' in outcome ? outcome.patientId : []));
    await notifications.importConsents(systemScope(app), ids, { wordingVersion: '1', evidence: 'bench' });
  }
  const [provider] = await scheduling.importProviders(systemScope(app), [
    { externalId: 'bench', name: 'bench', knownAs: ['bench'], timeZone: 'UTC' },
  ]);
  if (provider === undefined || !('id' in provider)) throw new Error('There is no provider');
  await admin.query('alter table appointments disable trigger user');
  await admin.query(
    `insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from, blocks_until,
       time_zone, overrides, created_at, updated_at)
     select gen_random_uuid(), id, $1, 'TELEHEALTH', 'SCHEDULED', at, at + interval '30 min', at, at + interval '30 min',
       'UTC', array['PROVIDER_BUSY'], now(), now()
     from patients, lateral (select date_trunc('hour', now()) + interval '24 hours' as at) t`,
    [provider.id],
  );
  await admin.query('alter table appointments enable trigger user');
  await admin.query(
    `insert into notifications (id, appointment_id, revision, patient_id, kind, channel, status, due_at, expires_at,
       created_at, updated_at)
     select gen_random_uuid(), id, 1, patient_id, 'REMINDER_24H', 'SMS', 'PLANNED', now() + interval '10 hours',
       now() + interval '20 hours', now(), now() from appointments`,
  );
  await admin.query('analyze');
}

function zoneWhereItIsNoon(): string {
  const behind = Temporal.Now.zonedDateTimeISO('UTC').hour - 12;
  return behind === 0 ? 'UTC' : `Etc/GMT${behind > 0 ? '+' : '-'}${Math.abs(behind)}`;
}

async function settled(admin: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await admin.query<{ left: boolean }>(
      `select exists (select from notifications where status in ('PLANNED', 'CLAIMED')) as left`,
    );
    if (rows[0]?.left !== true) break;
    await sleep(200);
  }
  const { rows } = await admin.query<{ status: string }>(
    `select distinct status || coalesce(' ' || reason, '') as status from notifications`,
  );
  const words = rows.map(({ status }) => status);
  if (words.join() !== 'SENT') throw new Error(`Not all were sent: ${words.join(', ')}`);
}

async function countDoubled(url: string, reminders: number): Promise<number> {
  const response = await fetch(`${url}/simulator/messages?limit=200000`);
  const given = (await response.json()) as { to: string }[];
  const numbers = new Set(given.map(({ to }) => to));
  if (numbers.size !== reminders) throw new Error(`${numbers.size} of ${reminders} reached the provider`);
  return given.length - numbers.size;
}

if (import.meta.main) {
  const [reminders = 100_000] = process.argv.slice(2).map(Number);
  const figures = await measureReminders({ reminders });
  console.table([figures]);
  if (figures.doubled > 0) process.exitCode = 1;
}
