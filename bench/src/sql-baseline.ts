/**
 * The same statements without us: by pgbench where there is one, else by bare `pg` clients in a process of their own.
 * Prepared, and `begin` with what goes with it in one round trip; every other statement is answered before the next.
 */
import { execFileSync, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import pg from 'pg';

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The SQL expression that stands for a value, if it is not always the same; of {@link N} and {@link CLIENT}. */
export type Vary = (value: string) => string | undefined;

/** How many transactions this client has done before, and which one of the clients it is, from 0. */
export const N = '{n}';
export const CLIENT = '{client}';

export interface Baseline {
  readonly by: 'pgbench' | 'bare pg clients';
  /** Transactions a second over so many seconds. */
  run(): number | Promise<number>;
}

export interface BaselineOptions {
  readonly databaseUrl: string;
  readonly statements: readonly Statement[];
  readonly clients: number;
  readonly seconds: number;
  readonly vary?: Vary;
  /** Where pgbench's script may be written. */
  readonly scriptFile: string;
}

export function sqlBaseline(options: BaselineOptions): Baseline {
  return hasPgbench()
    ? { by: 'pgbench', run: () => runPgbench(options, turns++) }
    : { by: 'bare pg clients', run: () => runBareClients(options, turns++) };
}

function hasPgbench(): boolean {
  try {
    execFileSync('pgbench', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Every turn of this process makes ids of its own. */
let turns = 0;
/** Room for those of one turn. */
const IDS_A_TURN = 100_000;

function runPgbench(options: BaselineOptions, turn: number): number {
  const { databaseUrl, clients, seconds, scriptFile } = options;
  writeFileSync(scriptFile, toScript(options));
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const connection = ['-h', hostname, '-p', port, '-U', username, pathname.slice(1)];
  const load = ['-n', '-M', 'prepared', '-c', String(clients), '-j', '1', '-T', String(seconds)];
  const output = execFileSync('pgbench', [...load, '-D', `n=${turn * IDS_A_TURN}`, '-f', scriptFile, ...connection], {
    env: { ...process.env, PGPASSWORD: password },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return Number(/tps = ([\d.]+)/.exec(output)?.[1]);
}

function toScript({ statements, vary }: BaselineOptions): string {
  const lines = ['\\set n :n + 1'];
  for (const [i, statement] of statements.entries()) {
    const filled = split(fill(statement, i, vary)).map(
      (part) => `${part.replaceAll(N, ':n').replaceAll(CLIENT, ':client_id').replaceAll(/\s+/g, ' ').trim()};`,
    );
    lines.push(...(filled.length > 1 ? ['\\startpipeline', ...filled, '\\endpipeline'] : filled));
  }
  return `${lines.join('\n')}\n`;
}

const split = (text: string): string[] => text.split(';').filter((part) => part.trim() !== '');

/** New each time and growing, as the ids of audit entries are. */
export const nextId = (kind: number): string =>
  `('00000000-0000-7' || lpad(${CLIENT}::text, 3, '0') || '-8${kind}-' || lpad(to_hex(${N}::bigint), 12, '0'))::uuid`;

/** Each transaction asks for the same patients, who are then in every cache: to the advantage of this side. */
function fill({ text, values }: Statement, i: number, vary: Vary = () => undefined): string {
  const [entryId] = text.includes('insert into audit_entries') ? values : [];
  const isEntry = (value: string) => value === entryId;
  return text.replaceAll(/\$(\d+)/g, (_all, n: string) =>
    literal(values[Number(n) - 1], (value) => (isEntry(value) ? nextId(100 + i) : vary(value))),
  );
}

function literal(value: unknown, vary: Vary): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return vary(value) ?? pg.escapeLiteral(value);
  if (typeof value !== 'object') return JSON.stringify(value);
  if (Buffer.isBuffer(value)) return `'\\x${value.toString('hex')}'`;
  if (Array.isArray(value)) return arrayLiteral(value, vary);
  return pg.escapeLiteral(value instanceof Date ? value.toISOString() : JSON.stringify(value));
}

function arrayLiteral(items: readonly unknown[], vary: Vary): string {
  const varies = items.some((item) => typeof item === 'string' && vary(item) !== undefined);
  if (varies) return `array[${items.map((item) => literal(item, vary)).join(',')}]`;
  return pg.escapeLiteral(`{${items.map((item) => JSON.stringify(item)).join(',')}}`);
}

/** What the process of bare clients is told. */
interface Orders {
  readonly databaseUrl: string;
  readonly texts: readonly string[];
  readonly clients: number;
  readonly seconds: number;
  readonly firstId: number;
}

function runBareClients(options: BaselineOptions, turn: number): Promise<number> {
  const { databaseUrl, statements, clients, seconds, vary } = options;
  const texts = statements.map((statement, i) => fill(statement, i, vary));
  const orders: Orders = { databaseUrl, texts, clients, seconds, firstId: turn * IDS_A_TURN };
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--bare']);
    child.on('message', (transactions: number) => resolve(transactions / seconds));
    child.on('exit', (code) => (code === 0 ? undefined : reject(new Error('The bare clients ended early'))));
    child.send(orders);
  });
}

async function bareClient(orders: Orders, number: number): Promise<number> {
  const client = new pg.Client({ connectionString: orders.databaseUrl });
  await client.connect();
  const texts = orders.texts.map((text) => text.replaceAll(N, '$1::bigint').replaceAll(CLIENT, String(number)));
  const until = performance.now() + orders.seconds * 1_000;
  let done = 0;
  while (performance.now() < until) {
    const n = orders.firstId + ++done;
    for (const [i, text] of texts.entries()) {
      // What holds several statements can only go by the simple protocol.
      if (text.includes(';')) await client.query(text);
      else await client.query({ name: `s${i}`, text, values: text.includes('$1') ? [n] : [] });
    }
  }
  await client.end();
  return done;
}

if (import.meta.main && process.argv[2] === '--bare') {
  process.once('message', (orders: Orders) => {
    void Promise.all(Array.from({ length: orders.clients }, (_, i) => bareClient(orders, i))).then((counts) =>
      process.send?.(
        counts.reduce((a, b) => a + b),
        () => process.exit(0),
      ),
    );
  });
}
