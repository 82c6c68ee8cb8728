/** A TCP proxy before the database that cuts, delays and half-closes connections, so that a network can be as bad as networks are. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Proxy extends AsyncDisposable {
  /** The given connection string, through the proxy. */
  url(connectionString: string): string;
  /** How many connections are open through it. */
  readonly open: number;
  /** Ends connections at once, both ways: what was under way is never answered. */
  cut(): void;
  /** Passes what clients say on, and keeps the server's answers: a commit happens, and nobody is told. */
  swallowAnswers(): void;
  /** The client's side is closed for writing, as when one end believes that the other is done. */
  halfClose(): void;
  /** From now on every piece of data waits so long. */
  delay(ms: number): void;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  deaf: boolean;
}

export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  const pairs = new Set<Pair>();
  let delayMs = 0;

  const pass = (pair: Pair, [from, to]: [Socket, Socket]) => {
    from.on('data', (bytes) => {
      const write = () => {
        if (!(pair.deaf && to === pair.client) && to.writable) to.write(bytes);
      };
      if (delayMs === 0) write();
      else setTimeout(write, delayMs);
    });
    from.on('end', () => setTimeout(() => to.end(), delayMs));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      pairs.delete(pair);
      to.destroy();
    });
  };

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const pair: Pair = { client, server, deaf: false };
    pairs.add(pair);
    pass(pair, [client, server]);
    pass(pair, [server, client]);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address() as { port: number };

  return {
    url(connectionString) {
      const url = new URL(connectionString);
      url.hostname = '127.0.0.1';
      url.port = String(address.port);
      return url.href;
    },
    get open() {
      return pairs.size;
    },
    cut() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
    },
    swallowAnswers() {
      for (const pair of pairs) pair.deaf = true;
    },
    halfClose() {
      for (const { client } of pairs) client.end();
    },
    delay(ms) {
      delayMs = ms;
    },
    async [Symbol.asyncDispose]() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      listener.close();
      await once(listener, 'close');
    },
  };
}
