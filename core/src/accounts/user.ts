/** A user as the rest of the platform sees one, and how what identifies a user is sealed. */
import { randomUUIDv7 } from 'node:crypto';
import type { Insertable } from 'kysely';
import { z } from 'zod';
import { normaliseEmail } from '#care';
import { type Database, onViolation } from '#platform/database';
import type { Actor, Role, Scope } from '#platform/scope';
import { blindIndex, type Key, newDataKey, open, seal, unwrapDataKey } from '#platform/vault';
import { AlreadyRegistered, EmailInUse } from './errors.ts';
import type { UserRow } from './tables.ts';

export type UserRole = Exclude<Role, 'system'>;

/** An e-mail address as input, brought into its normal form. */
export const email = z
  .string()
  .max(1_000, 'expected at most 254 characters')
  .transform(normaliseEmail)
  .pipe(z.email('expected an e-mail address').max(254, 'expected at most 254 characters'));

/** Whoever is signed in. */
export interface Viewer {
  readonly id: string;
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
  readonly patientId: string | null;
  /** May book against the rules on purpose; true for every admin. */
  readonly mayOverride: boolean;
}

export interface User extends Viewer {
  readonly demo: boolean;
  readonly disabledAt: Temporal.Instant | null;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}

/** What people's own roles may read of a user: all but the password. */
export const USER_COLUMNS = [
  'id',
  'role',
  'patient_id',
  'data_key',
  'identity',
  'can_override',
  'demo',
  'disabled_at',
  'created_at',
  'updated_at',
] as const;

export type ReadableUser = Pick<UserRow, (typeof USER_COLUMNS)[number]>;

export function toUser(scope: Scope, row: ReadableUser): User {
  return {
    id: row.id,
    role: row.role,
    ...openIdentity(dataKeyOf(scope, row), row),
    patientId: row.patient_id,
    mayOverride: row.role === 'admin' || row.can_override,
    demo: row.demo,
    disabledAt: row.disabled_at?.toTemporalInstant() ?? null,
    createdAt: row.created_at.toTemporalInstant(),
    updatedAt: row.updated_at.toTemporalInstant(),
  };
}

export function toViewer(scope: Scope, row: ReadableUser): Viewer {
  const { id, role, email, displayName, patientId, mayOverride } = toUser(scope, row);
  return { id, role, email, displayName, patientId, mayOverride };
}

/** The user as an actor, signed in by the session or not at all yet. */
export function toActor(
  row: Pick<UserRow, 'id' | 'role' | 'patient_id' | 'can_override'>,
  sessionId: string | null,
): Actor {
  return {
    id: row.id,
    role: row.role,
    sessionId,
    ...(row.patient_id !== null && { patientId: row.patient_id }),
    ...((row.role === 'admin' || row.can_override) && { mayOverride: true }),
  };
}

export interface NewUserRow {
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
  readonly emailVerified: boolean;
  /** In PHC form; none for a user who signs in through an issuer, or not at all. */
  readonly passwordHash: string | null;
  readonly patientId?: string;
  readonly canOverride?: boolean;
  readonly demo?: boolean;
}

/** Throws {@link EmailInUse}, {@link AlreadyRegistered}. */
export async function insertUser(scope: Scope, user: NewUserRow): Promise<User> {
  const id = randomUUIDv7();
  const { key, wrapped } = newDataKey(scope.vault.ring, { table: 'users', column: 'data_key', row: id });
  const { email, displayName, passwordHash } = user;
  const row: Insertable<Database['users']> = {
    id,
    role: user.role,
    patient_id: user.patientId ?? null,
    data_key: wrapped,
    identity: seal(key, { table: 'users', column: 'identity', row: id }, JSON.stringify({ email, displayName })),
    email_index: emailIndex(scope, email),
    email_verified: user.emailVerified,
    password: passwordHash === null ? null : sealPassword(key, id, passwordHash),
    can_override: user.canOverride ?? false,
    demo: user.demo ?? false,
    created_at: scope.now.toString(),
    updated_at: scope.now.toString(),
  };
  const inserted = await scope.db
    .insertInto('users')
    .values(row)
    .returning(USER_COLUMNS)
    .executeTakeFirstOrThrow()
    .catch(onViolation('users_email_once', () => new EmailInUse()))
    .catch(onViolation('users_patient_once', () => new AlreadyRegistered()));
  return toUser(scope, inserted);
}

/** `email` is normalised already. */
export function emailIndex({ vault }: Scope, email: string): Buffer {
  return blindIndex(vault, 'users.email', email);
}

export function dataKeyOf({ vault }: Scope, { id, data_key }: Pick<UserRow, 'id' | 'data_key'>): Key {
  if (data_key === null) throw new Error('An erased user cannot be read');
  return unwrapDataKey(vault.ring, { table: 'users', column: 'data_key', row: id }, data_key);
}

export function sealPassword(key: Key, userId: string, passwordHash: string): Buffer {
  return seal(key, { table: 'users', column: 'password', row: userId }, passwordHash);
}

export function openPassword(scope: Scope, user: Pick<UserRow, 'id' | 'data_key' | 'password'>): string | null {
  if (user.password === null) return null;
  const place = { table: 'users', column: 'password', row: user.id };
  return open(dataKeyOf(scope, user), place, user.password).toString('utf8');
}

interface Identity {
  readonly email: string;
  readonly displayName: string;
}

function openIdentity(key: Key, { id, identity }: Pick<UserRow, 'id' | 'identity'>): Identity {
  if (identity === null) throw new Error('An erased user cannot be read');
  const { email, displayName } = JSON.parse(
    open(key, { table: 'users', column: 'identity', row: id }, identity).toString('utf8'),
  ) as Identity;
  return { email, displayName };
}
