/**
 * How soon a job starts: from the commit of a job that is due now to its start in another process, and from the kill -9
 * of a worker to the second start of what it ran.
 *
 *     node bench/src/jobs.ts [jobs] [kills]
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPool } from '@careflex/core/platform/database';
import { declareQueues } from '@careflex/core/platform/job-queues';
import { createJobs, JOBS_CHANNEL, openBoss, type Queue } from '@careflex/core/platform/jobs';
import { createLog } from '@careflex/core/platform/log';
import { postgresPubSub } from '@careflex/core/platform/pubsub-postgres';
import { transact } from '@careflex/core/platform/scope';
import { benchPlatform } from './platform.ts';

const RULES = { timeoutSeconds: 60, retries: 3, firstRetrySeconds: 60, lastRetrySeconds: 60 };
const QUEUE = 'bench' as Queue;

interface JobFigure {
  readonly figure: string;
  readonly ms: number;
}

export async function measureJobs({ jobs = 500, kills = 5 } = {}): Promise<JobFigure[]> {
  await using parts = new AsyncDisposableStack();
  const { adminUrl, loginUrl, scope } = parts.use(await benchPlatform());
  const log = createLog('error');
  await declareQueues(adminUrl, { queues: { [QUEUE]: RULES }, schedules: [] }, log);
  const pool = openPool(loginUrl, { max: 1, role: 'careflex_system' });
  parts.defer(() => pool.end());
  const pubsub = parts.use(postgresPubSub({ url: loginUrl, db: scope.db, log }));
  const boss = openBoss({ pool, log, maintain: false });
  parts.defer(() => boss.stop({ graceful: false }));
  const producer = createJobs({
    boss,
    quick: new Set([QUEUE]),
    notify: (queue) => void pubsub.publish(JOBS_CHANNEL, queue).catch(() => undefined),
  });
  let last = 0;
  /** The number of the job and when its commit was answered. */
  const add = async (): Promise<readonly [number, number]> => {
    const n = ++last;
    await transact({ ...scope, now: Temporal.Now.instant() }, (scope) =>
      producer.enqueue(scope, QUEUE, { n } as never),
    );
    return [n, now()];
  };
  return [...(await latency(loginUrl, add, jobs)), ...(await secondStart(loginUrl, add, kills))];
}

type Add = () => Promise<readonly [number, number]>;

async function latency(url: string, add: Add, jobs: number): Promise<JobFigure[]> {
  const worker = await startWorker(url);
  const waits: number[] = [];
  for (let i = 0; i < jobs; i++) {
    const [n, committed] = await add();
    waits.push((await worker.started(n)) - committed);
    await sleep(Math.random() * 20);
  }
  await worker.kill();
  const sorted = waits.slice(10).toSorted((a, b) => a - b);
  const quantile = (q: number) => round(sorted[Math.floor(sorted.length * q)] ?? 0);
  return [
    { figure: 'commit to start, p50', ms: quantile(0.5) },
    { figure: 'commit to start, p99', ms: quantile(0.99) },
  ];
}

async function secondStart(url: string, add: Add, kills: number): Promise<JobFigure[]> {
  const waits: number[] = [];
  for (let i = 0; i < kills; i++) {
    const victim = await startWorker(url, 'hang');
    const [n] = await add();
    await victim.started(n);
    const other = await startWorker(url);
    await sleep(Math.random() * 3_000);
    const killed = now();
    await victim.kill();
    waits.push((await other.started(n)) - killed);
    await other.kill();
  }
  const sorted = waits.toSorted((a, b) => a - b);
  return [
    { figure: 'kill -9 to the second start, median', ms: round(sorted[Math.floor(sorted.length / 2)] ?? 0) },
    { figure: 'kill -9 to the second start, longest', ms: round(sorted.at(-1) ?? 0) },
  ];
}

interface Worker {
  /** When it started the job, by the machine's clock. */
  started(n: number): Promise<number>;
  kill(): Promise<void>;
}

async function startWorker(url: string, mode = 'run'): Promise<Worker> {
  const script = path.join(import.meta.dirname, 'job-worker.ts');
  const child: ChildProcessByStdio<null, Readable, null> = spawn(process.execPath, [script, url, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const starts = new Map<number, PromiseWithResolvers<number>>();
  const of = (n: number) => starts.getOrInsertComputed(n, () => Promise.withResolvers<number>());
  const ready = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    const [what = '', at] = line.split(' ');
    if (what === 'ready') ready.resolve();
    else of(Number(what)).resolve(Number(at));
  });
  await ready.promise;
  return {
    started: (n) => of(n).promise,
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

const now = (): number => performance.timeOrigin + performance.now();
const round = (value: number): number => Math.round(value * 10) / 10;

if (import.meta.main) {
  const [jobs = 500, kills = 5] = process.argv.slice(2).map(Number);
  console.table(await measureJobs({ jobs, kills }));
}
