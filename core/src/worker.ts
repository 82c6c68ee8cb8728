/** The working half of a process: runs jobs, and what happens every second beside them. */
import { hostname } from 'node:os';
import * as audit from '#audit';
import * as notifications from '#notifications';
import { sequenceEvents } from '#platform/events';
import { openPool } from '#platform/database';
import { type Consumed, consume } from '#platform/job-consumer';
import { fireSchedules } from '#platform/job-schedules';
import { JOBS_CHANNEL, openBoss, type Queue } from '#platform/jobs';
import { sayOnce } from '#platform/repetition';
import { type Scope, SYSTEM } from '#platform/scope';
import { type Ticker, ticker } from '#platform/ticker';
import * as risk from '#risk';
import * as scheduling from '#scheduling';
import type { App } from './app.ts';
import { type Worker, workers } from './workers.ts';

const TICK_MS = 1_000;
/** How long jobs may go on once the process is told to end. */
const GRACE_SECONDS = 8;

/** Starts to work. Disposing of it finishes the jobs that run, and hands back what takes too long. */
export async function startWorkers(app: App): Promise<AsyncDisposable> {
  await using parts = new AsyncDisposableStack();
  const pool = openPool(app.databaseUrl, { max: 2, name: 'careflex worker', role: 'careflex_system' });
  parts.defer(() => pool.end());
  const boss = openBoss({ pool, log: app.log, maintain: true });
  await boss.start();
  app.neighbours.attend();
  parts.defer(() => boss.stop({ graceful: false }));
  const queues = Object.fromEntries(Object.entries(workers).map(([queue, worker]) => [queue, consumed(app, worker)]));
  const node = `${hostname()}:${process.pid}`;
  const consumer = parts.use(consume({ boss, pool, log: app.log, queues, node, graceSeconds: GRACE_SECONDS }));
  parts.defer(app.pubsub.subscribe(JOBS_CHANNEL, { message: (queue) => consumer.wake(queue) }));
  parts.use(everySecond(app, 'sequence', sequenceEvents));
  parts.use(everySecond(app, 'seal', sealer(app)));
  parts.use(everySecond(app, 'holds', scheduling.expireHolds));
  parts.use(everySecond(app, 'schedules', fireSchedules));
  const delivery = parts.use(everySecond(app, 'delivery', notifications.callForDelivery));
  parts.use(everySecond(app, 'risk', risk.followEvents));
  parts.defer(app.pubsub.subscribe(notifications.DELIVERY_CHANNEL, { message: delivery.wake }));
  return parts.move();
}

function consumed(app: App, worker: Worker<Queue>): Consumed {
  const { config, integrations, log } = app;
  return {
    ...worker,
    run: ({ id, payload, attempt, signal }) =>
      worker.run({ scope: systemScope(app, id), payload, attempt, signal, config, integrations, log }),
  };
}

function everySecond(app: App, name: string, run: (scope: Scope) => Promise<unknown>): Ticker {
  return ticker({
    everyMs: TICK_MS,
    run: () => run(systemScope(app, name)),
    onError: sayOnce((error, count) => app.log.error('What is done every second failed', { name, error, count })),
  });
}

const LOOK_BACK_EVERY = 10;

function sealer({ config, log }: App): (scope: Scope) => Promise<void> {
  let known = 0;
  let passes = 0;
  return async (scope) => {
    const lookBack = passes++ % LOOK_BACK_EVERY === 0;
    const { refused, late } = await audit.seal(scope, { headFile: config.AUDIT_HEAD_FILE, lookBack });
    if (late.length > 0) log.error('Audit entries were kept from being sealed', { count: late.length });
    if (refused.length > known) log.error('The audit trail has entries that nobody wrote', { count: refused.length });
    known = refused.length;
  };
}

function systemScope(app: App, requestId: string): Scope {
  return app.scope(SYSTEM, { id: requestId, ip: null, userAgent: null });
}
