/** Work that is done again and again, never twice at once: on a beat, or as soon as somebody asks for it. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Ticker extends AsyncDisposable {
  /** Asks for a run that begins after this moment. Many requests during one run make one more run. */
  readonly wake: () => void;
}

export interface TickerOptions {
  /** Between the end of a run and the next one; without it, only on request. */
  readonly everyMs?: number;
  /** After the end of a run, before one that was asked for: what is asked for meanwhile is one run. The first is at once. */
  readonly restMs?: number;
  readonly run: () => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

/** Disposing of it waits for the run that is going on. */
export function ticker({ everyMs, restMs = 0, run, onError }: TickerOptions): Ticker {
  const stopped = new AbortController();
  let asked = Promise.withResolvers<void>();

  async function loop(): Promise<void> {
    while (!stopped.signal.aborted) {
      const beat = new AbortController();
      await Promise.race(everyMs === undefined ? [asked.promise] : [asked.promise, pause(everyMs, beat.signal)]);
      beat.abort();
      if (stopped.signal.aborted) return;
      asked = Promise.withResolvers();
      await run().catch(onError);
      if (restMs > 0) await pause(restMs, stopped.signal);
    }
  }
  const looping = loop();

  return {
    wake: () => asked.resolve(),
    async [Symbol.asyncDispose]() {
      stopped.abort();
      asked.resolve();
      await looping;
    },
  };
}

/** Ends early, and without an error, when the signal says so. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
