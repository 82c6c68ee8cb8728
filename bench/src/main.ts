/** Everything that is measured, one after the other, each in a process of its own: `npm run bench`. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

/** What is run, with its arguments; `npm run bench -- search` runs one alone. */
const BENCHES: Readonly<Record<string, readonly string[]>> = {
  import: ['10000'],
  search: ['100000'],
  slots: ['50'],
  audit: [],
  jobs: ['500', '5'],
  graphql: [],
  contention: [],
  benefits: [],
  scheduling: ['100000'],
  growth: ['30000', '100000', '1000000'],
  planning: [],
  reminders: ['100000'],
  'benefits-sync': ['100000'],
  live: ['1000', '60'],
  'risk-nightly': ['1000000'],
  risk: ['60000', '100000', '1000000'],
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(2);
}

for (const [name, sizes] of Object.entries(BENCHES)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  console.log(`\n== ${name} ${sizes.join(' ')}`);
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, `${name}.ts`), ...sizes], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
}
