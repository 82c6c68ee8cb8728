/**
 * A worker process whose clock its parent sets: told its settings, then by how many milliseconds its clock is off. It
 * ends in order when told `stop`.
 */
import { once } from 'node:events';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/platform/config.ts';
import { createLog } from '../../src/platform/log.ts';
import { startWorkers } from '../../src/worker.ts';

export interface WorkerSettings {
  readonly databaseUrl: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly offsetMs: number;
}

const [settings] = (await once(process, 'message')) as [WorkerSettings];
let { offsetMs } = settings;
const clock = { now: () => Temporal.Now.instant().add({ milliseconds: offsetMs }) };
const log = createLog('error');
const app = await createApp(readConfig(settings.environment), { databaseUrl: settings.databaseUrl, clock, log });
const workers = await startWorkers(app);

async function stop(): Promise<void> {
  await workers[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  process.exit();
}

process.on('message', (message: number | 'stop') => {
  if (message === 'stop') void stop();
  else offsetMs = message;
});
process.once('disconnect', () => process.exit(1));
process.send?.('ready');
