import * as care from '@careflex/core/care';
import type { Command } from 'commander';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';
import { share, startProgress } from '../progress.ts';

export function addSearch(program: Command): void {
  const search = program.command('search').description('the index of names');
  withJson(search.command('rebuild'))
    .description('build the name index anew, while searches go on in the old one')
    .addHelpText(
      'after',
      `\nWhat is stopped in between carries on when started again.\n${examples('careflex search rebuild')}`,
    )
    .action(rebuild);
}

async function rebuild(options: OutputOptions): Promise<void> {
  const indexed = await withApp(async (app) => {
    using progress = startProgress('Indexing patients');
    return care.rebuildSearchIndex(commandScope(app), ({ done, total }) => progress.update(share(done, total)));
  });
  print(options, { indexed }, [`${count(indexed, 'patient')} indexed.`]);
}
