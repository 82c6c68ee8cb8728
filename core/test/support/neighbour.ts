/** The other process, from outside. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface NeighbouringProcess extends AsyncDisposable {
  /** What a call came to: `done`, or the code of its error. */
  call(): Promise<string>;
}

export async function startNeighbour(databaseUrl: string): Promise<NeighbouringProcess> {
  const script = fileURLToPath(new URL('neighbouring.ts', import.meta.url));
  const child = fork(script, [databaseUrl], { execArgv: [] });
  await once(child, 'message');
  return {
    async call() {
      const answered = once(child, 'message') as Promise<[string]>;
      child.send('call');
      const [outcome] = await answered;
      return outcome;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
