/** Migrates a database and says which files it applied: `migrating.ts <database>`. */
import { migrate } from '../../src/platform/migrate.ts';

const { applied } = await migrate(process.argv[2] ?? '', { name: 'careflex_app', password: 'careflex-test' });
process.stdout.write(applied.map((name) => `${name}\n`).join(''));
