/** A real API on this file's test database, and people of each role who are signed in to it. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before } from 'node:test';
import * as accounts from '@careflex/core/accounts';
import { type App, createApp } from '@careflex/core/app';
import * as care from '@careflex/core/care';
import { readConfig } from '@careflex/core/platform/config';
import { createLog } from '@careflex/core/platform/log';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { install } from '@careflex/core/installation';
import { databaseReady, LOGIN, urls } from '@careflex/core/testing';
import { type Api, type ApiOptions, startApi } from '../../src/main.ts';

export type SignedInRole = 'admin' | 'agent' | 'auditor' | 'patient';

export interface Person {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly token: string;
  readonly refreshToken: string;
  readonly sessionId: string;
  /** A patient's own record. */
  readonly patientId: string | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    data?: Record<string, never> | null;
    errors?: { message: string; path?: unknown[]; extensions: Record<string, unknown> }[];
  };
}

/** The answer's field, where there were no errors. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows the shape of what it asked for
export function dataOf<T>({ body }: Answer, field: string): T {
  assert.deepEqual(body.errors, undefined);
  return body.data?.[field] as unknown as T;
}

interface Ask {
  readonly as?: SignedInRole | Person;
  readonly operationName?: string;
  readonly headers?: Record<string, string>;
}

export interface TestApi {
  readonly app: App;
  readonly api: Api;
  readonly url: string;
  readonly port: number;
  /** Everything logged so far, parsed. */
  logs(): Record<string, unknown>[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Speaks GraphQL, anonymously unless told otherwise. */
  graphql(query: string, variables?: object, ask?: Ask): Promise<Answer>;
  /** Somebody of this role: the same one each time. */
  person(role: SignedInRole): Promise<Person>;
  /** A further one. */
  newPerson(role: SignedInRole): Promise<Person>;
  /** A browser's cookie of a new session, as it is sent. */
  cookie(person: Person): Promise<string>;
  /** A new patient's registration, with the code that was sent to them. */
  verification(email: string): Promise<accounts.Registration>;
  systemScope(): Scope;
}

const PASSWORD = 'correct horse battery staple';

export function testConfig(more: Record<string, string> = {}) {
  const key = () => randomBytes(32).toString('base64');
  return readConfig({
    NODE_ENV: 'test',
    CAREFLEX_KEYS: `1:${key()}`,
    CAREFLEX_SECRET: key(),
    LOG_LEVEL: 'debug',
    ...more,
  });
}

/** Starts before the file's tests and ends after them. */
export function useApi(options: Partial<ApiOptions> & { environment?: Record<string, string> } = {}): TestApi {
  const lines: string[] = [];
  const people = new Map<SignedInRole, Promise<Person>>();
  let app: App;
  let api: Api;

  before(async () => {
    const config = testConfig(options.environment);
    const log = createLog('debug', { write: (line) => void lines.push(line) });
    await databaseReady;
    await install(urls.admin, LOGIN, { config, log });
    app = await createApp(config, { databaseUrl: urls.login, log });
    api = await startApi(app, {
      port: 0,
      host: '127.0.0.1',
      ...options,
      rateLimits: { signInPerAddress: 100_000, ...options.rateLimits },
    });
  });
  after(async () => {
    await api.close();
    await app[Symbol.asyncDispose]();
  });

  const test: TestApi = {
    get app() {
      return app;
    },
    get api() {
      return api;
    },
    get url() {
      return api.url;
    },
    get port() {
      return api.port;
    },
    logs: () =>
      lines.flatMap((text) => text.trim().split('\n')).map((line) => JSON.parse(line) as Record<string, unknown>),
    fetch: (path, init) => fetch(`${api.url}${path}`, init),
    async graphql(query, variables = {}, { as, operationName, headers } = {}) {
      const person = typeof as === 'string' ? await test.person(as) : as;
      const response = await test.fetch('/graphql', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
          ...(person ? { authorization: `Bearer ${person.token}` } : {}),
          ...headers,
        },
        body: JSON.stringify({ query, variables, operationName }),
      });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
    },
    person(role) {
      const known = people.get(role) ?? test.newPerson(role);
      people.set(role, known);
      return known;
    },
    newPerson: (role) => signUp(app, role),
    async cookie({ email, password }) {
      const response = await test.fetch('/session', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email, password }),
      });
      return (response.headers.getSetCookie()[0] ?? '').split(';', 1)[0] ?? '';
    },
    verification: (email) => verification(app, email),
    systemScope: () => systemScope(app),
  };
  return test;
}

function systemScope(app: App): Scope {
  return app.scope(SYSTEM, { id: 'test-setup', ip: null, userAgent: null });
}

async function signUp(app: App, role: SignedInRole): Promise<Person> {
  const email = `${role}-${randomUUID()}@example.com`;
  const id = role === 'patient' ? await registerPatient(app, email) : await createStaff(app, role, email);
  const { accessToken, refreshToken, viewer } = await accounts.login(systemScope(app), { email, password: PASSWORD });
  const [session] = await accounts.sessions(await scopeOf(app, accessToken));
  const sessionId = session?.id ?? '';
  return { id, email, password: PASSWORD, token: accessToken, refreshToken, sessionId, patientId: viewer.patientId };
}

async function scopeOf(app: App, token: string): Promise<Scope> {
  const scope = systemScope(app);
  return { ...scope, actor: await accounts.authenticate(scope, { bearer: token }) };
}

async function createStaff(app: App, role: 'admin' | 'agent' | 'auditor', email: string): Promise<string> {
  const user = await accounts.createUser(systemScope(app), {
    email,
    displayName: `Some ${role}`,
    role,
    password: PASSWORD,
  });
  return user.id;
}

/** As a patient does: a code comes, and proves who they are. */
async function registerPatient(app: App, email: string): Promise<string> {
  const registration = await verification(app, email);
  return (await accounts.register(systemScope(app), registration)).id;
}

async function verification(app: App, email: string): Promise<accounts.Registration> {
  const scope = systemScope(app);
  const dateOfBirth = '1980-03-08';
  await care.createPatient(scope, { firstName: 'Pat', lastName: 'Patient', email, dateOfBirth });
  const { verificationId } = await accounts.requestVerification(scope, { email });
  const sent = Promise.withResolvers<string>();
  const sender = { send: async (_to: string, text: string) => sent.resolve(text) };
  await accounts.deliverVerification(scope, verificationId, { sms: sender, email: sender });
  const code = /\d{6}/.exec(await sent.promise)?.[0] ?? '';
  return { verificationId, code, dateOfBirth, email, password: PASSWORD };
}
