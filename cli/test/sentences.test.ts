import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { DATA_DIRECTORY } from '@careflex/core/platform/config';
import { KeyMissing, VaultError } from '@careflex/core/platform/vault';
import { whereData } from '../src/commands/start.ts';
import { exitCodeOf, sentenceOf } from '../src/faults.ts';

/** As the operating system's errors come from node:fs. */
function refused(file: string): Error {
  return Object.assign(new Error(`EACCES: permission denied, open '${file}'`), {
    code: 'EACCES',
    syscall: 'open',
    path: file,
  });
}

describe('sentenceOf', () => {
  it('tells of a data directory of another user, and of another file that is not to be read', () => {
    const mine = refused(path.join(DATA_DIRECTORY, 'careflex.lock'));
    assert.match(
      sentenceOf(mine),
      /^This user may not use \S+\/careflex\.lock; start as the owner [^\n]+ CAREFLEX_DATA_DIR\.$/,
    );
    assert.equal(exitCodeOf(mine), 1);
    assert.equal(sentenceOf(refused('/etc/shadow')), 'This user may not use /etc/shadow.');
  });

  it('tells which key is missing, which is a mistake in the configuration', () => {
    const missing = new KeyMissing('The key ring has no key 3');
    assert.equal(
      sentenceOf(missing),
      'The key ring has no key 3, under which data is still sealed; add it to CAREFLEX_KEYS.',
    );
    assert.equal(exitCodeOf(missing), 2);
    assert.equal(exitCodeOf(new VaultError('A value of users.data_key does not open')), 1);
  });
});

describe('whereData', () => {
  it('names the directory as README does, and where the database is when that is elsewhere', () => {
    assert.equal(whereData(DATA_DIRECTORY, DATA_DIRECTORY), '.data');
    assert.equal(whereData('/srv/data', '/srv/data'), '/srv/data');
    assert.equal(
      whereData(DATA_DIRECTORY, '/var/lib/careflex/1f'),
      '.data, the database itself in /var/lib/careflex/1f',
    );
    assert.equal(whereData(DATA_DIRECTORY, null), 'in DATABASE_URL');
  });
});
