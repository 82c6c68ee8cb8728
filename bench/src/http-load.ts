/** Asks one operation over and over on a few connections, each waiting for its answer. Run as a process of its own. */
import { connect } from 'node:net';

export interface Load {
  readonly url: string;
  readonly token: string;
  readonly query: string;
  /** Each request has the next one as its variable `id`. */
  readonly ids: readonly string[];
  readonly clients: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly milliseconds: number;
}

process.once('message', (load: Load) => {
  void run(load).then((result) => process.send?.(result, () => process.exit(0)));
});

async function run(load: Load): Promise<LoadResult> {
  const startedAt = performance.now();
  const until = startedAt + load.seconds * 1_000;
  const counts = await Promise.all(Array.from({ length: load.clients }, (_, i) => client(load, until, i * 97)));
  return { requests: counts.reduce((a, b) => a + b), milliseconds: performance.now() - startedAt };
}

/** A connection without the comfort of an HTTP client, whose cost would be measured along. */
function client({ url, token, query, ids }: Load, until: number, first: number): Promise<number> {
  const { hostname, port, pathname, host } = new URL(url);
  return new Promise((resolve, reject) => {
    let next = first;
    let answered = 0;
    let waitingFor = -1;
    let received = 0;
    const socket = connect(Number(port), hostname);
    const send = () => {
      const body = JSON.stringify({ query, variables: { id: ids[next++ % ids.length] } });
      socket.write(
        `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    };
    socket.setNoDelay(true).on('connect', send).on('error', reject);
    socket.on('data', (bytes) => {
      if (waitingFor < 0) {
        const head = bytes.toString('latin1');
        if (!head.startsWith('HTTP/1.1 200')) return reject(new Error(head));
        const end = head.indexOf('\r\n\r\n');
        waitingFor = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1]);
        if (Number.isNaN(waitingFor)) return reject(new Error(`No length: ${head.slice(0, end)}`));
      }
      received += bytes.length;
      if (received < waitingFor) return;
      answered++;
      waitingFor = -1;
      received = 0;
      if (performance.now() < until) return send();
      socket.end();
      resolve(answered);
    });
  });
}
