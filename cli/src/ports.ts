import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@careflex/core/platform/config';

/** An earlier start that is about to end still has the port for a moment. */
const PATIENCE_MS = 3_000;

/**
 * The port of the API, a free one for port 0. Throws the operating system's error when it is taken: now, rather than
 * after everything has started.
 */
export async function freePort(config: Config): Promise<number> {
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

async function listenOnce({ PORT, HOST }: Config): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(PORT, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
