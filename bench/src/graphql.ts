/**
 * One patient by id, and a page of 50, through the whole API: as a ratio to the very same statements in the same
 * transactions by pgbench, on the same server, in turns within one run.
 *
 *     node bench/src/graphql.ts [patients] [seconds a turn] [turns]
 */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as accounts from '@careflex/core/accounts';
import { type App, createApp } from '@careflex/core/app';
import * as care from '@careflex/core/care';
import { install } from '@careflex/core/installation';
import { readConfig } from '@careflex/core/platform/config';
import { startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { createLog } from '@careflex/core/platform/log';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { startApi } from '@careflex/web/main';
import pg from 'pg';
import type { Load, LoadResult } from './http-load.ts';
import { sqlBaseline, type Statement } from './sql-baseline.ts';
import { syntheticPatients } from './synthetic-patients.ts';

export interface GraphqlFigures {
  readonly operation: string;
  /** Requests a second, the median of the turns. */
  readonly api: number;
  /** Transactions a second, the median of the turns. */
  readonly sql: number;
  readonly ratio: number;
  /** What ran the statements by themselves. */
  readonly by: string;
}

const FIELDS =
  'id externalId firstName lastName email phone dateOfBirth timeZone language status version createdAt updatedAt';
const OPERATIONS = [
  { name: 'patient by id', query: `query($id: ID!) { patient(id: $id) { ${FIELDS} } }` },
  {
    name: 'page of 50 patients',
    query: `{ patients(first: 50) { edges { cursor node { ${FIELDS} } } } }`,
  },
];
const CLIENTS = 8;

export async function measureGraphql({ patients = 10_000, seconds = 5, turns = 5 } = {}): Promise<GraphqlFigures[]> {
  await using bench = await openBench(patients);
  const figures: GraphqlFigures[] = [];
  for (const { name, query } of OPERATIONS) {
    const load: Load = {
      url: `${bench.url}/graphql`,
      token: bench.token,
      query,
      ids: bench.ids,
      clients: CLIENTS,
      seconds,
    };
    const statements = await statementsOf(() => ask(load));
    const scriptFile = path.join(bench.directory, 'script.sql');
    const { databaseUrl } = bench;
    const baseline = sqlBaseline({ databaseUrl, statements, clients: CLIENTS, seconds, scriptFile });
    const api: number[] = [];
    const sql: number[] = [];
    await runLoad({ ...load, seconds: 3 });
    for (let turn = 0; turn < turns; turn++) {
      sql.push(await baseline.run(turns * figures.length + turn));
      api.push(await runLoad(load));
    }
    figures.push({
      operation: name,
      api: median(api),
      sql: median(sql),
      ratio: median(api) / median(sql),
      by: baseline.by,
    });
  }
  return figures;
}

interface Bench extends AsyncDisposable {
  readonly directory: string;
  readonly databaseUrl: string;
  readonly url: string;
  readonly token: string;
  readonly ids: string[];
}

const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' };

async function openBench(patients: number): Promise<Bench> {
  await using parts = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  parts.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  parts.defer(() => server.stop());
  const config = benchConfig();
  const log = createLog('silent');
  await install(server.adminUrl, LOGIN, { config, log });
  const databaseUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  const app = parts.use(await createApp(config, { databaseUrl, log }));
  const ids = await importPatients(app, patients);
  const token = await signInAgent(app);
  const api = await startApi(app, { port: 0, host: '127.0.0.1' });
  parts.defer(() => api.close());
  const open = parts.move();
  return { directory, databaseUrl, url: api.url, token, ids, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

function benchConfig() {
  const key = () => randomBytes(32).toString('base64');
  const many = '10000000';
  return readConfig({
    NODE_ENV: 'production',
    CAREFLEX_KEYS: `1:${key()}`,
    CAREFLEX_SECRET: key(),
    ACCESS_TOKEN_MINUTES: '60',
    SESSION_IDLE_MINUTES: '600',
    RATE_LIMIT_PER_ADDRESS: many,
    RATE_LIMIT_PER_PRINCIPAL: many,
  });
}

function systemScope(app: App): Scope {
  return app.scope(SYSTEM, { id: 'bench', ip: null, userAgent: null });
}

async function importPatients(app: App, count: number): Promise<string[]> {
  const ids: string[] = [];
  let batch: care.ImportedPatient[] = [];
  const flush = async () => {
    const outcomes = await care.importPatients(systemScope(app), batch);
    ids.push(...outcomes.flatMap((outcome) => ('patientId' in outcome ? outcome.patientId : [])));
    batch = [];
  };
  for (const patient of syntheticPatients(count)) {
    batch.push(patient);
    if (batch.length === 500) await flush();
  }
  await flush();
  return ids;
}

async function signInAgent(app: App): Promise<string> {
  const [email, password] = ['agent@bench.example', randomBytes(24).toString('base64url')];
  await accounts.createUser(systemScope(app), { email, password, displayName: 'Bench', role: 'agent' });
  return (await accounts.login(systemScope(app), { email, password })).accessToken;
}

async function ask({ url, token, query, ids }: Load): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables: { id: ids[0] } }),
  });
  const { errors } = (await response.json()) as { errors?: unknown };
  if (errors) throw new Error(JSON.stringify(errors));
}

/** What one operation sends to the database, once its connection knows the statements. */
async function statementsOf(operation: () => Promise<void>): Promise<Statement[]> {
  await operation();
  // Until what the first one set in motion, such as the numbering of events, is over.
  await sleep(1_500);
  const statements: Statement[] = [];
  const { prototype } = pg.Client;
  const original = Reflect.get(prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(prototype, 'query', function capture(this: pg.Client, ...args: unknown[]) {
    const [query] = args as [string | { text: string; values?: unknown[] }];
    statements.push(typeof query === 'string' ? { text: query, values: [] } : { values: [], ...query });
    return original.apply(this, args);
  });
  try {
    await operation();
  } finally {
    Reflect.set(prototype, 'query', original);
  }
  return statements;
}

/** From a process of its own, so that asking does not cost the API its time. */
function runLoad(load: Load): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('http-load.ts', import.meta.url), { serialization: 'advanced' });
    child.on('message', ({ requests, milliseconds }: LoadResult) => resolve((requests / milliseconds) * 1_000));
    child.on('exit', (code) => (code === 0 ? undefined : reject(new Error('The load ended early'))));
    child.send(load);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

if (import.meta.main) {
  const [patients = 10_000, seconds = 5, turns = 5] = process.argv.slice(2).map(Number);
  console.table(await measureGraphql({ patients, seconds, turns }));
}
