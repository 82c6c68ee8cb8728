/**
 * An API in a process of its own, that can be killed: `api-process.ts <database> <seconds>`, its settings in the
 * environment; its clock is so many seconds behind.
 */
import { createApp } from '@careflex/core/app';
import { systemClock } from '@careflex/core/platform/clock';
import { readConfig } from '@careflex/core/platform/config';
import { startApi } from '../../src/main.ts';

const [databaseUrl = '', behind = '0'] = process.argv.slice(2);
const clock = { now: () => systemClock.now().subtract({ seconds: Number(behind) }) };
const app = await createApp(readConfig(), { databaseUrl, clock });
const api = await startApi(app, { port: 0, host: '127.0.0.1', presenceBeatMs: 200 });
process.stdout.write(`${api.url}\n`);
