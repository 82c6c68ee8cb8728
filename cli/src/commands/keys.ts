import { keyColumns } from '@careflex/core/key-columns';
import { rotateKeys } from '@careflex/core/platform/rotation';
import type { Command } from 'commander';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';
import { share, startProgress } from '../progress.ts';

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('keys that wrap the data keys of patients and users');
  withJson(keys.command('rotate'))
    .description('seal anew with the active key what another key seals, while everything goes on')
    .addHelpText(
      'after',
      `
To bring in a new key: add it behind the old one in CAREFLEX_KEYS (1:old,2:new) and restart every process, so that all
of them know it; put it first (2:new,1:old) and restart every process again; run this; and only then take the old one
away. What is stopped in between carries on when started again.
${examples('careflex keys rotate')}`,
    )
    .action(rotate);
}

async function rotate(options: OutputOptions): Promise<void> {
  const { rewrapped, activeKey } = await withApp(async (app) => {
    using progress = startProgress('Rotating keys');
    const rewrapped = await rotateKeys(commandScope(app), keyColumns, {
      onProgress: ({ done, total }) => progress.update(share(done, total)),
    });
    return { rewrapped, activeKey: app.vault.ring.active.id };
  });
  print(options, { rewrapped, activeKey }, [
    `${count(rewrapped, 'data key or message', 'data keys and messages')} sealed anew; all of them are under key ${activeKey} now.`,
  ]);
}
