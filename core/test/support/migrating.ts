/** Says that it is there, waits for the end of its input, migrates, and says which files it applied. */
import { once } from 'node:events';
import { migrate } from '../../src/platform/migrate.ts';

process.stdout.write('\n');
await once(process.stdin.resume(), 'end');
const { applied } = await migrate(process.argv[2] ?? '', { name: 'careflex_app', password: 'careflex-test' });
process.stdout.write(applied.map((name) => `${name}\n`).join(''));
