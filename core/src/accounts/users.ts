/** Users as admins keep them. */
import { sql, type Updateable } from 'kysely';
import { z } from 'zod';
import type { Database } from '#platform/database';
import { InvalidInput, NotFound, Unauthenticated } from '#platform/errors';
import { type Once, once } from '#platform/idempotency';
import { isPrintable, isUuid, NOT_PRINTABLE } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { asSystem, type Scope, transact } from '#platform/scope';
import { endSessions, PEOPLE } from './session.ts';
import {
  dataKeyOf,
  email,
  type ReadableUser,
  sealPassword,
  toUser,
  type User,
  USER_COLUMNS,
  type UserRole,
} from './user.ts';

const displayName = z
  .string()
  .trim()
  .min(1, 'expected a name')
  .max(100, 'expected at most 100 characters')
  .refine(isPrintable, NOT_PRINTABLE);
const AGENTS_ONLY = { path: ['mayOverride'], message: 'expected an agent: admins may always, others never' };
const staffRole = z.enum(['admin', 'agent', 'auditor'], 'expected admin, agent or auditor; patients register');
export const password = z.string().max(1_000, 'expected at most 1000 characters');

export const NewUser = z
  .object({
    email,
    displayName,
    role: staffRole,
    /** Without one the user signs in through an issuer, or acts by API keys only. */
    password: password.nullish(),
    mayOverride: z.boolean().default(false),
    idempotencyKey: z.string().nullish(),
  })
  .refine(({ role, mayOverride }) => role === 'agent' || !mayOverride, AGENTS_ONLY);
export type NewUser = z.input<typeof NewUser>;

export const UserChanges = z.object({
  role: staffRole.optional(),
  disabled: z.boolean().optional(),
  mayOverride: z.boolean().optional(),
  idempotencyKey: z.string().nullish(),
});
export type UserChanges = z.input<typeof UserChanges>;
type Changes = Omit<z.output<typeof UserChanges>, 'idempotencyKey'>;

export const UserFilter = PageInput.extend({ role: z.enum(['admin', 'agent', 'patient', 'auditor']).nullish() });
export type UserFilter = z.input<typeof UserFilter>;

/** As far as the actor's role sees them. Throws NotFound. */
export async function getUser(scope: Scope, id: string): Promise<ReadableUser> {
  if (!isUuid(id)) throw new NotFound('The user');
  const row = await scope.db
    .selectFrom('users')
    .select(USER_COLUMNS)
    .where('id', '=', id)
    .where('data_key', 'is not', null)
    .executeTakeFirst();
  if (!row) throw new NotFound('The user');
  return row;
}

/**
 * The user, for this transaction alone to change, and with them whoever changes them: of two admins who demote each
 * other at once the second is none any more. Throws NotFound, Unauthenticated.
 */
export async function lockUser({ actor, db }: Scope, id: string): Promise<ReadableUser> {
  if (!isUuid(id)) throw new NotFound('The user');
  const rows = await db
    .selectFrom('users')
    .select(USER_COLUMNS)
    .where('id', 'in', [actor.id, id])
    .where('data_key', 'is not', null)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
  const [self, user] = [actor.id, id].map((id) => rows.find((row) => row.id === id));
  // Whoever loses a right is signed out, and so is this one since the transaction began.
  if (self && (self.role !== actor.role || self.disabled_at !== null)) throw new Unauthenticated();
  if (!user) throw new NotFound('The user');
  return user;
}

/** The staff among the ids. */
export async function findStaff(scope: Scope, ids: readonly string[]): Promise<ReadableUser[]> {
  return scope.db
    .selectFrom('users')
    .select(USER_COLUMNS)
    .where('id', '=', sql<string>`any (${ids.filter(isUuid)}::uuid[])`)
    .where('role', '!=', 'patient')
    .where('data_key', 'is not', null)
    .execute();
}

/** In the order in which they were made. */
export async function findUsers(scope: Scope, filter: z.output<typeof UserFilter>): Promise<Page<User>> {
  const { first, after, role } = filter;
  let query = scope.db
    .selectFrom('users')
    .select(USER_COLUMNS)
    .where('data_key', 'is not', null)
    .orderBy('id')
    .limit(first + 1);
  if (role) query = query.where('role', '=', role);
  if (after !== null) query = query.where('id', '>', decodeCursor(after, z.tuple([z.uuid()]))[0]);
  return toPage(await query.execute(), first, { node: (row) => toUser(scope, row), key: (row) => [row.id] });
}

/** Whoever loses a right by the change also loses every session, in which the right would live on. Names the fields. */
export async function changeUser(scope: Scope, row: ReadableUser, changes: Changes): Promise<readonly string[]> {
  const change = toChange(scope, row, changes);
  const changed = Object.keys(change);
  if (changed.length === 0) return changed;
  const updated = await scope.db
    .updateTable('users')
    .set({ ...change, updated_at: scope.now.toString() })
    .where('id', '=', row.id)
    .returning(USER_COLUMNS)
    .executeTakeFirstOrThrow();
  const losesOverride = row.can_override && !updated.can_override;
  if (updated.role !== row.role || updated.disabled_at || losesOverride) await endSessions(scope, { userId: row.id });
  return changed;
}

/** What the changes change. Throws InvalidInput where the result would make no sense. */
function toChange(scope: Scope, row: ReadableUser, changes: Changes): Updateable<Database['users']> {
  const role = changes.role ?? row.role;
  refuseNonsense(row, { ...changes, role });
  const can_override = role === 'agent' && (changes.mayOverride ?? row.can_override);
  const wasDisabled = row.disabled_at !== null;
  const disabled = changes.disabled ?? wasDisabled;
  return {
    ...(role !== row.role && { role }),
    ...(can_override !== row.can_override && { can_override }),
    ...(disabled !== wasDisabled && { disabled_at: disabled ? scope.now.toString() : null }),
  };
}

function refuseNonsense(
  row: ReadableUser,
  { role, mayOverride }: { role: UserRole; mayOverride?: boolean | undefined },
) {
  if (row.role === 'patient' && role !== 'patient') {
    throw new InvalidInput([{ path: ['role'], message: 'a patient stays a patient' }]);
  }
  if (mayOverride === true && role !== 'agent') throw new InvalidInput([AGENTS_ONLY]);
}

/** A user's new password; every other sign-in of theirs ends. */
export async function setPassword(
  scope: Scope,
  row: ReadableUser,
  { passwordHash, except }: { passwordHash: string; except?: string | null },
): Promise<void> {
  await scope.db
    .updateTable('users')
    .set({ password: sealPassword(dataKeyOf(scope, row), row.id, passwordHash), updated_at: scope.now.toString() })
    .where('id', '=', row.id)
    .execute();
  await endSessions(scope, { userId: row.id, except: except ?? null, kinds: PEOPLE });
}

/** Once per key, as the actor, whose role may have no right to the keys: the system keeps them by whose they are. */
export async function onceOfAnybody(
  scope: Scope,
  { operation, ...of }: Once,
  work: (scope: Scope) => Promise<string>,
): Promise<void> {
  const { actor } = scope;
  await onBehalf(scope, (scope) =>
    once(scope, { ...of, operation: `${operation} ${actor.id}` }, () => transact({ ...scope, actor }, work)),
  );
}

/** The system does `work`, once the actor's session has proven to be alive. */
export async function onBehalf<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  return transact(scope, (scope) => transact(asSystem(scope), work));
}
