/**
 * What tests stand on: a database of their own per test file, and scopes.
 *
 * `sandboxed` runs a test in one transaction that is undone; nearly every test is one. `committed` uses real
 * connections, for what a single one cannot show: races, locks, notifications, jobs.
 */
import './same.ts';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { after, before } from 'node:test';
import pg from 'pg';
import { type Db, connect } from '../../src/platform/database.ts';
import type { Jobs } from '../../src/platform/jobs.ts';
import { migrate, readMigrations } from '../../src/platform/migrate.ts';
import { type Actor, type Role, type Scope, SYSTEM, transact } from '../../src/platform/scope.ts';
import { keyRing, vault } from '../../src/platform/vault.ts';

const adminUrl = process.env['TEST_DATABASE_URL'] ?? '';
if (adminUrl === '')
  throw new Error('Run tests with --test-global-setup=core/test/support/global-setup.ts, or set TEST_DATABASE_URL');

export const LOGIN = { name: 'careflex_app', password: 'careflex-test' } as const;
export const NOW = Temporal.Instant.from('2026-03-02T15:00:00Z');
export const testVault = vault(keyRing([{ id: 1, bytes: randomBytes(32) }]), randomBytes(32));

const database = `t_${randomUUID().replaceAll('-', '')}`;

/** Connection strings of this file's database: as its superuser, and as the platform's login role. */
export const urls = { admin: urlOf(database), login: urlOf(database, LOGIN) };

function urlOf(name: string, login?: { name: string; password: string }): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  if (login) [url.username, url.password] = [login.name, login.password];
  return url.href;
}

let db: Db;
let superuser: pg.Pool;
const opened = Promise.withResolvers<void>();

/** Hooks of a file start at the same time: one that needs the database waits for this. */
export const databaseReady = opened.promise;

before(async () => {
  const template = await templateDatabase();
  await withAdmin((client) => client.query(`create database ${database} template ${template}`));
  db = connect(urls.login, { max: 16 });
  superuser = new pg.Pool({ connectionString: urls.admin, max: 2 });
  // A pool has ended before its connections are closed; the drop may still end one of them.
  superuser.on('error', () => undefined);
  opened.resolve();
});

after(async () => {
  await db.destroy();
  await superuser.end();
  await withAdmin((client) => client.query(`drop database ${database} with (force)`));
});

/** Migrated once per set of migrations, then copied for each test file. */
async function templateDatabase(): Promise<string> {
  const hash = createHash('sha256')
    .update(
      readMigrations()
        .map(({ checksum }) => checksum)
        .join(),
    )
    .digest('hex');
  const name = `template_${hash.slice(0, 16)}`;
  await withAdmin(async (client) => {
    await client.query('select pg_advisory_lock(4270099)');
    const { rowCount } = await client.query('select from pg_database where datname = $1 and datistemplate', [name]);
    if (rowCount === 1) return;
    await client.query(`drop database if exists ${name}`);
    await client.query(`create database ${name}`);
    await migrate(urlOf(name), LOGIN);
    await client.query(`alter database ${name} is_template true`);
  });
  return name;
}

async function withAdmin(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** A query as the database's superuser, past all rules: for looking at what is stored, and for attacks. */
export async function asSuperuser<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
  return (await superuser.query<Row>(text, values)).rows;
}

const noJobs: Jobs = { enqueue: async () => undefined, enqueueAll: async () => undefined };

export function actor(role: Role, more: Partial<Actor> = {}): Actor {
  return role === 'system' ? SYSTEM : { id: randomUUID(), role, sessionId: null, ...more };
}

/** A scope over real connections, by an agent unless told otherwise. */
export function testScope(more: Partial<Scope> = {}): Scope {
  return {
    actor: actor('agent'),
    request: { id: randomUUID(), ip: '192.0.2.1', userAgent: 'test' },
    db,
    now: NOW,
    clinic: {
      timeZone: 'America/New_York',
      region: 'US',
      name: 'CareFlex Clinic',
      messageHours: { from: '08:00', until: '21:00' },
    },
    signIn: { idleMinutes: 30, absoluteHours: 12, accessTokenMinutes: 5, demoAccounts: true, issuers: [] },
    vault: testVault,
    jobs: noJobs,
    ...more,
  };
}

/** The same connection and time, another actor. */
export function as(scope: Scope, who: Role | Actor): Scope {
  return { ...scope, actor: typeof who === 'string' ? actor(who) : who };
}

class Rollback extends Error {}

export function sandboxed(work: (scope: Scope) => Promise<void>) {
  return async (): Promise<void> => {
    await transact(testScope(), async (scope) => {
      await work(scope);
      throw new Rollback();
    }).catch((thrown: unknown) => {
      if (!(thrown instanceof Rollback)) throw thrown;
    });
  };
}

export function committed(work: (scope: Scope) => Promise<void>) {
  return (): Promise<void> => work(testScope());
}
