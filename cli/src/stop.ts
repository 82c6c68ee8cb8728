/**
 * When to stop: Ctrl-C, a signal, or the end of the launcher that started us (see bin/careflex.mjs).
 *
 * A signal may come twice, from the terminal and from the launcher; only the first one counts.
 */

const stopping = new AbortController();

/** How long everything may take to end once it was asked to. */
const DEADLINE_MS = 25_000;

/** Aborted, with the signal's name as reason, when the program should end. */
export const stopSignal: AbortSignal = stopping.signal;

export function listenForStop(): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop(name));
  process.on('disconnect', () => stop('SIGTERM'));
  process.channel?.unref();
}

function stop(name: string): void {
  if (stopping.signal.aborted) return;
  stopping.abort(name);
  setTimeout(() => {
    process.stderr.write(`CareFlex did not end within ${DEADLINE_MS / 1_000} s and is cut off.\n`);
    process.exit(1);
  }, DEADLINE_MS).unref();
}

/** A command that was stopped before it was done. */
export class Interrupted extends Error {
  readonly signal: string;
  constructor(signal: string) {
    super('Stopped before it was done; it is safe to run it again.');
    this.signal = signal;
  }
}

/** Ends the wait for `work` when the program should stop. Throws {@link Interrupted}. */
export async function untilStopped<T>(work: Promise<T>): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const interrupt = () => stopped.reject(new Interrupted(String(stopSignal.reason)));
  if (stopSignal.aborted) interrupt();
  stopSignal.addEventListener('abort', interrupt, { once: true });
  try {
    return await Promise.race([work, stopped.promise]);
  } finally {
    stopSignal.removeEventListener('abort', interrupt);
  }
}

/** Resolves when the program should stop. */
export async function stopRequested(): Promise<void> {
  if (stopSignal.aborted) return;
  await new Promise((resolve) => stopSignal.addEventListener('abort', resolve, { once: true }));
}
