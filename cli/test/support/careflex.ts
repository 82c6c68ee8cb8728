/** The real command in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/careflex.mjs', import.meta.url));

export type Environment = Readonly<Record<string, string>>;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running extends AsyncDisposable {
  readonly launcher: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when standard output has said it; rejects when the command ends without. */
  says(text: string): Promise<void>;
  /** As Ctrl-C in a terminal: to every process of the group. */
  signalGroup(signal: NodeJS.Signals): void;
}

/** Starts a command as the leader of a process group, with nothing in its environment but what is given. */
export function careflex(args: readonly string[], environment: Environment): Running {
  const launcher = spawn(process.execPath, [LAUNCHER, ...args], {
    detached: true,
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    launcher[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((resolve) => {
    launcher.once('close', (code, signal) => resolve({ code, signal, ...output }));
  });
  return {
    launcher,
    ended,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = () => output.stdout.includes(text) && resolve();
        listeners.add(look);
        look();
        void ended.then(({ code, stdout, stderr }) => reject(new Error(`Ended with ${code}: ${stdout}${stderr}`)));
      }),
    signalGroup: (signal) => void process.kill(-(launcher.pid as number), signal),
    async [Symbol.asyncDispose]() {
      if (launcher.exitCode === null && launcher.signalCode === null) launcher.kill('SIGTERM');
      await ended;
    },
  };
}

/** A command that is done by itself. */
export function run(args: readonly string[], environment: Environment): Promise<Ended> {
  return careflex(args, environment).ended;
}

export interface Place extends AsyncDisposable {
  readonly directory: string;
  /** For `careflex`: this directory and a free port. */
  readonly environment: Environment & { readonly PORT: string };
  readonly url: string;
}

/** A data directory of its own, removed at the end. */
export async function newPlace(): Promise<Place> {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-start-'));
  const PORT = String(await freePort());
  return {
    directory,
    environment: { CAREFLEX_DATA_DIR: path.join(directory, 'data'), PORT },
    url: `http://localhost:${PORT}`,
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
