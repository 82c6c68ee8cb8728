/** What docs/operations.md says about a backup, done: a cold copy of the data directory, started elsewhere. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import * as audit from '#audit';
import * as care from '#care';
import { connect } from '#platform/database';
import { startEmbedded } from '#platform/embedded-postgres';
import { migrate } from '#platform/migrate';
import { asSystem, type Scope } from '#platform/scope';
import { LOGIN, testScope } from './support/testing.ts';

async function withServer(directory: string, work: (scope: Scope) => Promise<void>): Promise<void> {
  const server = await startEmbedded({ directory, durable: false });
  try {
    await migrate(server.adminUrl, LOGIN);
    const url = new URL(server.adminUrl);
    [url.username, url.password] = [LOGIN.name, LOGIN.password];
    const db = connect(url.href);
    try {
      await work(testScope({ db }));
    } finally {
      await db.destroy();
    }
  } finally {
    await server.stop();
  }
}

test('a copy of the data directory holds every sealed patient and the whole trail', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-backup-'));
  chmodSync(directory, 0o755);
  const [original, copy] = [path.join(directory, 'original'), path.join(directory, 'copy')];
  try {
    let id = '';
    await withServer(original, async (scope) => {
      ({ id } = await care.createPatient(scope, { firstName: 'Ada', lastName: 'Lovelace', dateOfBirth: '1975-12-10' }));
      await audit.seal(asSystem(scope));
    });
    execFileSync('cp', ['-a', original, copy]);
    rmSync(original, { recursive: true });
    await withServer(copy, async (scope) => {
      assert.equal((await care.getPatient(scope, id)).lastName, 'Lovelace');
      assert.equal((await care.searchPatients(scope, { query: 'lovel' })).items.length, 1);
      assert.equal((await audit.verify(asSystem(scope))).firstBad, null);
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
