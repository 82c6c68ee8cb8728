import { install } from '@careflex/core/installation';
import { createLog } from '@careflex/core/platform/log';
import { pendingMigrations } from '@careflex/core/platform/migrate';
import type { Command } from 'commander';
import { Failure, Misuse } from '../faults.ts';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { loadConfig, openDatabase } from '../platform.ts';

export function addMigrate(program: Command): void {
  withJson(program.command('migrate'))
    .description("bring the database to this program's version: tables, roles, queues, schedules")
    .option('--check', 'change nothing; exit with 1 when something is to be done')
    .addHelpText(
      'after',
      `
Safe to run from any number of processes at once. It needs the rights of an administrator: DATABASE_ADMIN_URL, or a
DATABASE_URL that is the administrator's.
${examples('careflex migrate', 'careflex migrate --check')}`,
    )
    .action(migrate);
}

async function migrate(options: OutputOptions & { check?: true }): Promise<void> {
  const config = loadConfig();
  await using database = await openDatabase(config);
  const { adminUrl, login } = database.access;
  if (adminUrl === null) throw new Misuse('Migrating needs an administrator; set DATABASE_ADMIN_URL.');
  if (options.check) {
    const pending = await pendingMigrations(adminUrl);
    print(options, { pending }, pending.length === 0 ? ['The database is up to date.'] : pending);
    if (pending.length > 0) throw new Failure(`${count(pending.length, 'migration')} to be applied.`);
    return;
  }
  const migrated = await install(adminUrl, login, { config, log: createLog(config.LOG_LEVEL, process.stderr) });
  const lines = migrated.applied.map((name) => `applied ${name}`);
  print(options, migrated, [...lines, `The database is up to date; ${migrated.alreadyThere} were there already.`]);
}
