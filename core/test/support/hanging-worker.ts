/** A worker process that takes jobs of one queue and never finishes one: `hanging-worker.ts <database> <queue>`. */
import { openTestJobs } from './jobs.ts';

const [url = '', queue = ''] = process.argv.slice(2);
const jobs = openTestJobs(url);
await jobs.boss.start();
jobs.run(queue, async ({ id }) => {
  process.stdout.write(`${id}\n`);
  return new Promise(() => undefined);
});
