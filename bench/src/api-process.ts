/** An API in a process of its own: says where it is, and when asked, what CPU time it has used. */
import { once } from 'node:events';
import { createApp } from '@careflex/core/app';
import { readConfig } from '@careflex/core/platform/config';
import { createLog } from '@careflex/core/platform/log';
import { startApi } from '@careflex/web/main';

export interface ApiSettings {
  readonly databaseUrl: string;
  readonly environment: Readonly<Record<string, string>>;
}

const [{ databaseUrl, environment }] = (await once(process, 'message')) as [ApiSettings];
const app = await createApp(readConfig(environment), { databaseUrl, log: createLog('silent') });
const api = await startApi(app, { port: 0, host: '127.0.0.1' });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.send?.(api.url);
