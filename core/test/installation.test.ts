import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { databaseAccess, databaseTime, reachDatabase } from '../src/installation.ts';
import { readConfig } from '../src/platform/config.ts';
import { urls } from './support/testing.ts';

const secret = () => randomBytes(32).toString('base64');
const environment = { CAREFLEX_KEYS: `1:${secret()}`, CAREFLEX_SECRET: secret() };
const config = readConfig(environment);

describe('databaseAccess', () => {
  it('takes a lone DATABASE_URL as the administrator’s, and derives the login role’s password from the secret', () => {
    const admin = 'postgres://admin:pw@db.test:5432/careflex?sslmode=require';
    const access = databaseAccess(config, admin);
    assert.equal(access.adminUrl, admin);
    const { password } = access.login;
    assert.equal(access.url, `postgres://careflex_app_careflex:${password}@db.test:5432/careflex?sslmode=require`);
    assert.deepEqual(databaseAccess(readConfig(environment), admin), access);
    const another = databaseAccess(readConfig({ ...environment, CAREFLEX_SECRET: secret() }), admin);
    assert.notEqual(another.login.password, access.login.password);
  });

  it('leaves a login role alone that an operator manages', () => {
    const DATABASE_ADMIN_URL = 'postgres://admin:pw@db.test/careflex';
    const managed = databaseAccess(
      readConfig({ ...environment, DATABASE_ADMIN_URL }),
      'postgres://me:pw@db.test/careflex',
    );
    assert.deepEqual(managed, {
      adminUrl: DATABASE_ADMIN_URL,
      url: 'postgres://me:pw@db.test/careflex',
      login: { name: 'me' },
    });
  });

  for (const name of ['careflex_app', 'careflex_app_careflex']) {
    it(`knows its own login role ${name}, which cannot migrate`, () => {
      const url = `postgres://${name}:pw@db.test/careflex`;
      assert.deepEqual(databaseAccess(config, url), { adminUrl: null, url, login: { name } });
    });
  }
});

describe('reachDatabase', () => {
  const at = (change: Partial<Pick<URL, 'port' | 'password' | 'pathname' | 'username'>>) =>
    Object.assign(new URL(urls.login), change).href;
  const cases = [
    { url: at({ port: '1' }), says: /The database at 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/ },
    {
      url: at({ password: 'wrong' }),
      says: /does not accept the password of careflex_app; has "careflex migrate" been run\?$/,
    },
    { url: at({ pathname: '/nowhere' }), says: /does not have the database asked for by careflex_app/ },
  ];
  for (const { url, says } of cases) {
    it(`says in one sentence why: ${says.source}`, () => assert.rejects(reachDatabase(url), says));
  }

  it('passes where all is well', async () => {
    await reachDatabase(urls.admin);
    assert.ok((await databaseTime(urls.admin)).epochMilliseconds > 0);
  });
});
