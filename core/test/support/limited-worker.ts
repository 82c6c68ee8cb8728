/**
 * A worker process whose jobs take a moment, and say in a table of the test how many of them run at once:
 * `limited-worker.ts <database> <queue>`, or with `hang` behind it jobs that never end.
 */
import { openPool } from '../../src/platform/database.ts';
import { openTestJobs } from './jobs.ts';

const [url = '', queue = '', hang] = process.argv.slice(2);
const jobs = openTestJobs(url);
const pool = openPool(url, { max: 4, role: 'careflex_system' });
await jobs.boss.start();
jobs.run(
  queue,
  async () => {
    if (hang) return new Promise(() => undefined);
    await pool.query('update running set now = now + 1, most = greatest(most, now + 1) where queue = $1', [queue]);
    await pool.query('select pg_sleep(0.03)');
    await pool.query('update running set now = now - 1 where queue = $1', [queue]);
    return undefined;
  },
  { atOnce: 1, rate: { starts: 5, seconds: 1 } },
);
process.stdout.write('ready\n');
