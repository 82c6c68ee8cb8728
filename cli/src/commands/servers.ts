import type { App } from '@careflex/core/app';
import { createLog } from '@careflex/core/platform/log';
import { startWorkers } from '@careflex/core/worker';
import type { Command } from 'commander';
import { loadConfig, openApp, openDatabase } from '../platform.ts';
import { Failure } from '../faults.ts';
import { stopRequested } from '../stop.ts';

export function addServers(program: Command): void {
  program
    .command('api')
    .description('serve the API until stopped; any number of them, behind a load balancer')
    .addHelpText('after', '\nExample:\n  PORT=4000 DATABASE_URL=postgres://… careflex api')
    .action(() => serve(api));
  program
    .command('worker')
    .description('run jobs until stopped; any number of them')
    .addHelpText('after', '\nExample:\n  DATABASE_URL=postgres://… careflex worker')
    .action(() => serve(worker));
}

async function serve(start: (app: App) => Promise<AsyncDisposable>): Promise<void> {
  const config = loadConfig();
  await using database = await openDatabase(config);
  await using app = await openApp(config, database, createLog(config.LOG_LEVEL));
  await using _ = await start(app);
  await stoppedOr(database.ended);
}

/** Waits for the end. Throws Failure when the database ended first. */
export async function stoppedOr(databaseEnded: Promise<void>): Promise<void> {
  const lost = databaseEnded.then(() => {
    throw new Failure(
      'The database server has ended, so CareFlex ends too; its log is postgres.log in the data directory.',
    );
  });
  await Promise.race([stopRequested(), lost]);
}

async function api(app: App): Promise<AsyncDisposable> {
  // Half a second of loading that the other commands need not wait for.
  const { startApi } = await import('@careflex/web/main');
  const served = await startApi(app, { port: app.config.PORT, host: app.config.HOST });
  app.log.info('The API is ready', { url: served.url, pid: process.pid });
  return { [Symbol.asyncDispose]: () => served.close() };
}

async function worker(app: App): Promise<AsyncDisposable> {
  const working = await startWorkers(app);
  app.log.info('The worker is ready', { pid: process.pid });
  return working;
}
