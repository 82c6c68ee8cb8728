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
  /**
   * The next connection that says `text` is heard by the server, and cut before the answer: a commit happens, and
   * nobody is told. Resolves then.
   */
  loseAnswerTo(text: string): Promise<void>;
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
  let losing: { readonly text: string; readonly lost: () => void } | undefined;

  const overhear = (pair: Pair, bytes: string | Buffer) => {
    if (!losing || !bytes.includes(losing.text)) return;
    const { lost } = losing;
    losing = undefined;
    pair.deaf = true;
    // The server has read what was sent before the end of it; then it is the client's turn to notice.
    pair.server.end();
    pair.server.once('close', () => {
      pair.client.destroy();
      lost();
    });
  };

  const pass = (pair: Pair, [from, to]: [Socket, Socket]) => {
    from.on('data', (bytes) => {
      const write = () => {
        if (!(pair.deaf && to === pair.client) && to.writable) to.write(bytes);
        if (from === pair.client) overhear(pair, bytes);
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
    loseAnswerTo(text) {
      const { promise, resolve } = Promise.withResolvers<void>();
      losing = { text, lost: resolve };
      return promise;
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
