/**
 * Secrets that nobody has to invent before the first start: made once, kept in the data directory, readable by its
 * owner alone. In development only; production without its own secrets does not start.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DATA_DIRECTORY, type Environment } from './config.ts';
import { createFile } from './create-file.ts';

/** The environment with what it lacks of the secrets. What it gives itself is left as it is. */
export function withDevelopmentSecrets(environment: Environment): Environment {
  if (environment['NODE_ENV'] === 'production') return environment;
  if (environment['CAREFLEX_KEYS'] && environment['CAREFLEX_SECRET']) return environment;
  const given = Object.entries(environment).filter(([, value]) => value !== '');
  const secrets = readOrMake(environment['CAREFLEX_DATA_DIR'] || DATA_DIRECTORY);
  return { ...secrets, ...Object.fromEntries(given) };
}

function readOrMake(directory: string): Environment {
  const file = path.join(directory, 'secrets.json');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const secret = () => randomBytes(32).toString('base64');
  const made = { CAREFLEX_KEYS: `1:${secret()}`, CAREFLEX_SECRET: secret() };
  createFile(file, `${JSON.stringify(made, null, 2)}\n`, 0o600);
  return JSON.parse(readFileSync(file, 'utf8')) as Environment;
}
