import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { sharedBuffers, startEmbedded } from '#platform/embedded-postgres';

// Only root's server runs as another user, who cannot enter such a directory.
const skip = process.getuid?.() === 0 ? false : 'only root keeps the database elsewhere';

test('a database that is gone from where its directory says is not begun anew', { skip }, async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-place-'));
  try {
    writeFileSync(path.join(directory, 'place'), '0000000000000000');
    await assert.rejects(startEmbedded({ directory }), /is gone from \/var\/lib\/careflex\/0000000000000000/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what the server keeps in memory is an eighth of the machine, within bounds', () => {
  assert.deepEqual(
    [0.5, 2, 64].map((gib) => sharedBuffers(gib * 2 ** 30)),
    [128, 256, 512],
  );
});
