/** Signing in with e-mail and password. An unknown user, a wrong password and a disabled user get one answer. */
import { z } from 'zod';
import * as audit from '#audit';
import { normaliseEmail } from '#care';
import { RateLimited, Unauthenticated } from '#platform/errors';
import { parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { hashPassword, isOutdated, verifyPassword } from './password.ts';
import type { UserRow } from './tables.ts';
import { countAttempt, forgiveAttempt, fromAddress, type Subject } from './throttle.ts';
import { dataKeyOf, emailIndex, openPassword, sealPassword, toActor } from './user.ts';

// No rule of good passwords here: it would tell which ones cannot be right.
const Credentials = z.object({
  email: z.string().max(1_000, 'expected at most 1000 characters').transform(normaliseEmail),
  password: z.string().max(1_000, 'expected at most 1000 characters'),
});
export type Credentials = z.input<typeof Credentials>;

interface Proof {
  readonly user: UserRow;
  readonly subjects: readonly Subject[];
  /** The password's hash at today's cost, when the stored one was made at another. */
  readonly renewed: string | null;
}

/**
 * Signs in whoever proves the password; `start` makes the session, as the system, and returns it with its id.
 * Throws RateLimited, Unauthenticated, InvalidInput.
 */
export async function signIn<S extends { readonly sessionId: string }>(
  scope: Scope,
  input: Credentials,
  start: (scope: Scope, user: UserRow) => Promise<S>,
): Promise<S> {
  const proof = await provePassword(scope, parse(Credentials, input));
  return transact(asSystem(scope), async (scope) => {
    const user = await confirm(scope, proof);
    const session = await start(scope, user);
    await recordSignIn(scope, user, session.sessionId);
    return session;
  });
}

/** The transaction is the system's, the deed the user's. */
export async function recordSignIn(scope: Scope, user: UserRow, sessionId: string): Promise<void> {
  const actor = toActor(user, sessionId);
  await audit.record({ ...scope, actor }, { action: 'session.login', resourceType: 'Session', resourceId: sessionId });
}

/** No transaction is held while the password is verified, which takes as long for a user that there is not. */
async function provePassword(scope: Scope, { email, password }: z.output<typeof Credentials>): Promise<Proof> {
  const subjects = [{ rule: 'sign-in', value: email } as const, ...fromAddress('sign-in-address', scope)];
  const user = await findCandidate(scope, email, subjects);
  const hash = user ? openPassword(scope, user) : null;
  const proven = await verifyPassword(hash, password);
  if (user && hash && proven && isAdmissible(scope, user)) {
    return { user, subjects, renewed: isOutdated(hash) ? await hashPassword(password) : null };
  }
  await recordRefusal(scope, user?.id ?? null, proven ? 'DENIED' : 'FAILURE');
  throw new Unauthenticated('The e-mail address or the password is wrong');
}

/** The user with this address, once the attempt has been counted. Throws RateLimited. */
async function findCandidate(scope: Scope, email: string, subjects: Proof['subjects']): Promise<UserRow | undefined> {
  const { wait, user } = await transact(asSystem(scope), async (scope) => ({
    wait: await countAttempt(scope, subjects),
    user: await scope.db
      .selectFrom('users')
      .selectAll()
      .where('email_index', '=', emailIndex(scope, email))
      .executeTakeFirst(),
  }));
  if (wait === null) return user;
  await recordRefusal(scope, user?.id ?? null, 'DENIED');
  throw new RateLimited(wait);
}

/** Whether the user may be signed in at all, by whatever proof. */
export function isAdmissible({ signIn }: Scope, user: Pick<UserRow, 'disabled_at' | 'demo'>): boolean {
  return user.disabled_at === null && (!user.demo || signIn.demoAccounts);
}

/**
 * The user as they are by now. The lock lets no change of the password or of rights, and no disabling, slip in between
 * the proof and the session.
 */
async function confirm(scope: Scope, { user, subjects, renewed }: Proof): Promise<UserRow> {
  const current = await scope.db
    .selectFrom('users')
    .selectAll()
    .where('id', '=', user.id)
    .where('password', '=', user.password)
    .where('disabled_at', 'is', null)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!current) throw new Unauthenticated('The e-mail address or the password is wrong');
  await forgiveAttempt(scope, subjects);
  if (renewed === null) return current;
  const password = sealPassword(dataKeyOf(scope, user), user.id, renewed);
  await scope.db.updateTable('users').set({ password }).where('id', '=', user.id).execute();
  return current;
}

async function recordRefusal(scope: Scope, userId: string | null, outcome: 'DENIED' | 'FAILURE'): Promise<void> {
  await transact(asSystem(scope), (scope) =>
    audit.record(scope, { action: 'session.login', resourceType: 'User', resourceId: userId, outcome }),
  );
}
