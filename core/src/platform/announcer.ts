/**
 * What a process tells the others, in their order on each channel. A message wakes whatever listens on the server, so a
 * channel is told at once and then rests a little: what is said meanwhile is told together, and the same once.
 */
import type { PubSub } from './pubsub.ts';
import { type Ticker, ticker } from './ticker.ts';

export interface Announcer extends AsyncDisposable {
  readonly announce: (channel: string, payload: string) => void;
}

const REST_MS = 20;

interface Channel {
  readonly waiting: Set<string>;
  readonly ticks: Ticker;
}

/** Disposing of it tells what still waits. */
export function openAnnouncer(
  pubsub: Pick<PubSub, 'publish'>,
  onError: (error: unknown, channel: string) => void,
  restMs = REST_MS,
): Announcer {
  const channels = new Map<string, Channel>();

  async function tell(name: string, waiting: Set<string>): Promise<void> {
    const payloads = [...waiting];
    waiting.clear();
    for (const payload of payloads) await pubsub.publish(name, payload).catch((error: unknown) => onError(error, name));
  }

  function open(name: string): Channel {
    const waiting = new Set<string>();
    const ticks = ticker({ restMs, run: () => tell(name, waiting), onError: (error) => onError(error, name) });
    const channel = { waiting, ticks };
    channels.set(name, channel);
    return channel;
  }

  return {
    announce(name, payload) {
      const { waiting, ticks } = channels.get(name) ?? open(name);
      waiting.add(payload);
      ticks.wake();
    },
    async [Symbol.asyncDispose]() {
      for (const [name, { waiting, ticks }] of channels) {
        await ticks[Symbol.asyncDispose]();
        await tell(name, waiting);
      }
    },
  };
}
