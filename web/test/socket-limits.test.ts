import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { useApi } from './support/api.ts';

const api = useApi({
  rateLimits: { perAddress: 20 },
  strangerIdleMs: 200,
  environment: { TRUSTED_PROXIES: '1', SOCKETS_PER_ADDRESS: '3' },
});
const url = () => `${api.url.replace('http', 'ws')}/graphql`;
const headersOf = (address: string) => ({ 'x-forwarded-for': address });

/** A client at an address of its own, and the code with which its socket closes. */
function openClient(address: string, connectionParams: Record<string, string> = {}) {
  const closed = Promise.withResolvers<number>();
  const client: Client = createClient({
    url: url(),
    webSocketImpl: class extends WebSocket {
      constructor(to: string, protocols: string) {
        super(to, protocols, { headers: headersOf(address) });
      }
    },
    lazy: false,
    retryAttempts: 0,
    connectionParams,
    onNonLazyError: () => undefined,
    on: { closed: (event) => closed.resolve((event as { code: number }).code) },
  });
  return { client, closed: closed.promise };
}

/** The code of the first error, or none. */
async function codeOf(client: Client, query: string): Promise<unknown> {
  try {
    const { value } = await client.iterate({ query }).next();
    return value?.errors?.[0]?.extensions?.['code'];
  } catch (errors) {
    return (errors as { extensions?: Record<string, unknown> }[])[0]?.extensions?.['code'];
  }
}

describe('one address', () => {
  test('has its limit of operations through a socket too, those that cannot be read included', async () => {
    const { client } = openClient('203.0.113.1');
    const codes = new Set<unknown>();
    for (let i = 0; i < 10; i++) codes.add(await codeOf(client, `{ broken${i}`));
    for (let i = 0; i < 12; i++) codes.add(await codeOf(client, `{ unknown${i} }`));
    assert.deepEqual(codes, new Set(['BAD_USER_INPUT', 'RATE_LIMITED']));
    assert.equal(await codeOf(client, '{ me { id } }'), 'RATE_LIMITED');
    await client.dispose();
    const other = openClient('203.0.113.2').client;
    assert.equal(await codeOf(other, '{ me { id } }'), undefined);
    await other.dispose();
  });

  test('has so many sockets open and no more, until one of them closes', async () => {
    const open = () => new WebSocket(url(), 'graphql-transport-ws', { headers: headersOf('203.0.113.3') });
    const three = [open(), open(), open()] as const;
    await Promise.all(three.map((socket) => once(socket, 'open')));
    const fourth = open();
    const [error] = (await once(fourth, 'error')) as [Error];
    assert.match(error.message, /429/);
    three[0].close();
    await once(three[0], 'close');
    for (let isOpen = false; !isOpen;) {
      const again = open();
      isOpen = await Promise.race([once(again, 'open').then(() => true), once(again, 'error').then(() => false)]);
      if (isOpen) again.close();
    }
    for (const socket of three.slice(1)) socket.close();
  });
});

describe('a socket that asks for nothing', () => {
  test('is closed where nobody is signed in', async () => {
    const { client, closed } = openClient('203.0.113.4');
    assert.equal(await codeOf(client, '{ me { id } }'), undefined);
    assert.equal(await closed, 1000);
  });

  test('stays where somebody is', async () => {
    const { token } = await api.person('agent');
    const { client, closed } = openClient('203.0.113.5', { authorization: `Bearer ${token}` });
    const stranger = openClient('203.0.113.6');
    assert.equal(await codeOf(client, '{ me { id } }'), undefined);
    await stranger.closed;
    assert.equal(await codeOf(client, '{ me { id } }'), undefined);
    await client.dispose();
    assert.equal(await closed, 1000);
  });
});
