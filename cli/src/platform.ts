/** What a command stands on: the configuration, a database, and the app over both. */
import path from 'node:path';
import { type App, createApp } from '@careflex/core/app';
import { type DatabaseAccess, databaseAccess, DatabaseUnusable, reachDatabase } from '@careflex/core/installation';
import { type Config, environment, readConfig } from '@careflex/core/platform/config';
import { withDevelopmentSecrets } from '@careflex/core/platform/development-secrets';
import { findEmbedded, startEmbedded } from '@careflex/core/platform/embedded-postgres';
import { assertOwnSecret } from '@careflex/core/platform/installed-secret';
import { createLog, type Log } from '@careflex/core/platform/log';
import { missingMigrations } from '@careflex/core/platform/migrate';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { Interrupted, stopSignal, untilStopped } from './stop.ts';

/** Throws ConfigError. */
export function loadConfig(): Config {
  const config = readConfig(withDevelopmentSecrets(environment));
  if (config.DATABASE_URL !== undefined || config.AUDIT_HEAD_FILE !== undefined) return config;
  // Beside the embedded database the newest head of the audit trail has a place of its own.
  return { ...config, AUDIT_HEAD_FILE: path.join(config.CAREFLEX_DATA_DIR, 'audit-head.json') };
}

export interface OpenDatabase extends AsyncDisposable {
  readonly access: DatabaseAccess;
  /** Where the files of a server of our own are; null for any other one. */
  readonly place: string | null;
  /** Resolves when a server of our own ends; for any other one it never does. */
  readonly ended: Promise<void>;
}

const NEVER = new Promise<never>(() => undefined);

/** The one that DATABASE_URL names, the embedded one that `careflex start` runs, or else one for this command. */
export async function openDatabase(config: Config): Promise<OpenDatabase> {
  const running = config.DATABASE_URL ?? findEmbedded(config.CAREFLEX_DATA_DIR);
  if (running === null) return ownDatabase(config);
  const access = databaseAccess(config, running);
  await reachDatabase(access.adminUrl ?? access.url);
  return { access, place: null, ended: NEVER, async [Symbol.asyncDispose]() {} };
}

/** An embedded server that lives as long as this process. Throws EmbeddedPostgresError, Interrupted. */
export async function ownDatabase(config: Config): Promise<OpenDatabase> {
  const server = await startEmbedded({ directory: config.CAREFLEX_DATA_DIR, signal: stopSignal }).catch(
    (thrown: unknown) => {
      // Ctrl-C in a terminal ends what it has started as well.
      throw stopSignal.aborted ? new Interrupted(String(stopSignal.reason)) : thrown;
    },
  );
  const access = databaseAccess(config, server.adminUrl);
  const { ended, place } = server;
  return { access, place, ended, [Symbol.asyncDispose]: () => server.stop() };
}

/** Runs a command that is done at some time, over a database that is up to date. */
export async function withApp<T>(work: (app: App) => Promise<T>): Promise<T> {
  const config = loadConfig();
  await using database = await openDatabase(config);
  // The output is the answer's.
  await using app = await openApp(config, database, createLog(config.LOG_LEVEL, process.stderr));
  return await untilStopped(work(app));
}

/** Throws DatabaseUnusable when the database is not up to date, ConfigError when it was made with another secret. */
export async function openApp(config: Config, { access }: OpenDatabase, log: Log): Promise<App> {
  await reachDatabase(access.url);
  const app = await createApp(config, { databaseUrl: access.url, log });
  try {
    const missing = await missingMigrations(commandScope(app));
    if (missing.length > 0)
      throw new DatabaseUnusable(`The database lacks ${missing.join(', ')}; run "careflex migrate".`);
    await assertOwnSecret(commandScope(app), config.CAREFLEX_SECRET);
    return app;
  } catch (thrown) {
    await app[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** The command line acts as the system; the audit trail shows it by its user agent. */
export function commandScope(app: App): Scope {
  return app.scope(SYSTEM, { id: crypto.randomUUID(), ip: null, userAgent: 'careflex command line' });
}
