/**
 * Migrations: numbered plain SQL, forward only. Ten processes may start at once: one of them migrates, the
 * others wait for it. A file that was applied must not change afterwards; its checksum is kept.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import pg from 'pg';
import { LOCKS } from './advisory-locks.ts';
import { keepSecretCheck, refuseAnotherSecret, type SecretProof } from './installed-secret.ts';
import { installJobs } from './job-queues.ts';
import { asSystem, type Scope, transact } from './scope.ts';

export const MIGRATIONS = new URL('../../migrations/', import.meta.url);

export interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** A database that is newer than this program, or a migration file changed after it was applied. */
export class MigrationError extends Error {}

export function readMigrations(directory: URL = MIGRATIONS): Migration[] {
  const files = readdirSync(directory).filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file));
  return files.toSorted().map((file) => {
    const text = readFileSync(new URL(file, directory), 'utf8');
    return { name: file, sql: text, checksum: createHash('sha256').update(text).digest('hex') };
  });
}

export interface Migrated {
  /** Names of the files applied now. */
  readonly applied: readonly string[];
  readonly alreadyThere: number;
}

export interface MigrateOptions {
  readonly migrations?: readonly Migration[];
  /** Nothing is changed in a database that was made with another secret. */
  readonly secret?: SecretProof;
}

/**
 * Brings the database up to date, each file in a transaction of its own. `adminUrl` needs the right to create
 * tables and roles; `login` is the role that the platform itself connects as.
 * Throws {@link MigrationError}, and ConfigError when the secret is another one.
 */
export async function migrate(
  adminUrl: string,
  login: LoginRole,
  { migrations = readMigrations(), secret }: MigrateOptions = {},
): Promise<Migrated> {
  const client = new pg.Client({ connectionString: adminUrl, application_name: 'careflex migrate' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [LOCKS.migration]);
    if (secret) await refuseAnotherSecret(client, secret);
    await installJobs(client);
    const applied = await applyPending(client, migrations);
    if (secret) await keepSecretCheck(client, secret);
    await grantLogin(client, login);
    await client.query('grant select on schema_migrations to careflex_system');
    return { applied, alreadyThere: migrations.length - applied.length };
  } finally {
    await client.end();
  }
}

/** The names of the files that are not applied yet. */
export async function pendingMigrations(adminUrl: string, migrations = readMigrations()): Promise<string[]> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const done = await appliedMigrations(client);
    return migrations.filter(({ name }) => !done.has(name)).map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** Names of the files that a running process would have to wait for; asked under the system's role. */
export async function missingMigrations(scope: Scope, migrations = readMigrations()): Promise<string[]> {
  const { rows } = await transact(asSystem(scope), ({ db }) =>
    sql<{ name: string }>`select name from schema_migrations`.execute(db),
  );
  const done = new Set(rows.map(({ name }) => name));
  return migrations.filter(({ name }) => !done.has(name)).map(({ name }) => name);
}

async function applyPending(client: pg.Client, migrations: readonly Migration[]): Promise<string[]> {
  await client.query(`create table if not exists schema_migrations (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())`);
  const done = await appliedMigrations(client);
  refuseDifferences(done, migrations);
  const pending = migrations.filter(({ name }) => !done.has(name));
  for (const { name, sql, checksum } of pending) {
    try {
      await client.query('begin');
      await client.query(sql);
      await client.query('insert into schema_migrations (name, checksum) values ($1, $2)', [name, checksum]);
      await client.query('commit');
    } catch (cause) {
      await client.query('rollback');
      throw new MigrationError(`Migration ${name} failed: ${(cause as Error).message}`, { cause });
    }
  }
  return pending.map(({ name }) => name);
}

async function appliedMigrations(client: pg.Client): Promise<Map<string, string>> {
  const { rows: there } = await client.query<{ exists: boolean }>(
    `select to_regclass('schema_migrations') is not null as exists`,
  );
  if (!there[0]?.exists) return new Map();
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'select name, checksum from schema_migrations',
  );
  return new Map(rows.map(({ name, checksum }) => [name, checksum]));
}

function refuseDifferences(done: ReadonlyMap<string, string>, migrations: readonly Migration[]): void {
  const known = new Map(migrations.map(({ name, checksum }) => [name, checksum]));
  for (const [name, checksum] of done) {
    if (!known.has(name)) throw new MigrationError(`The database is newer than this program: it has ${name}`);
    if (known.get(name) !== checksum) throw new MigrationError(`${name} was changed after it had been applied`);
  }
}

export interface LoginRole {
  readonly name: string;
  /** Set on the role when given; a role that an operator manages keeps its own. */
  readonly password?: string;
}

/** The login role may become each of the four roles, and by itself may do nothing. */
async function grantLogin(client: pg.Client, { name, password }: LoginRole): Promise<void> {
  const role = pg.escapeIdentifier(name);
  const { rows } = await client.query('select 1 from pg_roles where rolname = $1', [name]);
  if (rows.length === 0) {
    // Roles belong to the whole server, so another database's migration may create the same one at this moment.
    await client.query(`create role ${role} login noinherit`).catch((error: pg.DatabaseError) => {
      if (error.code !== '42710' && error.code !== '23505') throw error;
    });
  }
  await client
    .query(`grant careflex_patient, careflex_staff, careflex_auditor, careflex_system to ${role}`)
    .catch(whenConcurrent);
  if (password !== undefined) {
    await client.query(`alter role ${role} noinherit password ${pg.escapeLiteral(password)}`).catch(whenConcurrent);
  }
}

/** Two migrations of different databases grant the same roles: the other one has done it. */
function whenConcurrent(error: Error): void {
  if (!/tuple concurrently updated/.test(error.message)) throw error;
}
