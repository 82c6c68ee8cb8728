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

export interface Baseline {
  readonly by: 'pgbench' | 'bare pg clients';
  /** Transactions a second over so many seconds. Each turn's audit entries have ids of their own. */
  run(turn: number): number | Promise<number>;
}

export interface BaselineOptions {
  readonly databaseUrl: string;
  readonly statements: readonly Statement[];
  readonly clients: number;
  readonly seconds: number;
  /** Where pgbench's script may be written. */
  readonly scriptFile: string;
}

export function sqlBaseline(options: BaselineOptions): Baseline {
  return hasPgbench()
    ? { by: 'pgbench', run: (turn) => runPgbench(options, turn) }
    : { by: 'bare pg clients', run: (turn) => runBareClients(options, turn) };
}

function hasPgbench(): boolean {
  try {
    execFileSync('pgbench', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Room for the audit entries of one turn. */
const IDS_A_TURN = 1_000_000;

function runPgbench({ databaseUrl, statements, clients, seconds, scriptFile }: BaselineOptions, turn: number): number {
  writeFileSync(scriptFile, toScript(statements));
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

function toScript(statements: readonly Statement[]): string {
  const lines = ['\\set n :n + 1'];
  for (const { text, values } of statements) {
    const parts = text.split(';').filter((part) => part.trim() !== '');
    const filled = parts.map((part) => `${fill(part, values, NEXT_ID)};`);
    lines.push(...(filled.length > 1 ? ['\\startpipeline', ...filled, '\\endpipeline'] : filled));
  }
  return `${lines.join('\n')}\n`;
}

/** New each time and growing, as the ids of audit entries are. */
const NEXT_ID = `('00000000-0000-7' || lpad(:client_id::text, 3, '0') || '-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid`;

/** Each transaction asks for the same patients, who are then in every cache: to the advantage of this side. */
function fill(text: string, values: readonly unknown[], id: string): string {
  const filled = text
    .replaceAll(/\$(\d+)/g, (_all, n: string) => literal(values[Number(n) - 1]))
    .replaceAll(/\s+/g, ' ')
    .trim();
  return filled.includes('insert into audit_entries') ? filled.replaceAll(literal(values[0]), id) : filled;
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Buffer.isBuffer(value)) return `'\\x${value.toString('hex')}'`;
  if (Array.isArray(value)) return pg.escapeLiteral(`{${value.map((item) => JSON.stringify(item)).join(',')}}`);
  return typeof value === 'string' ? pg.escapeLiteral(value) : JSON.stringify(value);
}

/** What the process of bare clients is told. */
interface Orders {
  readonly databaseUrl: string;
  readonly texts: readonly string[];
  readonly clients: number;
  readonly seconds: number;
  readonly firstId: number;
}

function runBareClients({ databaseUrl, statements, clients, seconds }: BaselineOptions, turn: number): Promise<number> {
  const texts = statements.map(({ text, values }) => fill(text, values, '$1::uuid'));
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
  const until = performance.now() + orders.seconds * 1_000;
  let done = 0;
  while (performance.now() < until) {
    const hex = (orders.firstId + done).toString(16).padStart(12, '0');
    const id = `00000000-0000-7${String(number).padStart(3, '0')}-8000-${hex}`;
    for (const [i, text] of orders.texts.entries()) {
      // What holds several statements can only go by the simple protocol.
      if (text.includes(';')) await client.query(text);
      else await client.query({ name: `s${i}`, text, values: text.includes('$1') ? [id] : [] });
    }
    done++;
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
