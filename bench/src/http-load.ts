/** Asks one operation over and over on a few connections, each waiting for its answer. Run as a process of its own. */
import { connect } from 'node:net';

export interface Load {
  /** Of the API's processes, which have the clients in turns. */
  readonly urls: readonly string[];
  readonly token: string;
  readonly query: string;
  /** Each request has the next ones. */
  readonly variables: readonly object[];
  /** Every answer has this text in it. */
  readonly expect: string;
  readonly clients: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly milliseconds: number;
  /** From the request to its answer, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

process.once('message', (load: Load) => {
  void run(load).then((result) => process.send?.(result, () => process.exit(0)));
});

async function run(load: Load): Promise<LoadResult> {
  const startedAt = performance.now();
  const until = startedAt + load.seconds * 1_000;
  const all = await Promise.all(Array.from({ length: load.clients }, (_, i) => client(load, until, i)));
  const milliseconds = performance.now() - startedAt;
  const latencies = all.flat().sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { requests: latencies.length, milliseconds, p50: at(0.5), p99: at(0.99) };
}

/** A connection without the comfort of an HTTP client, whose cost would be measured along. */
function client(load: Load, until: number, first: number): Promise<number[]> {
  const { urls, token, query, variables, expect, clients } = load;
  const { hostname, port, host } = new URL(urls[first % urls.length] as string);
  return new Promise((resolve, reject) => {
    let next = first;
    const latencies: number[] = [];
    let askedAt = 0;
    let body = '';
    let waitingFor = -1;
    let received = 0;
    const socket = connect(Number(port), hostname);
    const send = () => {
      const body = JSON.stringify({ query, variables: variables[next % variables.length] });
      next += clients;
      askedAt = performance.now();
      socket.write(
        `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
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
      body += bytes.toString('latin1');
      if (received < waitingFor) return;
      if (!body.includes(expect)) return reject(new Error(body));
      latencies.push(performance.now() - askedAt);
      waitingFor = -1;
      received = 0;
      body = '';
      if (performance.now() < until) return send();
      socket.end();
      resolve(latencies);
    });
  });
}
