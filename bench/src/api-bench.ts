/**
 * The whole API, a process for each core, on a durable PostgreSQL of its own, and the same statements by themselves: what
 * both do a second, in turns within one run.
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
import { start, told } from './children.ts';
import type { Load, LoadResult } from './http-load.ts';
import { sqlBaseline, type Statement, type Vary } from './sql-baseline.ts';
import { syntheticPatients } from './synthetic-patients.ts';

export interface Figures {
  readonly operation: string;
  /** Requests a second, the median of the turns. */
  readonly api: number;
  /** Transactions a second, the median of the turns. */
  readonly sql: number;
  readonly ratio: number;
  /** What ran the statements by themselves. */
  readonly by: string;
  /** Of the API's answers, in milliseconds, with as many clients as asked at once. */
  readonly p50: number;
  readonly p99: number;
}

export interface Operation {
  readonly name: string;
  readonly query: string;
  /** Each request has the next one's variables; none is used in two turns while there are enough. */
  readonly variables: readonly object[];
  /** Every answer has this text in it. */
  readonly expect: string;
  /** What differs from one transaction to the next: an expression in the place of a value. */
  readonly vary?: (variables: object, answer: string) => Vary;
}

export interface Turns {
  readonly seconds: number;
  readonly turns: number;
}

const CLIENTS = 8;

/** Runs the operation and its statements in turns. */
export async function compare(bench: ApiBench, operation: Operation, { seconds, turns }: Turns): Promise<Figures> {
  const { query, expect } = operation;
  const share = Math.max(1, Math.floor(operation.variables.length / (turns + 2)));
  const variablesOf = (turn: number) => {
    const from = (turn * share) % operation.variables.length;
    return operation.variables.slice(from, from + share);
  };
  const load = { urls: bench.urls, token: bench.token, query, expect, clients: CLIENTS, seconds };
  const { statements, vary } = await captured(bench, operation, variablesOf(turns + 1));
  const scriptFile = path.join(bench.directory, 'script.sql');
  const { databaseUrl } = bench;
  const baseline = sqlBaseline({
    databaseUrl,
    statements,
    clients: CLIENTS,
    seconds,
    scriptFile,
    ...(vary && { vary }),
  });
  const api: LoadResult[] = [];
  const sql: number[] = [];
  await runLoad({ ...load, variables: variablesOf(turns), seconds: 3 });
  for (let turn = 0; turn < turns; turn++) {
    sql.push(await baseline.run());
    api.push(await runLoad({ ...load, variables: variablesOf(turn) }));
  }
  const rates = api.map(({ requests, milliseconds }) => (requests / milliseconds) * 1_000);
  return {
    operation: operation.name,
    api: median(rates),
    sql: median(sql),
    ratio: median(rates) / median(sql),
    by: baseline.by,
    p50: median(api.map(({ p50 }) => p50)),
    p99: median(api.map(({ p99 }) => p99)),
  };
}

/** The latencies of one client alone. */
export async function latencies(bench: ApiBench, operation: Operation, seconds: number): Promise<LoadResult> {
  const { query, expect, variables } = operation;
  const load = { urls: bench.urls, token: bench.token, query, expect, variables, clients: 1 };
  await runLoad({ ...load, seconds: 2 });
  return runLoad({ ...load, seconds });
}

export interface ApiBench extends AsyncDisposable {
  readonly directory: string;
  readonly adminUrl: string;
  readonly databaseUrl: string;
  /** Of each of the API's processes. */
  readonly urls: readonly string[];
  /** Of one more, in this process, which is asked what it sends to the database. */
  readonly url: string;
  /** Of an agent. */
  readonly token: string;
  readonly app: App;
  readonly patientIds: readonly string[];
}

/** On the two cores that the figures are of. */
const PROCESSES = 2;
const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' };

export async function openApiBench(patients: number): Promise<ApiBench> {
  await using parts = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  parts.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  parts.defer(() => server.stop());
  const environment = benchEnvironment();
  const config = readConfig(environment);
  const log = createLog('silent');
  await install(server.adminUrl, LOGIN, { config, log });
  const databaseUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  const app = parts.use(await createApp(config, { databaseUrl, log }));
  const patientIds = await importPatients(app, patients);
  const token = await signInAgent(app);
  const api = await startApi(app, { port: 0, host: '127.0.0.1' });
  parts.defer(() => api.close());
  const urls = await Promise.all(
    Array.from({ length: PROCESSES }, () => told<string>(start(parts, 'api-process'), { databaseUrl, environment })),
  );
  const open = parts.move();
  return {
    directory,
    adminUrl: server.adminUrl,
    databaseUrl,
    urls,
    url: api.url,
    token,
    app,
    patientIds,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function benchEnvironment() {
  const key = () => randomBytes(32).toString('base64');
  const many = '10000000';
  return {
    NODE_ENV: 'production',
    CAREFLEX_KEYS: `1:${key()}`,
    CAREFLEX_SECRET: key(),
    ACCESS_TOKEN_MINUTES: '60',
    SESSION_IDLE_MINUTES: '600',
    RATE_LIMIT_PER_ADDRESS: many,
    SOCKETS_PER_ADDRESS: many,
    RATE_LIMIT_PER_PRINCIPAL: many,
  };
}

export function systemScope(app: App): Scope {
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

/** What one operation sends to the database, once its connection knows the statements. */
async function captured(bench: ApiBench, operation: Operation, variables: readonly object[]) {
  const [first = {}, second = first] = variables;
  await ask(bench, operation, first);
  // Until what the first one set in motion, such as the numbering of events, is over.
  await sleep(1_500);
  const byClient = new Map<unknown, Statement[]>();
  const { prototype } = pg.Client;
  const original = Reflect.get(prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(prototype, 'query', function capture(this: pg.Client, ...args: unknown[]) {
    const [query] = args as [string | { text: string; values?: unknown[] }];
    const statements = byClient.get(this) ?? [];
    byClient.set(this, statements);
    statements.push(typeof query === 'string' ? { text: query, values: [] } : { values: [], ...query });
    return original.apply(this, args);
  });
  try {
    const answer = await ask(bench, operation, second);
    const statements = [...byClient.values()]
      .flatMap(transactions)
      .filter((all) => !all.some(isNumbering))
      .flat();
    return { statements, vary: operation.vary?.(second, answer) };
  } finally {
    Reflect.set(prototype, 'query', original);
  }
}

/** Those that have ended. */
function transactions(statements: readonly Statement[]): Statement[][] {
  const all: Statement[][] = [[]];
  for (const statement of statements) {
    all.at(-1)?.push(statement);
    if (statement.text === 'commit') all.push([]);
  }
  return all.slice(0, -1);
}

/** What follows from a booking, and is no part of it. */
const isNumbering = ({ text }: Statement): boolean => text.includes('sequence_events');

async function ask({ url, token }: ApiBench, { query, expect }: Operation, variables: object): Promise<string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  if (!text.includes(expect)) throw new Error(text);
  return text;
}

/** From a process of its own, so that asking does not cost the API its time. */
export function runLoad(load: Load): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('http-load.ts', import.meta.url), { serialization: 'advanced' });
    child.on('message', resolve);
    child.on('exit', (code) => (code === 0 ? undefined : reject(new Error('The load ended early'))));
    child.send(load);
  });
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
