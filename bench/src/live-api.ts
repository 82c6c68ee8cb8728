/** The API of the live bench, in a process of its own: says where it is, and when asked, what CPU time it has used. */
import { once } from 'node:events';
import { createApp } from '@careflex/core/app';
import { readConfig } from '@careflex/core/platform/config';
import { startApi } from '@careflex/web/main';
import type { ApiSettings } from './live.ts';

const [{ databaseUrl, environment }] = (await once(process, 'message')) as [ApiSettings];
const app = await createApp(readConfig(environment), { databaseUrl });
const api = await startApi(app, { port: 0, host: '127.0.0.1' });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.send?.(api.url);
