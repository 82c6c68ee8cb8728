import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { careflex, type Environment, newPlace, type Place, run } from './support/careflex.ts';

/** How far the demo data have come is told where loading them takes long. */
const complaints = (stderr: string): string => stderr.replaceAll(/^Loading demo data: .*\n/gm, '');

describe('careflex start', () => {
  let place: Place;
  before(async () => {
    place = await newPlace();
    chmodSync(place.directory, 0o755);
  });
  after(() => place[Symbol.asyncDispose]());

  const start = (more: Environment = {}) => careflex(['start'], { ...place.environment, ...more });
  const ready = () => `CareFlex is ready: ${place.url}\n`;

  it('makes its secrets, is ready when it says so, and ends on Ctrl-C with its database', async () => {
    await using running = start();
    await running.says(ready());
    assert.equal((await fetch(`${place.url}/readyz`)).status, 200);
    const secrets = path.join(place.environment['CAREFLEX_DATA_DIR'] ?? '', 'secrets.json');
    assert.equal(statSync(secrets).mode & 0o777, 0o600);
    assert.equal(await signIn(place.url), 'Session');
    assert.ok((await upcomingVisits(place.url)) > 0);
    assert.equal(await driverInDirectory(place.url), 'demo-driver');
    assert.match(await codeSentBy(place), /^Your CareFlex code is \d{6}\./);

    const postgres = postmaster(place);
    running.signalGroup('SIGINT');
    const { code, stdout, stderr } = await running.ended;
    assert.deepEqual([code, complaints(stderr)], [0, '']);
    assert.match(stdout, /admin@demo\.careflex\.test/);
    assert.ok(stdout.includes(`  Data             ${place.environment['CAREFLEX_DATA_DIR']}\n`));
    assert.ok(!isAlive(postgres));
    await assert.rejects(fetch(place.url));
  });

  it('ends on SIGTERM to the launcher alone', async () => {
    await using running = start();
    await running.says(ready());
    running.launcher.kill('SIGTERM');
    assert.equal((await running.ended).code, 0);
    await assert.rejects(fetch(place.url));
  });

  it('comes back with its data after kill -9 of everything', async () => {
    await using killed = start();
    await killed.says(ready());
    const postgres = postmaster(place);
    killed.signalGroup('SIGKILL');
    await killed.ended;
    assert.ok(isAlive(postgres));

    await using running = start();
    await running.says(ready());
    assert.equal(await signIn(place.url), 'Session');
    running.launcher.kill('SIGTERM');
    const { code, stderr } = await running.ended;
    assert.deepEqual([code, complaints(stderr)], [0, '']);
  });

  it('starts again after kill -9 of the launcher alone, and refuses to share its directory or its port', async () => {
    await using killed = start();
    await killed.says(ready());
    killed.launcher.kill('SIGKILL');

    await using running = start();
    await running.says(ready());
    const [sameDirectory, samePort] = await Promise.all([
      run(['start'], { ...place.environment, PORT: '0' }),
      run(['start'], { ...place.environment, CAREFLEX_DATA_DIR: path.join(place.directory, 'other') }),
    ]);
    assert.equal(sameDirectory.code, 1);
    assert.match(
      sameDirectory.stderr,
      /^The data directory \S+ is in use by process \d+; stop that one first, or set [A-Z_]+\.\n$/,
    );
    assert.deepEqual(
      [samePort.code, samePort.stderr],
      [1, `Port ${place.environment.PORT} is taken; stop what uses it, or set PORT.\n`],
    );
  });

  it('lets nobody in with the demo password outside development, and simulates nothing there', async () => {
    const { CAREFLEX_KEYS, CAREFLEX_SECRET } = secretsOf(place);
    await using running = start({ NODE_ENV: 'production', CAREFLEX_KEYS, CAREFLEX_SECRET });
    await running.says(ready());
    assert.equal(await signIn(place.url), 'UNAUTHENTICATED');
    running.launcher.kill('SIGTERM');
    assert.doesNotMatch((await running.ended).stdout, /demo|Sent messages/);
  });

  it('ends with a sentence when its database dies', async () => {
    await using running = start();
    await running.says(ready());
    process.kill(postmaster(place), 'SIGQUIT');
    const { code, stderr } = await running.ended;
    assert.equal(code, 1);
    assert.match(stderr, /^The database server has ended, so CareFlex ends too/m);
  });
});

