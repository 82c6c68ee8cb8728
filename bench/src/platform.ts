/** A platform of its own for a measurement: a durable PostgreSQL in a directory that is removed afterwards. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { randomBytes, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from '@careflex/core/platform/database';
import { startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { migrate } from '@careflex/core/platform/migrate';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { keyRing, vault } from '@careflex/core/platform/vault';

export interface BenchPlatform extends AsyncDisposable {
  readonly adminUrl: string;
  readonly loginUrl: string;
  /** By the system; `{ ...scope, actor }` is another's. */
  readonly scope: Scope;
}

const LOGIN = { name: 'careflex_bench', password: 'careflex-bench' } as const;

export async function benchPlatform(): Promise<BenchPlatform> {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-bench-'));
  chmodSync(directory, 0o755);
  const server = await startEmbedded({ directory });
  await migrate(server.adminUrl, LOGIN);
  const loginUrl = Object.assign(new URL(server.adminUrl), { username: LOGIN.name, password: LOGIN.password }).href;
  const db = connect(loginUrl, { name: 'careflex bench' });
  const scope: Scope = {
    actor: SYSTEM,
    request: { id: randomUUID(), ip: null, userAgent: 'bench' },
    db,
    now: Temporal.Now.instant(),
    clinic: {
      timeZone: 'America/New_York',
      region: 'US',
      name: 'CareFlex Clinic',
      messageHours: { from: '08:00', until: '21:00' },
    },
    signIn: { idleMinutes: 30, absoluteHours: 12, accessTokenMinutes: 5, demoAccounts: false, issuers: [] },
    vault: vault(keyRing([{ id: 1, bytes: randomBytes(32) }]), randomBytes(32)),
    jobs: { enqueue: async () => undefined, enqueueAll: async () => undefined },
  };
  return {
    adminUrl: server.adminUrl,
    loginUrl,
    scope,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
