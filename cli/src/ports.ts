import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@careflex/core/platform/config';

/** An earlier start that is about to end still has the port for a moment. */
const PATIENCE_MS = 3_000;

/** Throws the operating system's error when the API's port is taken: now, rather than after everything has started. */
export async function refuseTakenPort(config: Config): Promise<void> {
  const since = performance.now();
  for (;;) {
    try {
      return await listenOnce(config);
    } catch (thrown) {
      const mayPass = (thrown as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!mayPass || performance.now() - since > PATIENCE_MS) throw thrown;
      await sleep(100);
    }
  }
}

async function listenOnce({ PORT, HOST }: Config): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(PORT, HOST, resolve));
  await new Promise((resolve) => server.close(resolve));
}
