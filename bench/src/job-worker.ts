/** A worker process for `jobs.ts`: tells each start as `<job's number> <milliseconds of the clock>`. */
import { openPool, connect } from '@careflex/core/platform/database';
import { consume } from '@careflex/core/platform/job-consumer';
import { JOBS_CHANNEL, openBoss } from '@careflex/core/platform/jobs';
import { createLog } from '@careflex/core/platform/log';
import { postgresPubSub } from '@careflex/core/platform/pubsub-postgres';

const [url = '', mode] = process.argv.slice(2);
const log = createLog('error');
const pool = openPool(url, { max: 2, role: 'careflex_system' });
const boss = openBoss({ pool, log, maintain: false });
await boss.start();
const queue = {
  slots: 8,
  timeoutSeconds: 60,
  async run({ payload }: { payload: object }) {
    process.stdout.write(`${(payload as { n: number }).n} ${performance.timeOrigin + performance.now()}\n`);
    return mode === 'hang' ? new Promise<undefined>(() => undefined) : undefined;
  },
};
const consumer = consume({ boss, pool, log, node: `bench:${process.pid}`, graceSeconds: 0, queues: { bench: queue } });
const pubsub = postgresPubSub({ url, db: connect(url, { max: 1 }), log });
pubsub.subscribe(JOBS_CHANNEL, { message: (name) => consumer.wake(name) });
process.stdout.write('ready 0\n');
