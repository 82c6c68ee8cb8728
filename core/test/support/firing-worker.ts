/** A worker process that looks for due schedules without pause, and tells each firing: `firing-worker.ts <database>`. */
import { connect } from '../../src/platform/database.ts';
import { fireSchedules } from '../../src/platform/job-schedules.ts';
import { openTestJobs, scopeOfProcess } from './jobs.ts';

const [url = ''] = process.argv.slice(2);
const jobs = openTestJobs(url);
await jobs.boss.start();
const db = connect(url, { max: 1 });
process.stdout.write('ready\n');
for (;;) {
  for (const name of await fireSchedules(scopeOfProcess(db, jobs))) process.stdout.write(`${name}\n`);
}
