/**
 * Whether this process has the secret that its database was made with. With another one nobody could sign in, no
 * search would find anything and the audit trail would look forged, so neither a migration nor a process begins.
 *
 * The database keeps a value derived from the secret; the secret cannot be told from it.
 */
import { sql } from 'kysely';
import type pg from 'pg';
import { ConfigError } from './config.ts';
import { asSystem, type Scope, transact } from './scope.ts';
import { deriveKey, sameBytes } from './vault.ts';

export interface SecretProof {
  readonly check: Buffer;
  /** Whether the secret fits what is in a database that was made before it kept the check. */
  readonly fits: (client: pg.Client) => Promise<boolean>;
}

export function secretCheck(secret: Buffer): Buffer {
  return deriveKey(secret, 'careflex:installation');
}

/** For a migration, before it changes anything. Throws ConfigError. */
export async function refuseAnotherSecret(client: pg.Client, { check, fits }: SecretProof): Promise<void> {
  const { rows: there } = await client.query<{ exists: boolean }>(
    `select to_regclass('installation') is not null as exists`,
  );
  const { rows } = there[0]?.exists
    ? await client.query<{ secret_check: Buffer }>('select secret_check from installation')
    : { rows: [] };
  const kept = rows[0]?.secret_check;
  if (!(kept === undefined ? await fits(client) : sameBytes(kept, check))) throw anotherSecret();
}

/** For the migration that made the table. */
export async function keepSecretCheck(client: pg.Client, { check }: SecretProof): Promise<void> {
  await client.query('insert into installation (secret_check) values ($1) on conflict do nothing', [check]);
}

/** For a process that only runs. Throws ConfigError. */
export async function assertOwnSecret(scope: Scope, secret: Buffer): Promise<void> {
  const { rows } = await transact(asSystem(scope), ({ db }) =>
    sql<{ secret_check: Buffer }>`select secret_check from installation`.execute(db),
  );
  if (rows.some(({ secret_check }) => !sameBytes(secret_check, secretCheck(secret)))) throw anotherSecret();
}

function anotherSecret(): ConfigError {
  return new ConfigError('CAREFLEX_SECRET is not the one that this database was made with.');
}
