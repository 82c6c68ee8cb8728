/** What is promised of events while processes and servers die: over PostgreSQL's messages, and over Redis. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as accounts from '@careflex/core/accounts';
import { type App, createApp } from '@careflex/core/app';
import * as care from '@careflex/core/care';
import { install } from '@careflex/core/installation';
import { type Config, readConfig } from '@careflex/core/platform/config';
import { type Embedded, startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { createLog } from '@careflex/core/platform/log';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { noRedis, startRedis, type TestRedis } from '@careflex/core/testing/redis';
import { openClient } from './support/subscriber.ts';

const SCRIPT = fileURLToPath(new URL('support/api-process.ts', import.meta.url));
const LOGIN = { name: 'careflex_live', password: 'careflex-live' };
const quiet = createLog('silent');
const key = () => randomBytes(32).toString('base64');
const SETTINGS = { NODE_ENV: 'test', LOG_LEVEL: 'silent', CAREFLEX_KEYS: `1:${key()}`, CAREFLEX_SECRET: key() };

/** A database of its own, which can be restarted, and processes over it. */
class Platform implements AsyncDisposable {
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'careflex-live-'));
  readonly #processes = new Set<ChildProcess>();
  readonly #settings: Record<string, string>;
  #server: Embedded | undefined;
  #port: number | undefined;
  #app: App | undefined;

  constructor(settings: Record<string, string> = {}) {
    this.#settings = { ...SETTINGS, ...settings };
    chmodSync(this.#directory, 0o755);
  }

  async start(): Promise<void> {
    const port = this.#port === undefined ? {} : { port: this.#port };
    this.#server = await startEmbedded({ directory: this.#directory, durable: false, ...port });
    this.#port = Number(new URL(this.#server.adminUrl).port);
    if (this.#app) return;
    await install(this.#server.adminUrl, LOGIN, { config: this.config, log: quiet });
    this.#app = await createApp(this.config, { databaseUrl: this.loginUrl, log: quiet });
  }

  async stopDatabase(): Promise<void> {
    await this.#server?.stop();
  }

  get config(): Config {
    return readConfig(this.#settings);
  }

  get loginUrl(): string {
    const url = new URL(this.#server?.adminUrl ?? '');
    [url.username, url.password] = [LOGIN.name, LOGIN.password];
    return url.href;
  }

  get scope(): Scope {
    return (this.#app as App).scope(SYSTEM, { id: 'test', ip: null, userAgent: null });
  }

  async api(secondsBehind = 0): Promise<{ url: string; kill(): Promise<void> }> {
    const child = spawn(process.execPath, [SCRIPT, this.loginUrl, String(secondsBehind)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'], ...this.#settings },
    });
    this.#processes.add(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return {
      url: String(line).trim(),
      async kill() {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL');
    await this.#app?.[Symbol.asyncDispose]();
    await this.#server?.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function signIn(scope: Scope): Promise<string> {
  const [email, password] = [`agent-${randomUUID()}@staff.example`, 'correct horse battery staple'];
  await accounts.createUser(scope, { email, password, displayName: 'Some agent', role: 'agent' });
  return (await accounts.login(scope, { email, password })).accessToken;
}

interface Told {
  readonly appointmentEvents: { readonly sequence: number; readonly appointment: { readonly id: string } };
}
const EVENTS = `subscription($since: Int) {
  appointmentEvents(since: $since) { sequence appointment { id } } }`;

interface Following {
  readonly urls: () => string[];
  readonly token: string;
  readonly told: Told['appointmentEvents'][];
  readonly stop: AbortSignal;
}

/** Follows on one API after the other, each time from where it was, as a client does that loses its connection. */
async function followAll({ urls, token, told, stop }: Following): Promise<void> {
  for (let turn = 0; !stop.aborted; turn++) {
    const available = urls();
    const subscriber = openClient(available[turn % available.length] as string, token);
    const end = () => void subscriber.client.dispose();
    stop.addEventListener('abort', end);
    try {
      const since = told.at(-1)?.sequence ?? 0;
      for await (const { appointmentEvents } of subscriber.follow<Told>(EVENTS, { since })) {
        told.push(appointmentEvents);
      }
    } catch {
      // The connection, the process or the database is gone.
      await sleep(50);
    } finally {
      stop.removeEventListener('abort', end);
      await subscriber.client.dispose();
    }
  }
}

/** Books visit after visit; what fails is tried again under its idempotency key. Returns the ids in order. */
async function bookAll(platform: Platform, count: number, pause: (done: number) => Promise<void>): Promise<string[]> {
  const { scope } = platform;
  const patient = await care.createPatient(scope, { firstName: 'Ada', lastName: 'Lovelace' });
  const knownAs = ['Practitioner/1'];
  const [added] = await scheduling.importProviders(scope, [{ externalId: '1', name: 'Dr. Okafor', knownAs }]);
  const services = [...scheduling.CARE_SERVICES];
  await scheduling.importProviderRoles(scope, [{ externalId: '1-role', provider: 'Practitioner/1', services }]);
  assert.ok(added && 'id' in added);
  const visit = { patientId: patient.id, providerId: added.id, service: 'TELEHEALTH' as const };
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const booking = { ...visit, startsAt: halfHour(scope.now, n), idempotencyKey: `visit-${n}` };
    for (let id: string | undefined; id === undefined;) {
      id = await scheduling.schedule(platform.scope, booking).then(
        (booked) => booked.id,
        () => sleep(50).then(() => undefined),
      );
      if (id !== undefined) ids.push(id);
    }
    await pause(n + 1);
  }
  return ids;
}

/** Of working days at least a week ahead, sixteen a day. */
function halfHour(now: Temporal.Instant, n: number): Temporal.Instant {
  const today = now.toZonedDateTimeISO('America/New_York').startOfDay();
  const monday = today.add({ days: 15 - today.dayOfWeek });
  const day = Math.floor(n / 16);
  const start = monday.add({ days: day + 2 * Math.floor(day / 5) }).with({ hour: 9 });
  return start.add({ minutes: 30 * (n % 16) }).toInstant();
}

function survives(platform: () => Platform, disturb: (done: number) => Promise<void>): void {
  test('a client that comes back with `since` has every event once and in order, whatever was killed', async () => {
    const apis = [await platform().api(), await platform().api()];
    const urls = () => apis.map(({ url }) => url);
    const token = await signIn(platform().scope);
    const stop = new AbortController();
    const told: Told['appointmentEvents'][] = [];
    const followers = followAll({ urls, token, told, stop: stop.signal });

    const booked = await bookAll(platform(), 40, async (done) => {
      await disturb(done);
      // One API after the other is killed with its sockets, and another one takes its place.
      if (done % 20 !== 10) return;
      await apis.shift()?.kill();
      apis.push(await platform().api());
    });
    while (told.length < booked.length) await sleep(20);
    stop.abort();
    await followers;
    assert.deepEqual(
      told.map(({ appointment }) => appointment.id),
      booked,
    );
    const sequences = told.map(({ sequence }) => sequence);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
  });
}

describe('over PostgreSQL', () => {
  const platform = new Platform();
  before(() => platform.start());
  after(() => platform[Symbol.asyncDispose]());

  survives(
    () => platform,
    async (done) => {
      if (done !== 25) return;
      await platform.stopDatabase();
      await platform.start();
    },
  );

  test('an agent whose process is killed is offline for everybody else', async () => {
    // By its clock the time that is left of its signs of life is nearly over.
    const [doomed, other] = [await platform.api(15), await platform.api()];
    const [watcher, agent] = [
      openClient(other.url, await signIn(platform.scope)),
      openClient(doomed.url, await signIn(platform.scope)),
    ];
    const changes = watcher.follow<{ agentPresenceChanged: { status: string } }>(
      'subscription { agentPresenceChanged { status } }',
    );
    const first = changes.next();
    await watcher.client.iterate({ query: '{ me { id } }' }).next();
    await agent.client.iterate({ query: 'mutation { trackAgent(status: AVAILABLE) { status } }' }).next();
    assert.equal((await first).value.agentPresenceChanged.status, 'AVAILABLE');
    await doomed.kill();
    assert.equal((await changes.next()).value.agentPresenceChanged.status, 'OFFLINE');
    await watcher.client.dispose();
  });
});

describe('over Redis', { skip: noRedis }, () => {
  let redis: TestRedis;
  let platform: Platform;
  before(async () => {
    redis = await startRedis();
    platform = new Platform({ REDIS_URL: redis.url });
    await platform.start();
  });
  after(async () => {
    await platform[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  survives(
    () => platform,
    async (done) => {
      if (done === 15) await redis.stop();
      if (done === 35) await redis.start();
    },
  );
});
