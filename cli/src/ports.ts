import { createServer } from 'node:net';
import type { Config } from '@careflex/core/platform/config';

/** Throws the operating system's error when the API's port is taken: now, rather than after everything has started. */
export async function refuseTakenPort({ PORT, HOST }: Config): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(PORT, HOST, resolve));
  await new Promise((resolve) => server.close(resolve));
}
