/**
 * The database as the platform finds it or makes it: as whom to connect, and what must be there.
 *
 * The platform runs as a login role without rights. Given DATABASE_ADMIN_URL, DATABASE_URL is that role's own and
 * an operator manages it. Given DATABASE_URL alone, it is the administrator's, and the migration makes the role
 * `careflex_app_DATABASE` with a password derived from CAREFLEX_SECRET, so that every process with the same settings
 * can connect. Roles belong to the whole server: named after its database, the role is not another installation's.
 * A DATABASE_URL of such a role is the role's own: such a process cannot migrate.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import * as audit from '#audit';
import type { Config } from '#platform/config';
import { sqlState } from '#platform/database';
import { declareQueues } from '#platform/job-queues';
import { type LoginRole, migrate, type Migrated } from '#platform/migrate';
import type { Log } from '#platform/log';
import { secretCheck } from '#platform/installed-secret';
import { deriveKey, keyRing, vault } from '#platform/vault';
import { schedules, workers } from './workers.ts';

export interface DatabaseAccess {
  /** Null where this process has no administrator's rights. */
  readonly adminUrl: string | null;
  /** What the platform itself connects with. */
  readonly url: string;
  readonly login: LoginRole;
}

const LOGIN_ROLE = 'careflex_app';
/** Longer names are cut off by PostgreSQL. */
const LONGEST_NAME_BYTES = 63;

function isLoginRole(name: string): boolean {
  return name === LOGIN_ROLE || name.startsWith(`${LOGIN_ROLE}_`);
}

function loginRoleOf(database: string): string {
  const name = `${LOGIN_ROLE}_${database}`;
  if (Buffer.byteLength(name) <= LONGEST_NAME_BYTES) return name;
  return `${LOGIN_ROLE}_${createHash('sha256').update(database).digest('hex').slice(0, 32)}`;
}

/** As whom to connect. `databaseUrl` is DATABASE_URL, or the embedded server's. */
export function databaseAccess(config: Config, databaseUrl: string): DatabaseAccess {
  const { username, pathname } = new URL(databaseUrl);
  const user = decodeURIComponent(username);
  if (config.DATABASE_ADMIN_URL !== undefined || isLoginRole(user)) {
    return { adminUrl: config.DATABASE_ADMIN_URL ?? null, url: databaseUrl, login: { name: user } };
  }
  const name = loginRoleOf(decodeURIComponent(pathname.slice(1)) || user);
  const password = deriveKey(config.CAREFLEX_SECRET, 'careflex:database-login').toString('base64url');
  const url = new URL(databaseUrl);
  [url.username, url.password] = [encodeURIComponent(name), password];
  return { adminUrl: databaseUrl, url: url.href, login: { name, password } };
}

/** One clear sentence for the person who starts the program. */
export class DatabaseUnusable extends Error {}

const OLDEST_VERSION = 150_000;

/** Throws {@link DatabaseUnusable} when nobody answers there, or not to us, or one who is too old. */
export async function reachDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
    if (Number(rows[0]?.server_version_num) < OLDEST_VERSION) {
      throw new DatabaseUnusable('The database is older than PostgreSQL 15, which CareFlex needs at least.');
    }
  } catch (thrown) {
    throw thrown instanceof DatabaseUnusable ? thrown : new DatabaseUnusable(whyUnreachable(new URL(url), thrown));
  } finally {
    await client.end().catch(() => undefined);
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  '28P01': 'does not accept the password of',
  '28000': 'does not let in',
  '3D000': 'does not have the database asked for by',
  '53300': 'has no connection left for',
};

function whyUnreachable({ hostname, port, username }: URL, thrown: unknown): string {
  const refusal = REFUSALS[sqlState(thrown) ?? ''];
  const where = `The database at ${hostname}:${port || '5432'}`;
  if (refusal !== undefined) {
    const hint = isLoginRole(decodeURIComponent(username)) ? '; has "careflex migrate" been run?' : '.';
    return `${where} ${refusal} ${decodeURIComponent(username)}${hint}`;
  }
  const { code = 'no answer' } = thrown as { code?: string };
  return `${where} cannot be reached (${code}); is it running, and is DATABASE_URL right?`;
}

/**
 * Brings schema, roles, queues and schedules to this program's version. Throws MigrationError, and ConfigError when
 * the database was made with another secret: then nothing is changed.
 */
export async function install(
  adminUrl: string,
  login: LoginRole,
  { config, log }: { config: Config; log: Log },
): Promise<Migrated> {
  const secret = {
    check: secretCheck(config.CAREFLEX_SECRET),
    fits: (client: pg.Client) => audit.isOwnTrail(vault(keyRing(config.CAREFLEX_KEYS), config.CAREFLEX_SECRET), client),
  };
  const migrated = await migrate(adminUrl, login, { secret });
  await declareQueues(adminUrl, { queues: workers, schedules: schedules(config) }, log);
  return migrated;
}

/** What is wrong with the role that the platform connects as: it must be able to do nothing by itself. */
export async function loginRoleFaults(url: string): Promise<string[]> {
  const rows = await ask<{ fault: string }>(url, LOGIN_ROLE_FAULTS);
  return rows.map(({ fault }) => fault);
}

/** What the database's clock shows. */
export async function databaseTime(url: string): Promise<Temporal.Instant> {
  const [row] = await ask<{ at: Date }>(url, 'select clock_timestamp() as at');
  if (row === undefined) throw new DatabaseUnusable('The database does not tell the time.');
  return row.at.toTemporalInstant();
}

async function ask<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'careflex doctor' });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

const LOGIN_ROLE_FAULTS = `
  with login as (select * from pg_roles where rolname = session_user)
  select 'it is a superuser' as fault from login where rolsuper
  union all select 'it inherits the rights of its roles' from login where rolinherit
  union all select 'it may create roles' from login where rolcreaterole
  union all select 'it may create databases' from login where rolcreatedb
  union all select 'it bypasses row-level security' from login where rolbypassrls
  union all select 'it may replicate' from login where rolreplication
  union all select 'it owns the table ' || relname from pg_class, login where relowner = login.oid and relkind in ('r', 'p')
  union all
  select distinct 'it has a right of its own on ' || table_schema || '.' || table_name
  from information_schema.role_table_grants where grantee = session_user
  union all
  select 'it lacks the role ' || name
  from unnest(array['careflex_patient', 'careflex_staff', 'careflex_auditor', 'careflex_system']) name, login
  where not pg_has_role(login.oid, to_regrole(name), 'member')`;
