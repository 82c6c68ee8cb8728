/** Processes of a bench's own, which are told what to do and answer once. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** Runs `<name>.ts` of this directory until the parts are disposed of. */
export function start(parts: AsyncDisposableStack, name: string): ChildProcess {
  const child = fork(path.join(import.meta.dirname, `${name}.ts`));
  parts.defer(() => void child.kill('SIGKILL'));
  return child;
}

/** What it answers. */
export async function told<T>(child: ChildProcess, message: object): Promise<T> {
  child.send(message);
  const [answer] = (await once(child, 'message')) as [T];
  return answer;
}
