/**
 * A night's sync with the payer: one worker, the simulated payer, every tenth patient with a difference. How many a second,
 * and how much memory the worker takes.
 *
 *     node bench/src/benefits-sync.ts [patients]
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@careflex/core/app';
import { install } from '@careflex/core/installation';
import { readConfig } from '@careflex/core/platform/config';
import { startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { createLog } from '@careflex/core/platform/log';
import { transact } from '@careflex/core/platform/scope';
import pg from 'pg';
import { systemScope } from './api-bench.ts';
import { start, told } from './children.ts';

export interface SyncFigures {
  readonly patients: number;
  readonly seconds: number;
  readonly aSecond: number;
  /** Of the worker, in MB: after a tenth of the patients, and the most after that. */
  readonly rssEarly: number;
  readonly rssMost: number;
  /** What one patient takes of a core, in ms: of the worker's, and of the payer's, which is simulated. */
  readonly workerCpu: number;
  readonly payerCpu: number;
  readonly loadBefore: number;
}

const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' };
const CREDENTIALS = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-the-bench-only' };
const YEAR = new Date(performance.timeOrigin).getFullYear();

export async function measureSync({ patients = 100_000 } = {}): Promise<SyncFigures> {
  await using parts = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  parts.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  parts.defer(() => server.stop());
  const payer = start(parts, 'reminders-provider');
  const url = await told<string>(payer, { credentials: CREDENTIALS });
  const environment = environmentFor(url);
  const config = readConfig(environment);
  await install(server.adminUrl, LOGIN, { config, log: createLog('silent') });
  const databaseUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  await using app = await createApp(config, { databaseUrl, log: createLog('silent') });
  const admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  parts.defer(() => admin.end());
  await seed(admin, url, patients);

  const worker = start(parts, 'reminders-worker');
  await told(worker, { databaseUrl, environment });
  const loadBefore = loadavg()[0] as number;
  const processes = [worker.pid as number, payer.pid as number] as const;
  const before = processes.map(cpuMs);
  const begun = performance.now();
  await transact(systemScope(app), (scope) => scope.jobs.enqueue(scope, 'benefits-sync', {}));
  const { rssEarly, rssMost } = await finished(admin, processes[0], patients);
  const seconds = (performance.now() - begun) / 1_000;
  const [workerCpu = Number.NaN, payerCpu = Number.NaN] = processes.map(
    (pid, i) => (cpuMs(pid) - (before[i] as number)) / patients,
  );
  return { patients, seconds, aSecond: patients / seconds, rssEarly, rssMost, workerCpu, payerCpu, loadBefore };
}

function environmentFor(url: string): Record<string, string> {
  const secret = () => randomBytes(32).toString('base64');
  return {
    NODE_ENV: 'test',
    CAREFLEX_KEYS: `1:${secret()}`,
    CAREFLEX_SECRET: secret(),
    BENEFITS_API_URL: `${url}/payer/fhir`,
    BENEFITS_SYNC_PER_SECOND: '10000',
  };
}

/** Nobody reads who they are: the sync knows them by the payer's id. */
async function seed(admin: pg.Client, url: string, patients: number): Promise<void> {
  await admin.query(
    `insert into patients (id, external_id, status, time_zone, language, preferences, data_key, identity, created_at, updated_at)
     select gen_random_uuid(), 'member-' || n, 'ACTIVE', 'UTC', 'en', '{}', '\\x00', '\\x00', now(), now()
     from generate_series(1, $1::int) n`,
    [patients],
  );
  await admin.query(
    `with made as (
       insert into benefits (id, patient_id, type, unit, period_start, period_end, time_zone, external_plan_id, allocated,
         created_at, updated_at)
       select gen_random_uuid(), id, 'TRANSPORTATION', 'MONEY', $1, $2, 'UTC', 'plan-' || external_id, 200, now(), now()
       from patients returning id)
     insert into benefit_entries (id, benefit_id, unit, kind, amount, service_date, recorded_by, recorded_role, recorded_at)
     select gen_random_uuid(), id, 'MONEY', 'ALLOCATE', 200, $1, gen_random_uuid(), 'system', now() from made`,
    [`${YEAR}-01-01`, `${YEAR}-12-31`],
  );
  await admin.query('analyze');
  for (let from = 1; from <= patients; from += 1_000) {
    const members = Array.from({ length: Math.min(1_000, patients - from + 1) }, (_, i) => memberOf(from + i));
    const response = await fetch(`${url}/simulator/payer/members`, { method: 'POST', body: JSON.stringify(members) });
    if (!response.ok) throw new Error(`The payer takes no members: ${await response.text()}`);
  }
}

const memberOf = (n: number) => ({
  member: `member-${n}`,
  plans: [
    {
      id: `plan-member-${n}`,
      start: `${YEAR}-01-01`,
      end: `${YEAR}-12-31`,
      benefits: [{ code: 'TRANSPORTATION', allowed: '200', used: n % 10 === 0 ? '10' : '0' }],
    },
  ],
});

interface Run {
  readonly synced: number;
  readonly failed: number;
  readonly drifted: number;
  readonly finished: boolean;
}

async function finished(admin: pg.Client, pid: number, patients: number) {
  let rssEarly = 0;
  let rssMost = 0;
  for (;;) {
    const { rows } = await admin.query<Run>(
      'select synced, failed, drifted, finished_at is not null as finished from benefit_sync_runs',
    );
    const [run] = rows;
    if (run && run.synced >= patients / 10) {
      const rss = residentMb(pid);
      rssEarly ||= rss;
      rssMost = Math.max(rssMost, rss);
    }
    if (run?.finished) {
      if (run.synced !== patients || run.drifted !== Math.floor(patients / 10))
        throw new Error(`Not all were synced: ${JSON.stringify(run)}`);
      return { rssEarly, rssMost };
    }
    await sleep(200);
  }
}

/** Where there is no /proc, nobody knows. */
function residentMb(pid: number): number {
  try {
    const [, kilobytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Math.round(Number(kilobytes) / 1_024);
  } catch {
    return Number.NaN;
  }
}

/** A tick of the kernel's accounting is a hundredth of a second. */
function cpuMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}

if (import.meta.main) {
  const [patients = 100_000] = process.argv.slice(2).map(Number);
  console.table([await measureSync({ patients })]);
}
