/** The command line. Every command says in one sentence what went wrong, and in its exit code whether anything did. */
import { Command, CommanderError } from 'commander';
import { environment } from '@careflex/core/platform/config';
import about from '../package.json' with { type: 'json' };
import { addAudit } from './commands/audit.ts';
import { addDoctor } from './commands/doctor.ts';
import { addImport } from './commands/import.ts';
import { addKeys } from './commands/keys.ts';
import { addMigrate } from './commands/migrate.ts';
import { addRisk } from './commands/risk.ts';
import { addSearch } from './commands/search.ts';
import { addServers } from './commands/servers.ts';
import { addSimulators } from './commands/simulators.ts';
import { addStart } from './commands/start.ts';
import { addUsers } from './commands/users.ts';
import { EXIT, exitCodeOf, sentenceOf } from './faults.ts';
import { listenForStop } from './stop.ts';

function commandLine(): Command {
  const program = new Command('careflex')
    .description('CareFlex: healthcare scheduling and benefits')
    .version(about.version)
    .exitOverride()
    .showHelpAfterError('(careflex --help shows what there is)')
    .addHelpText(
      'after',
      `
Exit codes: 0 done, or ended when asked to; 1 it failed, or found something wrong; 2 wrong usage or configuration;
130 and 143 stopped before it was done.`,
    );
  const commands = [
    addStart,
    addServers,
    addMigrate,
    addImport,
    addUsers,
    addKeys,
    addAudit,
    addSearch,
    addRisk,
    addDoctor,
  ];
  for (const add of [...commands, addSimulators]) add(program);
  return program;
}

function report(thrown: unknown): number {
  // Help and usage have been shown already.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.misuse;
  process.stderr.write(`${sentenceOf(thrown)}\n`);
  if (environment['LOG_LEVEL'] === 'debug') process.stderr.write(`${(thrown as Error).stack}\n`);
  return exitCodeOf(thrown);
}

function end(code: number): never {
  // What a command left open must not keep the program.
  process.exit(code);
}

process.on('uncaughtException', (thrown) => end(report(thrown)));
listenForStop();
try {
  await commandLine().parseAsync();
  end(EXIT.ok);
} catch (thrown) {
  end(report(thrown));
}