describe('careflex start, where it cannot', { concurrency: true }, () => {
  const cases: readonly { what: string; environment: Environment; code: number; says: RegExp }[] = [
    {
      what: 'secrets are missing in production',
      environment: { NODE_ENV: 'production' },
      code: 2,
      says: /^The configuration is not usable\. CAREFLEX_KEYS is missing; CAREFLEX_SECRET is missing\.\n$/,
    },
    {
      what: 'a secret is weak',
      environment: { NODE_ENV: 'production', CAREFLEX_KEYS: `1:${'A'.repeat(43)}=`, CAREFLEX_SECRET: 'secret' },
      code: 2,
      says: /^The configuration is not usable\. CAREFLEX_KEYS: expected [^\n]+; CAREFLEX_SECRET: expected [^\n]+\.\n$/,
    },
    {
      what: 'the database does not answer',
      environment: { DATABASE_URL: 'postgres://admin:pw@127.0.0.1:1/careflex' },
      code: 1,
      says: /^The database at 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\); is it running, and is DATABASE_URL right\?\n$/,
    },
    {
      what: 'the port is not one',
      environment: { PORT: 'http', DATABASE_POOL: '1' },
      code: 2,
      says: /^The configuration is not usable\. PORT: expected a whole number; DATABASE_POOL: expected at least 2\.\n$/,
    },
    {
      what: 'the database is of another kind',
      environment: { DATABASE_URL: 'mysql://admin:pw@127.0.0.1/careflex' },
      code: 2,
      says: /^The configuration is not usable\. DATABASE_URL: expected a URL such as postgres:[^\n]+\.\n$/,
    },
  ];
  for (const { what, environment, code, says } of cases) {
    it(`says so in one sentence when ${what}`, async () => {
      await using place = await newPlace();
      const ended = await run(['start'], { ...place.environment, ...environment });
      assert.equal(ended.code, code);
      assert.match(ended.stderr, says);
      assert.equal(ended.stdout, '');
    });
  }

  it('can be stopped, or killed, while it makes its database, and is none the worse', async () => {
    await using place = await newPlace();
    chmodSync(place.directory, 0o755);
    const data = place.environment['CAREFLEX_DATA_DIR'] ?? '';
    const making = async () => {
      while (!existsSync(data) || !readdirSync(data).some((name) => name.endsWith('.new'))) await sleep(5);
    };
    await using stopped = careflex(['start'], place.environment);
    await making();
    stopped.signalGroup('SIGINT');
    const { code, stderr } = await stopped.ended;
    assert.deepEqual([code, stderr], [130, 'Stopped before it was done; it is safe to run it again.\n']);

    rmSync(data, { recursive: true });
    await using killed = careflex(['start'], place.environment);
    await making();
    killed.signalGroup('SIGKILL');
    await killed.ended;
    assert.equal((await run(['migrate'], place.environment)).code, 0);
  });

  it('does not wait for a port that somebody else has', async () => {
    await using place = await newPlace();
    const other = createServer().listen(Number(place.environment.PORT), '127.0.0.1');
    const { code } = await run(['start'], place.environment);
    other.close();
    assert.equal(code, 1);
  });
});

/** The kind of the answer, or its error's code. */
async function signIn(url: string): Promise<string> {
  const { data, errors } = await ask<{ login: { __typename: string } | null }>(
    url,
    `mutation { login(email: "agent@demo.careflex.test", password: "careflex-demo") { __typename } }`,
  );
  return data?.login?.__typename ?? errors?.[0]?.extensions.code ?? 'nothing';
}

/** How many the demo's patient has. */
async function upcomingVisits(url: string): Promise<number> {
  const query = '{ appointments { edges { cursor } } }';
  const { appointments } = await read<{ appointments: { edges: unknown[] } }>(
    url,
    await cookieOf(url, 'patient'),
    query,
  );
  return appointments.edges.length;
}

interface Providers {
  readonly edges: readonly { readonly node: { readonly directory: { readonly practitioner: string } | null } }[];
}

/** Whom the simulated directory means by the one who gives rides, once it was asked. */
async function driverInDirectory(url: string): Promise<string> {
  const query = '{ providers(service: TRANSPORTATION) { edges { node { directory { practitioner } } } } }';
  const cookie = await cookieOf(url, 'agent');
  for (let tries = 0; tries < 150; tries++) {
    const { providers } = await read<{ providers: Providers }>(url, cookie, query);
    const known = providers.edges[0]?.node.directory;
    if (known) return known.practitioner;
    await sleep(200);
  }
  return 'nobody';
}

const JSON_HEADERS = { 'content-type': 'application/json' };

/** Of a browser's session of the demo user. */
async function cookieOf(url: string, user: string): Promise<string> {
  const body = JSON.stringify({ email: `${user}@demo.careflex.test`, password: 'careflex-demo' });
  const session = await fetch(`${url}/session`, { method: 'POST', headers: JSON_HEADERS, body });
  return session.headers.getSetCookie()[0] ?? '';
}

async function read<Data>(url: string, cookie: string, query: string): Promise<Data> {
  const headers = { ...JSON_HEADERS, cookie, 'x-careflex-csrf': '1' };
  const answer = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  return ((await answer.json()) as { data: Data }).data;
}

/** The e-mail with a code, as the simulators' page shows it. */
async function codeSentBy({ url, environment }: Place): Promise<string> {
  await ask(url, `mutation { requestVerification(contact: { email: "patient@demo.careflex.test" }) { __typename } }`);
  const page = `http://localhost:${Number(environment.PORT) + 1}/simulator/messages`;
  for (;;) {
    const sent = (await (await fetch(page)).json()) as { kind: string; body: string }[];
    const code = sent.find(({ body }) => body.includes(' code is '));
    if (code) return code.body;
    await sleep(20);
  }
}

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly extensions: { readonly code: string } }[];
}

async function ask<Data>(url: string, query: string): Promise<Answer<Data>> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: JSON_HEADERS,
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as Answer<Data>;
}

function postmaster({ environment }: Place): number {
  const file = path.join(environment['CAREFLEX_DATA_DIR'] ?? '', 'postgres/postmaster.pid');
  return Number(readFileSync(file, 'utf8').split('\n')[0]);
}

function secretsOf({ environment }: Place): { CAREFLEX_KEYS: string; CAREFLEX_SECRET: string } {
  const text = readFileSync(path.join(environment['CAREFLEX_DATA_DIR'] ?? '', 'secrets.json'), 'utf8');
  return JSON.parse(text) as { CAREFLEX_KEYS: string; CAREFLEX_SECRET: string };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
