/**
 * From the commit to the screen: every booking at every one of a thousand WebSocket subscribers, and at one alone.
 *
 *     node bench/src/live.ts [subscribers] [bookings]
 *
 * The API, the subscribers and the bookings are processes of their own. Time runs from the moment at which the booking's
 * commit was known to whoever made it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as accounts from '@careflex/core/accounts';
import { createApp } from '@careflex/core/app';
import * as care from '@careflex/core/care';
import { install } from '@careflex/core/installation';
import { readConfig } from '@careflex/core/platform/config';
import { startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { createLog } from '@careflex/core/platform/log';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import type { ApiSettings } from './api-process.ts';

export interface LiveFigures {
  readonly subscribers: number;
  readonly bookings: number;
  /** Events that reached a subscriber; every one of bookings × subscribers. */
  readonly deliveries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the API's process, everything it does for a booking's delivery included. */
  readonly cpuMicrosPerDelivery: number;
}

export interface Audience {
  readonly url: string;
  readonly tokens: readonly string[];
  readonly events: number;
}
/** When each subscriber got each event, in milliseconds since the epoch, by the appointment's id. */
export type Arrivals = readonly (readonly [appointmentId: string, at: number])[];

const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' };
const PASSWORD = randomBytes(24).toString('base64url');
/** Between two bookings, so that the time of one is not the queue of the others. */
const PAUSE_MS = 250;
/** Bookings before those that count: statements are prepared and code is compiled. */
const WARM_UP = 10;

export async function measureLive({ subscribers = 1_000, bookings = 60 } = {}): Promise<LiveFigures[]> {
  const { REDIS_URL } = process.env;
  await using bench = await openBench(REDIS_URL === undefined ? {} : { REDIS_URL });
  return [await measure(bench, 1, bookings), await measure(bench, subscribers, bookings)];
}

async function measure(bench: Bench, subscribers: number, bookings: number): Promise<LiveFigures> {
  const api = startChild('api-process.ts', { databaseUrl: bench.databaseUrl, environment: bench.environment });
  const url = (await message(api)) as string;
  const tokens = await bench.tokens(subscribers);
  const audience = startChild('live-audience.ts', { url, tokens, events: WARM_UP + bookings } satisfies Audience);
  await message(audience);
  const arrivals = message(audience) as Promise<Arrivals>;
  const committed = new Map<string, number>();
  const book = async (count: number, isCounted: boolean) => {
    for (let n = 0; n < count; n++) {
      const id = await bench.book();
      if (isCounted) committed.set(id, performance.timeOrigin + performance.now());
      await sleep(PAUSE_MS);
    }
  };
  await book(WARM_UP, false);
  const before = await cpuOf(api);
  await book(bookings, true);
  const arrived = await arrivals;
  const cpu = (await cpuOf(api)) - before;
  for (const child of [audience, api]) child.kill();
  const times = arrived
    .map(([id, at]) => at - (committed.get(id) ?? Number.NaN))
    .filter((time) => !Number.isNaN(time))
    .toSorted((a, b) => a - b);
  const at = (share: number) => Math.round((times[Math.floor(times.length * share)] ?? Number.NaN) * 10) / 10;
  return {
    subscribers,
    bookings,
    deliveries: times.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMicrosPerDelivery: Math.round(cpu / times.length),
  };
}

interface Bench extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly environment: Record<string, string>;
  /** Of as many sessions, of ten agents. */
  tokens(count: number): Promise<string[]>;
  /** Books one visit and returns its id once it is committed. */
  book(): Promise<string>;
}

async function openBench(settings: Record<string, string>): Promise<Bench> {
  await using parts = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  parts.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  parts.defer(() => server.stop());
  const environment = { ...benchEnvironment(), ...settings };
  const [config, log] = [readConfig(environment), createLog('silent')];
  await install(server.adminUrl, LOGIN, { config, log });
  const databaseUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  const app = parts.use(await createApp(config, { databaseUrl, log }));
  const scope = () => app.scope(SYSTEM, { id: 'bench', ip: null, userAgent: null });
  const emails = await createAgents(scope());
  const book = await bookings(scope);
  const open = parts.move();
  return {
    databaseUrl,
    environment,
    book,
    async tokens(count) {
      const tokens: string[] = [];
      for (let i = 0; i < count; i++) {
        const email = emails[i % emails.length] as string;
        const known = tokens[i % emails.length];
        // Ten sign-ins and many sockets: a password costs what it should.
        tokens.push(known ?? (await accounts.login(scope(), { email, password: PASSWORD })).accessToken);
      }
      return tokens;
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function benchEnvironment(): Record<string, string> {
  const key = () => randomBytes(32).toString('base64');
  const many = '10000000';
  return {
    NODE_ENV: 'production',
    LOG_LEVEL: 'silent',
    CAREFLEX_KEYS: `1:${key()}`,
    CAREFLEX_SECRET: key(),
    ACCESS_TOKEN_MINUTES: '60',
    SESSION_IDLE_MINUTES: '600',
    RATE_LIMIT_PER_ADDRESS: many,
    RATE_LIMIT_PER_PRINCIPAL: many,
  };
}

async function createAgents(scope: Scope): Promise<string[]> {
  const emails = Array.from({ length: 10 }, (_, i) => `agent-${i}@bench.example`);
  for (const email of emails) {
    await accounts.createUser(scope, { email, password: PASSWORD, displayName: 'Bench', role: 'agent' });
  }
  return emails;
}

/** Visits of one patient with one provider, one after the other, from next week on. */
async function bookings(scope: () => Scope): Promise<() => Promise<string>> {
  const patient = await care.createPatient(scope(), { firstName: 'Ada', lastName: 'Lovelace' });
  const [added] = await scheduling.importProviders(scope(), [
    { externalId: '1', name: 'Dr. Okafor', knownAs: ['Practitioner/1'] },
  ]);
  const services = [...scheduling.CARE_SERVICES];
  await scheduling.importProviderRoles(scope(), [{ externalId: '1', provider: 'Practitioner/1', services }]);
  if (!added || !('id' in added)) throw new Error('The provider was refused');
  const today = scope().now.toZonedDateTimeISO('America/New_York').startOfDay();
  const monday = today.add({ days: 8 - today.dayOfWeek });
  let booked = 0;
  return async () => {
    const [day, slot] = [Math.floor(booked / 16), booked % 16];
    booked++;
    const start = monday.add({ days: day + 2 * Math.floor(day / 5) }).with({ hour: 9 });
    const visit = await scheduling.schedule(scope(), {
      patientId: patient.id,
      providerId: added.id,
      service: 'TELEHEALTH',
      startsAt: start.add({ minutes: 30 * slot }).toInstant(),
    });
    return visit.id;
  };
}

function startChild(file: string, input: ApiSettings | Audience): ChildProcess {
  const child = fork(new URL(file, import.meta.url), { serialization: 'advanced' });
  child.send(input);
  return child;
}

function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve).once('exit', () => reject(new Error('A process ended early')));
  });
}

async function cpuOf(api: ChildProcess): Promise<number> {
  const answer = message(api);
  api.send('cpu');
  return (await answer) as number;
}

if (import.meta.main) {
  const [subscribers = 1_000, count = 60] = process.argv.slice(2).map(Number);
  console.table(await measureLive({ subscribers, bookings: count }));
}
