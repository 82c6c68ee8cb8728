/** A user's own change of password. */
import { z } from 'zod';
import * as audit from '#audit';
import { RateLimited } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { WrongPassword } from './errors.ts';
import { hashPassword, refuseWeakPassword, verifyPassword } from './password.ts';
import { record } from './policy.ts';
import { countAttempt, forgiveAttempt, type Subject } from './throttle.ts';
import type { UserRow } from './tables.ts';
import { openPassword, toUser } from './user.ts';
import { onBehalf, password, setPassword } from './users.ts';

export const PasswordChange = z.object({ currentPassword: password, newPassword: password });
export type PasswordChange = z.input<typeof PasswordChange>;

/** Guesses at the current password are delayed like guesses at a sign-in, and count together with them. */
export async function changeOwnPassword(
  scope: Scope,
  { currentPassword, newPassword }: z.output<typeof PasswordChange>,
): Promise<void> {
  const { user, email, subject } = await attempt(scope);
  refuseWeakPassword(newPassword, { role: user.role, email, path: 'newPassword' });
  if (!(await verifyPassword(openPassword(scope, user), currentPassword))) {
    await recordRefusal(scope, 'FAILURE');
    throw new WrongPassword();
  }
  const passwordHash = await hashPassword(newPassword);

  await onBehalf(scope, async (system) => {
    const unchanged = await system.db
      .selectFrom('users')
      .select('id')
      .where('id', '=', user.id)
      .where('password', '=', user.password)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!unchanged) throw new WrongPassword();
    await setPassword(system, user, { passwordHash, except: scope.actor.sessionId });
    await forgiveAttempt(system, [subject]);
    await record({ ...system, actor: scope.actor }, 'user.changePassword', {
      type: 'User',
      id: user.id,
      changedFields: ['password'],
    });
  });
}

/** The user as stored, once the attempt has been counted. Throws RateLimited. */
async function attempt(scope: Scope): Promise<{ user: UserRow; email: string; subject: Subject }> {
  const { user, email, subject, wait } = await onBehalf(scope, async (system) => {
    const user = await system.db
      .selectFrom('users')
      .selectAll()
      .where('id', '=', scope.actor.id)
      .executeTakeFirstOrThrow();
    const { email } = toUser(system, user);
    const subject: Subject = { rule: 'sign-in', value: email };
    return { user, email, subject, wait: await countAttempt(system, [subject]) };
  });
  if (wait === null) return { user, email, subject };
  await recordRefusal(scope, 'DENIED');
  throw new RateLimited(wait);
}

async function recordRefusal(scope: Scope, outcome: 'DENIED' | 'FAILURE'): Promise<void> {
  await onBehalf(scope, (system) =>
    audit.record(
      { ...system, actor: scope.actor },
      { action: 'user.changePassword', resourceType: 'User', resourceId: scope.actor.id, outcome },
    ),
  );
}
