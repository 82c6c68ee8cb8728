import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { loginRoleFaults } from '../src/installation.ts';
import { migrate, type Migration, MigrationError, pendingMigrations, readMigrations } from '../src/platform/migrate.ts';
import { asSuperuser, databaseReady, LOGIN, urls } from './support/testing.ts';

describe('migrate', () => {
  const name = `m_${randomUUID().replaceAll('-', '')}`;
  const urlOf = (base: string) => Object.assign(new URL(base), { pathname: `/${name}` }).href;
  const url = urlOf(urls.admin);
  before(async () => {
    await databaseReady;
    await asSuperuser(`create database ${name}`);
  });
  after(() => asSuperuser(`drop database ${name} with (force)`));

  it('applies each file once when ten processes start at once', async () => {
    const script = fileURLToPath(new URL('support/migrating.ts', import.meta.url));
    const children = Array.from({ length: 10 }, () =>
      spawn(process.execPath, [script, url], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    // All of them are running before the first one begins.
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    for (const { stdin } of children) stdin.end();
    const applied = await Promise.all(
      children.map(async (child) => {
        const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
        assert.equal(code, 0);
        return output.split('\n').filter((line) => line !== '');
      }),
    );
    assert.deepEqual(
      applied.flat().toSorted(),
      readMigrations().map((migration) => migration.name),
    );
    assert.deepEqual(await pendingMigrations(url), []);
  });

  it('refuses a file that was changed after it had been applied, and a database that is newer', async () => {
    const [first, ...rest] = readMigrations() as [Migration, ...Migration[]];
    await assert.rejects(
      migrate(url, LOGIN, { migrations: [{ ...first, checksum: 'another' }, ...rest] }),
      MigrationError,
    );
    await assert.rejects(migrate(url, LOGIN, { migrations: rest }), /newer than this program/);
  });

  it('undoes a file that fails, whole, and says which', async () => {
    const bad = { name: '9999_bad.sql', sql: 'create table half (id int); select 1/0', checksum: 'x' };
    await assert.rejects(
      migrate(url, LOGIN, { migrations: [...readMigrations(), bad] }),
      /9999_bad\.sql failed: division by zero/,
    );
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(`select to_regclass('half') as half`);
    await client.end();
    assert.deepEqual(rows, [{ half: null }]);
  });

  it('makes a login role that can do nothing by itself, and tells when one can', async () => {
    assert.deepEqual(await loginRoleFaults(urlOf(urls.login)), []);
    const faults = await loginRoleFaults(url);
    assert.ok(faults.includes('it is a superuser'));
    assert.ok(faults.some((fault) => fault.startsWith('it owns the table')));
  });
});
