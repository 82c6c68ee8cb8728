import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { asSuperuser, databaseReady, urls } from '@careflex/core/testing';
import { careflex, type Ended, type Environment, freePort, run } from './support/careflex.ts';

const secret = () => randomBytes(32).toString('base64');
const [oldKey, newKey] = [secret(), secret()];

const LAST_SEALED = 'select entry_id from audit_leaves order by leaf_index desc limit 1';

describe('careflex', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-commands-'));
  const environment: Environment = {
    CAREFLEX_DATA_DIR: directory,
    DATABASE_URL: urls.login,
    DATABASE_ADMIN_URL: urls.admin,
    CAREFLEX_KEYS: `1:${oldKey}`,
    CAREFLEX_SECRET: secret(),
    AUDIT_HEAD_FILE: path.join(directory, 'head.json'),
  };
  const call = (args: string, more: Environment = {}): Promise<Ended> =>
    run(args.split(' '), { ...environment, ...more });
  before(async () => {
    await databaseReady;
    assert.equal((await call('migrate')).code, 0);
  });
  after(() => rmSync(directory, { recursive: true }));

  it('shows what there is, with examples, and answers wrong usage with 2', async () => {
    const [help, migrateHelp, unknown, missing] = await Promise.all(
      ['--help', 'migrate --help', 'fly', 'users create --role admin'].map((args) => call(args)),
    );
    assert.match(
      help?.stdout ?? '',
      /start[^]*api[^]*worker[^]*migrate[^]*import[^]*users[^]*keys[^]*audit[^]*search[^]*doctor/,
    );
    assert.match(migrateHelp?.stdout ?? '', /Examples:\n {2}careflex migrate\n/);
    assert.deepEqual(
      [help, migrateHelp, unknown, missing].map((ended) => ended?.code),
      [0, 0, 2, 2],
    );
    assert.match(missing?.stderr ?? '', /^error: required option '--email <address>' not specified\n/);
  });

  it('migrate --check tells in its exit code whether there is something to do', async () => {
    assert.equal((await call('migrate --check')).code, 0);
    const rename = (from: string, to: string) =>
      asSuperuser('update schema_migrations set name = $2 where name = $1', [from, to]);
    await rename('0005_jobs.sql', 'hidden');
    const { code, stdout } = await call('migrate --check');
    await rename('hidden', '0005_jobs.sql');
    assert.deepEqual([code, stdout], [1, '0005_jobs.sql\n']);
  });

  it('users create makes a user with a password shown once, and refuses a second one', async () => {
    const args = 'users create --email ada@clinic.test --name Ada --role admin';
    const made = await call(`${args} --json`);
    const { id, password } = JSON.parse(made.stdout) as { id: string; password: string };
    const [row] = await asSuperuser<{ role: string }>('select role from users where id = $1', [id]);
    assert.equal(row?.role, 'admin');
    assert.match(password, /^[\w-]{24}$/);
    const again = await call(args);
    assert.deepEqual([again.code, again.stderr], [1, 'There is already a user with this e-mail address.\n']);
  });

  it('import fhir takes the good lines, names the bad ones, and answers 1', async () => {
    const exported = path.join(directory, 'export');
    mkdirSync(exported);
    const patient = { resourceType: 'Patient', id: 'p1', name: [{ family: 'Byron', given: ['Ada'] }] };
    writeFileSync(path.join(exported, 'Patient.ndjson'), `${JSON.stringify(patient)}\n{"resourceType":"Patient"\n`);
    const { code, stdout, stderr } = await call(`import fhir ${exported} --json`);
    const { counts } = JSON.parse(stdout) as { counts: { Patient: object } };
    assert.partialDeepStrictEqual(counts.Patient, { created: 1, refused: 1 });
    assert.match(stderr, /^Patient\.ndjson:2: refused: /);
    assert.equal(code, 1);
    assert.equal((await call(`import fhir ${directory}/nowhere`)).code, 1);
    const named = await call(`import fhir ${exported} --source no|name`);
    assert.equal(named.code, 2);
    assert.match(named.stderr, /'no\|name' is invalid\. expected up to 32 letters, digits, dots and hyphens\n/);
  });

  it('risk score, report and train say what they did', async () => {
    assert.equal((await call('risk score')).stdout, '0 visits scored.\n');
    const { stdout } = await call('risk report --days 7 --json');
    assert.partialDeepStrictEqual(JSON.parse(stdout), {
      model: 'statistical-built-in',
      measures: { visits: 0 },
      alarms: [],
    });
    assert.match((await call('risk report')).stdout, /^0 visits, of which 0 were missed[^]*alarms: none\n$/);
    assert.equal((await call('risk train --kind statistical')).stdout, 'Too few visits to learn from.\n');
    assert.equal((await call('risk report --days x')).code, 2);
  });

  it('keys rotate wraps every data key anew, so that the old one can go', async () => {
    const both = { CAREFLEX_KEYS: `2:${newKey},1:${oldKey}` };
    const rotated = await call('keys rotate --json', both);
    const { rewrapped, activeKey } = JSON.parse(rotated.stdout) as { rewrapped: number; activeKey: number };
    assert.equal(activeKey, 2);
    assert.ok(rewrapped > 0);
    const [onlyNew, onlyOld] = await Promise.all([
      call('doctor', { CAREFLEX_KEYS: `2:${newKey}` }),
      call('doctor', { CAREFLEX_KEYS: `1:${oldKey}` }),
    ]);
    assert.equal(onlyNew.code, 0, onlyNew.stdout);
    assert.equal(onlyOld.code, 1);
    assert.match(onlyOld.stdout, /WRONG {2}keys .* under key 2, which CAREFLEX_KEYS lacks/);
    assert.equal((await call('search rebuild', both)).code, 0);
    for (const args of ['keys rotate', 'search rebuild']) {
      const lacking = await call(args, { CAREFLEX_KEYS: `3:${secret()}` });
      assert.deepEqual(
        [lacking.code, lacking.stderr],
        [2, 'The key ring has no key 2, under which data is still sealed; add it to CAREFLEX_KEYS.\n'],
      );
    }
  });

  it('api and worker run apart, and end when they are asked to', async () => {
    const PORT = String(await freePort());
    const more = { ...environment, CAREFLEX_KEYS: `2:${newKey}`, PORT };
    await using api = careflex(['api'], more);
    await using worker = careflex(['worker'], more);
    await Promise.all([api.says('The API is ready'), worker.says('The worker is ready')]);
    assert.equal((await fetch(`http://127.0.0.1:${PORT}/readyz`)).status, 200);
    while (!existsSync(environment['AUDIT_HEAD_FILE'] ?? '')) await sleep(50);
    for (const { launcher } of [api, worker]) launcher.kill('SIGTERM');
    const codes = (await Promise.all([api.ended, worker.ended])).map(({ code }) => code);
    assert.deepEqual(codes, [0, 0]);
  });

  it('audit verify finds a change that a superuser made, in the trail and in what was exported before', async () => {
    const keys = { CAREFLEX_KEYS: `2:${newKey}` };
    const [trail, key, head] = ['trail.ndjson', 'audit.pem', 'kept-head.json'].map((name) =>
      path.join(directory, name),
    ) as [string, string, string];
    copyFileSync(environment['AUDIT_HEAD_FILE'] ?? '', head);
    assert.equal((await call('audit verify', keys)).code, 0);
    assert.equal((await call(`audit export --since ${head} --output ${trail}`, keys)).code, 0);
    writeFileSync(key, (await call('audit public-key', keys)).stdout);
    const offline = `audit verify --export ${trail} --head ${head} --public-key ${key}`;
    assert.equal((await call(offline)).code, 0);

    const newer = path.join(directory, 'newer-head.json');
    const { size } = JSON.parse(readFileSync(head, 'utf8')) as { size: number };
    assert.equal((await call('audit verify', keys)).code, 0);
    copyFileSync(environment['AUDIT_HEAD_FILE'] ?? '', newer);
    assert.ok((JSON.parse(readFileSync(newer, 'utf8')) as { size: number }).size > size);
    const cannot = await Promise.all([
      call(offline.replace(head, newer)),
      call(offline.replace(key, trail)),
      call(offline.replace(key, `${key}.gone`)),
    ]);
    for (const [at, says] of [
      /^The export was made at \d+ sealed entries and the head at \d+: [^\n]+\.\n$/,
      /trail\.ndjson does not hold a public key in PEM, [^\n]+\.\n$/,
      /^There is no file \S+\.gone\.\n$/,
    ].entries()) {
      assert.equal(cannot[at]?.code, 2);
      assert.match(cannot[at]?.stderr ?? '', says);
    }

    const healthy = await call('doctor', keys);
    assert.equal(healthy.code, 0, healthy.stdout);
    assert.match(healthy.stdout, /^ok {5}audit trail {4}is sealed, and its end is as the head says/m);
    const behind = await call('doctor', { ...keys, AUDIT_HEAD_FILE: path.join(directory, 'no-such-file') });
    assert.match(behind.stdout, /^note {3}audit trail .* no head is kept elsewhere/m);
    await asSuperuser(`alter table audit_entries disable trigger all`);
    await asSuperuser(`create table gone as select * from audit_entries where id = (${LAST_SEALED})`);
    await asSuperuser(`delete from audit_entries where id = (${LAST_SEALED})`);
    await asSuperuser(`alter table audit_entries enable trigger all`);
    const cutOff = await call('doctor', keys);
    assert.equal(cutOff.code, 1);
    assert.match(cutOff.stdout, /^WRONG {2}audit trail {4}is damaged: [^\n]+; "careflex audit verify" tells more$/m);
    await asSuperuser(`insert into audit_entries table gone`);

    writeFileSync(trail, readFileSync(trail, 'utf8').replace('"user.create"', '"user.erased"'));
    await asSuperuser(`alter table audit_entries disable trigger all`);
    await asSuperuser(`update audit_entries set action = 'user.erased' where action = 'user.create'`);
    const [online, part] = await Promise.all([call('audit verify', keys), call(offline)]);
    assert.deepEqual([online.code, part.code], [1, 1]);
    for (const { stderr } of [online, part])
      assert.match(stderr, /^The first bad entry \([\w-]{36}, sequence \d+\): edited: /);
  });
});
