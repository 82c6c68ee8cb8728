/** A worker of the reminders bench, in a process of its own: told its settings, says when it is ready. */
import { once } from 'node:events';
import { createApp } from '@careflex/core/app';
import { readConfig } from '@careflex/core/platform/config';
import { createLog } from '@careflex/core/platform/log';
import { startWorkers } from '@careflex/core/worker';
import type { WorkerSettings } from './reminders.ts';

const [{ databaseUrl, environment }] = (await once(process, 'message')) as [WorkerSettings];
const app = await createApp(readConfig(environment), { databaseUrl, log: createLog('error') });
await startWorkers(app);
process.once('disconnect', () => process.exit());
process.send?.('ready');
