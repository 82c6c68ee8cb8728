/** API keys: a machine acts as a user, within the actions that its key names, until a date. */
import { randomUUIDv7 } from 'node:crypto';
import { z } from 'zod';
import { InvalidInput, NotFound } from '#platform/errors';
import { idOf, isPrintable, NOT_PRINTABLE } from '#platform/input';
import { decodeCursor, type Page, type PageInput, toPage } from '#platform/page';
import type { Scope } from '#platform/scope';
import { API_KEY_PREFIX } from './authentication.ts';
import { hashToken, newToken } from './session.ts';

export interface ApiKey {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly createdAt: Temporal.Instant;
  /** To the minute. */
  readonly lastSeenAt: Temporal.Instant;
  readonly expiresAt: Temporal.Instant;
  readonly revokedAt: Temporal.Instant | null;
}

export const NewApiKey = z.object({
  /** Whom it acts as: staff, never a patient. */
  userId: z.uuid('expected an id').transform(idOf),
  name: z
    .string()
    .trim()
    .min(1, 'expected a name')
    .max(100, 'expected at most 100 characters')
    .refine(isPrintable, NOT_PRINTABLE),
  /** `patient` covers `patient.read` and every other action on patients. */
  scopes: z
    .array(z.string().regex(/^[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*$/, 'expected an action such as patient.read'))
    .min(1, 'expected at least one action')
    .max(50, 'expected at most 50 actions'),
  expiresInDays: z.int().min(1, 'expected at least a day').max(366, 'expected at most 366 days'),
  idempotencyKey: z.string().nullish(),
});
export type NewApiKey = z.input<typeof NewApiKey>;

/** Throws NotFound for a user that is disabled or not there, InvalidInput for a patient. */
export async function insertApiKey(
  scope: Scope,
  { userId, name, scopes, expiresInDays }: Omit<z.output<typeof NewApiKey>, 'idempotencyKey'>,
): Promise<{ key: string; apiKey: ApiKey }> {
  const user = await scope.db
    .selectFrom('users')
    .select('role')
    .where('id', '=', userId)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  if (!user) throw new NotFound('The user');
  if (user.role === 'patient') {
    throw new InvalidInput([{ path: ['userId'], message: 'expected a user who is not a patient' }]);
  }
  const id = randomUUIDv7();
  // The id tells which key leaked, wherever one is found; the whole is hashed.
  const key = newToken(`${API_KEY_PREFIX}${id.replaceAll('-', '')}_`);
  const expiresAt = scope.now.add({ hours: 24 * expiresInDays });
  await scope.db
    .insertInto('sessions')
    .values({
      id,
      user_id: userId,
      kind: 'api_key',
      token_hash: hashToken(key),
      name,
      scopes,
      created_at: scope.now.toString(),
      last_seen_at: scope.now.toString(),
      expires_at: expiresAt.toString(),
    })
    .execute();
  const apiKey = { id, userId, name, scopes, createdAt: scope.now, lastSeenAt: scope.now, expiresAt, revokedAt: null };
  return { key, apiKey };
}

const Cursor = z.tuple([z.uuid()]);

/** Newest first, the revoked and expired ones too. */
export async function findApiKeys(scope: Scope, { first, after }: z.output<typeof PageInput>): Promise<Page<ApiKey>> {
  let query = scope.db
    .selectFrom('sessions')
    .select(['id', 'user_id', 'name', 'scopes', 'created_at', 'last_seen_at', 'expires_at', 'ended_at'])
    .where('kind', '=', 'api_key')
    .orderBy('id', 'desc')
    .limit(first + 1);
  if (after !== null) query = query.where('id', '<', decodeCursor(after, Cursor)[0]);
  return toPage(await query.execute(), first, {
    node: (row): ApiKey => ({
      id: row.id,
      userId: row.user_id,
      name: row.name ?? '',
      scopes: row.scopes ?? [],
      createdAt: row.created_at.toTemporalInstant(),
      lastSeenAt: row.last_seen_at.toTemporalInstant(),
      expiresAt: row.expires_at.toTemporalInstant(),
      revokedAt: row.ended_at?.toTemporalInstant() ?? null,
    }),
    key: (row) => [row.id],
  });
}
