/** Several installations on one PostgreSQL server, and a start with a secret that is not the database's. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { databaseAccess, type DatabaseAccess, install, reachDatabase } from '../src/installation.ts';
import { type Config, ConfigError, readConfig } from '../src/platform/config.ts';
import { connect, sqlState } from '../src/platform/database.ts';
import { assertOwnSecret } from '../src/platform/installed-secret.ts';
import { createLog } from '../src/platform/log.ts';
import { migrate, readMigrations } from '../src/platform/migrate.ts';
import { transact } from '../src/platform/scope.ts';
import { keyRing, vault } from '../src/platform/vault.ts';
import { sealed, writeEntries } from './support/audit.ts';
import { as, asSuperuser, databaseReady, LOGIN, testScope, urls } from './support/testing.ts';

const random = () => randomBytes(32).toString('base64');
const aConfig = () => readConfig({ CAREFLEX_KEYS: `1:${random()}`, CAREFLEX_SECRET: random() });
const log = createLog('silent');

/** A database of its own on the tests' server. */
function aDatabase(): { name: string; url: string } {
  const name = `i_${randomUUID().replaceAll('-', '')}`;
  return { name, url: Object.assign(new URL(urls.admin), { pathname: `/${name}` }).href };
}

/** As `careflex start` and `careflex migrate` do it, from a DATABASE_URL that is the administrator's. */
async function installed(config: Config, url: string): Promise<DatabaseAccess> {
  const access = databaseAccess(config, url);
  await install(access.adminUrl as string, access.login, { config, log });
  return access;
}

async function rolesOf(name: string): Promise<number> {
  return (await asSuperuser('select from pg_roles where rolname = $1', [`careflex_app_${name}`])).length;
}

describe('install', () => {
  const [one, other, old] = [aDatabase(), aDatabase(), aDatabase()];
  before(async () => {
    await databaseReady;
    for (const { name } of [one, other, old]) await asSuperuser(`create database ${name}`);
  });
  after(async () => {
    for (const { name } of [one, other, old]) {
      await asSuperuser(`drop database ${name} with (force)`);
      await asSuperuser(`drop role if exists careflex_app_${name}`);
    }
  });

  const [config, another] = [aConfig(), aConfig()];
  const refusal = (thrown: unknown) =>
    thrown instanceof ConfigError &&
    thrown.message === 'CAREFLEX_SECRET is not the one that this database was made with.';

  it('lets two installations with secrets of their own live on one server', async () => {
    const first = await installed(config, one.url);
    const second = await installed(another, other.url);
    assert.notEqual(first.login.name, second.login.name);
    for (const { url } of [first, second]) await reachDatabase(url);
  });

  it('refuses another secret, and changes nothing', async () => {
    const { url } = await installed(config, one.url);
    await assert.rejects(installed(another, one.url), refusal);
    await reachDatabase(url);
    assert.deepEqual(await installed(config, one.url), databaseAccess(config, one.url));
  });

  it('takes over a database that was made before, from the role that all of them shared', async () => {
    const migrations = readMigrations().filter(({ name }) => name < '0012');
    await migrate(old.url, LOGIN, { migrations });
    const before = Object.assign(new URL(urls.login), { pathname: `/${old.name}` }).href;
    const db = connect(before);
    const scope = testScope({ db, vault: vault(keyRing(config.CAREFLEX_KEYS), config.CAREFLEX_SECRET) });
    await writeEntries(scope, 1);
    await sealed(scope);
    await assert.rejects(installed(another, old.url), refusal);
    assert.equal(await rolesOf(old.name), 0);

    const { url } = await installed(config, old.url);
    assert.equal(await rolesOf(old.name), 1);
    // What still runs on the old role goes on until it is restarted.
    for (const each of [url, before]) await reachDatabase(each);
    await db.destroy();
    await assert.rejects(installed(another, old.url), refusal);
  });

  it('lets no process run with another secret, which nobody asks of a login role that an operator manages', async () => {
    await using db = connect((await installed(config, one.url)).url);
    await assertOwnSecret(testScope({ db }), config.CAREFLEX_SECRET);
    await assert.rejects(assertOwnSecret(testScope({ db }), another.CAREFLEX_SECRET), refusal);
  });

  it('keeps what it knows of the secret for the system alone, which cannot change it', async () => {
    await using db = connect((await installed(config, one.url)).url);
    for (const [role, readable] of [
      ['system', true],
      ['admin', false],
      ['agent', false],
      ['auditor', false],
      ['patient', false],
    ] as const) {
      const scope = as(testScope({ db }), role);
      const can = (statement: string) =>
        transact(scope, ({ db }) => sql.raw(statement).execute(db)).then(
          () => true,
          (thrown: unknown) => assert.equal(sqlState(thrown), '42501') ?? false,
        );
      assert.equal(await can('select from installation'), readable, role);
      for (const verb of [
        'insert into installation (secret_check) values (null)',
        'delete from installation',
        'truncate installation',
        'update installation set single = true',
      ]) {
        assert.equal(await can(verb), false, `${role}: ${verb}`);
      }
    }
  });

  it('names the role by its database, also where that is too long for a name', () => {
    const names = ['/plain', '/two%20words', `/${'x'.repeat(60)}`, `/${'x'.repeat(61)}`].map(
      (pathname) => databaseAccess(config, Object.assign(new URL(urls.admin), { pathname }).href).login.name,
    );
    assert.deepEqual(names.slice(0, 2), ['careflex_app_plain', 'careflex_app_two words']);
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.every((name) => Buffer.byteLength(name) <= 63));
  });
});
