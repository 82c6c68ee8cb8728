#!/usr/bin/env node
/**
 * Starts the command line on the Node that the project brings, whatever Node the machine has.
 *
 * The channel between the two tells the command line when this process is gone, even by kill -9: then it stops too.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';

const require = createRequire(import.meta.url);
const installed = path.dirname(require.resolve('node/package.json'));
const main = path.join(import.meta.dirname, '../src/main.ts');

const child = spawn(path.join(installed, 'bin/node'), [main, ...process.argv.slice(2)], {
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  // What was compiled once is not compiled again: it halves the time to start.
  env: { NODE_COMPILE_CACHE: path.join(installed, '../.cache/careflex'), ...process.env },
});
// The terminal sends its signals to the whole group; from elsewhere they come to this process alone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
});

// npm that is killed says nothing to what it runs. A shell that ends is another matter: nohup means it.
if (process.env.npm_execpath) {
  const npm = process.ppid;
  setInterval(() => {
    if (process.ppid !== npm) child.kill('SIGTERM');
  }, 200).unref();
}
