/** Which user an issuer's subject is. */
import { z } from 'zod';
import * as audit from '#audit';
import type { Scope } from '#platform/scope';
import { blindIndex } from '#platform/vault';
import type { Voucher } from './issuer.ts';
import type { UserRow } from './tables.ts';
import { emailIndex } from './user.ts';

/** The user linked to the subject, or linked now by an e-mail address that both sides have verified. Call it as the system. */
export async function findVouched(scope: Scope, voucher: Voucher): Promise<UserRow | undefined> {
  const linked = await findLinked(scope, voucher);
  if (linked || voucher.email === null) return linked;
  const user = await scope.db
    .selectFrom('users')
    .selectAll()
    .where('email_index', '=', emailIndex(scope, voucher.email))
    .where('email_verified', '=', true)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  if (!user) return undefined;
  if (await insertIdentity(scope, user.id, voucher)) {
    await audit.record(scope, { action: 'user.link', resourceType: 'User', resourceId: user.id });
    return user;
  }
  // Linked by another request meanwhile; or the user has another subject at this issuer, and is not taken over.
  return findLinked(scope, voucher);
}

async function findLinked(scope: Scope, subject: Subject): Promise<UserRow | undefined> {
  return scope.db
    .selectFrom('users')
    .innerJoin('identities', 'identities.user_id', 'users.id')
    .selectAll('users')
    .where('identities.subject_index', '=', subjectIndex(scope, subject))
    .executeTakeFirst();
}

export const Subject = z.object({
  issuer: z.url('expected the URL of an issuer'),
  subject: z.string().min(1, 'expected a subject').max(500, 'expected at most 500 characters'),
});
export type Subject = z.input<typeof Subject>;

/** False when the subject has a user already, or the user a subject at this issuer. */
export async function insertIdentity(scope: Scope, userId: string, subject: Subject): Promise<boolean> {
  const result = await scope.db
    .insertInto('identities')
    .values({
      subject_index: subjectIndex(scope, subject),
      issuer: subject.issuer,
      user_id: userId,
      created_at: scope.now.toString(),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

function subjectIndex({ vault }: Scope, { issuer, subject }: Subject): Buffer {
  return blindIndex(vault, 'identities.subject', JSON.stringify([issuer, subject]));
}

/** Returns whom the subject was linked to, null when nobody. */
export async function deleteIdentity(scope: Scope, subject: Subject): Promise<string | null> {
  const deleted = await scope.db
    .deleteFrom('identities')
    .where('subject_index', '=', subjectIndex(scope, subject))
    .returning('user_id')
    .executeTakeFirst();
  return deleted?.user_id ?? null;
}
