/**
 * Messages by Redis, where `REDIS_URL` names one: PostgreSQL is spared the notifications, and may stand behind a
 * pooler that allows no LISTEN. While Redis is away messages are lost, and nothing else.
 */
import { createClient } from '@redis/client';
import type { Log } from './log.ts';
import { ANSWER_MS, type Connect, Listener, type PubSub } from './pubsub.ts';

export interface RedisPubSubOptions {
  readonly url: string;
  readonly log: Log;
}

/** Redis has one space of channels for all its databases, which others may use too. */
const PREFIX = 'careflex:';

export function redisPubSub({ url, log }: RedisPubSubOptions): PubSub {
  const listener = new Listener(connectTo(url), log);
  const publisher = new Publisher(url);
  return {
    publish: (channel, payload) => publisher.publish(channel, payload),
    subscribe: (channel, subscriber) => listener.subscribe(channel, subscriber),
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      publisher.close();
    },
  };
}

type Client = ReturnType<typeof newClient>;

/** Connecting again is ours to do, so that a lost connection is told at once and looks like PostgreSQL's. */
function newClient(url: string, lost: (error: Error) => void) {
  const client = createClient({
    url,
    name: 'careflex',
    disableOfflineQueue: true,
    socket: { connectTimeout: ANSWER_MS, reconnectStrategy: false },
  });
  client.on('error', lost).on('end', () => lost(new Error('The server closed the connection')));
  return client;
}

function connectTo(url: string): Connect {
  return async ({ message, lost }) => {
    const client = newClient(url, lost);
    try {
      await client.connect();
    } catch (thrown) {
      destroy(client);
      throw thrown;
    }
    return {
      listen: (channel) => client.subscribe(PREFIX + channel, (payload) => message(channel, payload)),
      async probe() {
        await answered(client.ping());
      },
      close: async () => destroy(client),
    };
  };
}

/** One connection for all messages, made with the first one and after each loss. */
class Publisher {
  readonly #url: string;
  #connecting: Promise<Client> | undefined;
  #client: Client | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async publish(channel: string, payload: string): Promise<void> {
    this.#connecting ??= this.#connect();
    const client = await this.#connecting;
    await answered(client.publish(PREFIX + channel, payload)).catch((thrown: unknown) => {
      this.#forget(client);
      throw thrown;
    });
  }

  close(): void {
    if (this.#client) this.#forget(this.#client);
  }

  async #connect(): Promise<Client> {
    const client = newClient(this.#url, () => this.#forget(client));
    this.#client = client;
    try {
      await client.connect();
      return client;
    } catch (thrown) {
      this.#forget(client);
      throw thrown;
    }
  }

  #forget(client: Client): void {
    if (this.#client === client) this.#client = this.#connecting = undefined;
    destroy(client);
  }
}

function destroy(client: Client): void {
  if (client.isOpen) client.destroy();
}

/** A server that vanished without a word would otherwise be waited for until the connection breaks. */
async function answered<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('Redis does not answer')), ANSWER_MS);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
