/** Run once around all test files: a PostgreSQL for them, unless TEST_DATABASE_URL names one. */
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Embedded, startEmbedded } from '../../src/platform/embedded-postgres.ts';

let server: Embedded | undefined;
let directory: string | undefined;

export async function globalSetup(): Promise<void> {
  if (process.env['TEST_DATABASE_URL']) return;
  directory = mkdtempSync(path.join(tmpdir(), 'careflex-test-'));
  chmodSync(directory, 0o755);
  server = await startEmbedded({ directory, durable: false });
  process.env['TEST_DATABASE_URL'] = server.adminUrl;
}

export async function globalTeardown(): Promise<void> {
  await server?.stop();
  if (directory) rmSync(directory, { recursive: true, force: true });
}
