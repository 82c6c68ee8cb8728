/**
 * One program at a time in a directory, told by a file that names its process. The file of a process that was
 * killed is no obstacle; that of one which is about to end is waited for.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFile } from './create-file.ts';

/** One clear sentence for the person who starts the program. */
export class DirectoryInUse extends Error {}

export interface DirectoryLock {
  /** Says that it will be released soon, so that the next program waits instead of giving up. */
  ending(): void;
  release(): void;
}

const ENDING = 'ending';
/** A process that was told to end, or killed but for its child, may not have said so yet. */
const PATIENCE_MS = 3_000;
const ENDING_PATIENCE_MS = 30_000;

/** Takes the directory for this process. Throws {@link DirectoryInUse} when a living one has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const file = fileOf(directory);
  const mine = `${process.pid} ${startOf(process.pid).at}`;
  const since = performance.now();
  for (;;) {
    if (createFile(file, mine, 0o644)) break;
    const holder = readHolder(file);
    if (holder === null) removeDead(file);
    else if (performance.now() - since < (holder.ending ? ENDING_PATIENCE_MS : PATIENCE_MS)) await sleep(50);
    else {
      throw new DirectoryInUse(
        `The data directory ${directory} is in use by process ${holder.pid}; stop that one first, or set CAREFLEX_DATA_DIR.`,
      );
    }
  }
  return {
    ending: () => writeFileSync(file, `${mine} ${ENDING}`),
    release: () => rmSync(file, { force: true }),
  };
}

/** Whether a living process has the directory. */
export function isLocked(directory: string): boolean {
  return readHolder(fileOf(directory)) !== null;
}

const fileOf = (directory: string) => path.join(directory, 'careflex.lock');

const MUTEX_STALE_MS = 5_000;

/** One process at a time: else the second one to see a dead lock would remove the living one that replaced it. */
function removeDead(file: string): void {
  const mutex = `${file}.removing`;
  try {
    mkdirSync(mutex);
  } catch {
    const since = statSync(mutex, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - since > MUTEX_STALE_MS) rmSync(mutex, { recursive: true, force: true });
    return;
  }
  try {
    if (existsSync(file) && readHolder(file) === null) rmSync(file);
  } finally {
    rmSync(mutex, { recursive: true, force: true });
  }
}

/** The living process that the file names, or null. */
function readHolder(file: string): { pid: number; ending: boolean } | null {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const [pid = '', at = '', ending] = content.split(' ');
  // A process id is used again after a while; with its start time it is not.
  const lives = isAlive(Number(pid)) && startOf(Number(pid)).at === at;
  return lives ? { pid: Number(pid), ending: ending === ENDING } : null;
}

/** A process that has ended but whom nobody has asked how does not live any more. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return startOf(pid).state !== 'Z';
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

interface Start {
  readonly at: string;
  readonly command: string;
  /** `Z` when it has ended. */
  readonly state: string;
}

/** When a process began and what it runs: from /proc, or from `ps` where there is none. */
export function startOf(pid: number): Start {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { at: afterName[19] ?? '', command: stat, state: afterName[0] ?? '' };
  } catch {
    try {
      const text = execFileSync('ps', ['-o', 'stat=,lstart=,command=', '-p', String(pid)], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
        .toString()
        .trim();
      const [, state = '', at = '', command = ''] = /^(\S)\S*\s+(.{24})\s+(.*)$/.exec(text) ?? [];
      return { at: at.replaceAll(' ', '_'), command, state };
    } catch {
      return { at: '', command: '', state: '' };
    }
  }
}
