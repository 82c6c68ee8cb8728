/** A client of the usual kind, and a way to read its subscriptions value by value. */
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface Subscriber {
  readonly client: Client;
  /** Resolves when the socket is closed. */
  readonly closed: Promise<Closed>;
  /** The data of each answer; what is no data is thrown. */
  follow<T>(query: string, variables?: Record<string, unknown>): AsyncIterableIterator<T>;
}

export function openClient(url: string, token?: string): Subscriber {
  const closed = Promise.withResolvers<Closed>();
  const client: Client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    lazy: false,
    retryAttempts: 0,
    ...(token === undefined ? {} : { connectionParams: { authorization: `Bearer ${token}` } }),
    onNonLazyError: () => undefined,
    on: { closed: (event) => closed.resolve(event as Closed) },
  });
  return {
    client,
    closed: closed.promise,
    async *follow<T>(query: string, variables: Record<string, unknown> = {}) {
      for await (const { data, errors } of client.iterate({ query, variables })) {
        if (errors) throw new Error(JSON.stringify(errors));
        yield data as T;
      }
    },
  };
}
