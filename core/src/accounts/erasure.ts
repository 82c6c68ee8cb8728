/** How accounts end, and what is forgotten in time. */
import { sql } from 'kysely';
import { forgetKeysOf } from '#platform/idempotency';
import type { Scope } from '#platform/scope';
import { endSessions } from './session.ts';

/** Shuts the patient's user out. Returns the user's id, null when there is none. */
export async function closeUserOf(scope: Scope, patientId: string): Promise<string | null> {
  const at = scope.now.toString();
  const user = await scope.db
    .updateTable('users')
    .set({ disabled_at: sql<string>`coalesce(disabled_at, ${at})`, updated_at: at })
    .where('patient_id', '=', patientId)
    .returning('id')
    .executeTakeFirst();
  if (!user) return null;
  await endSessions(scope, { userId: user.id });
  return user.id;
}

/** Destroys the user's key and all that was sealed with it; what is left names nobody. */
export async function eraseUser(scope: Scope, id: string): Promise<void> {
  await scope.db
    .updateTable('users')
    .set({ data_key: null, identity: null, email_index: null, email_verified: false, password: null })
    .where('id', '=', id)
    .execute();
  await scope.db.deleteFrom('identities').where('user_id', '=', id).execute();
  await forgetKeysOf(scope, { actorId: id });
  await scope.db
    .updateTable('sessions')
    .set({ ip_address: null, user_agent: null })
    .where('user_id', '=', id)
    .execute();
}

const KEEP_SESSION_DAYS = 30;

/** Returns how many rows went. */
export async function forget({ db, now }: Scope): Promise<number> {
  const at = new Date(now.epochMilliseconds);
  const results = [
    await db.deleteFrom('throttles').where('expires_at', '<=', at).executeTakeFirst(),
    await db.deleteFrom('verifications').where('expires_at', '<=', at).executeTakeFirst(),
    await db
      .deleteFrom('sessions')
      .where('expires_at', '<=', new Date(now.subtract({ hours: 24 * KEEP_SESSION_DAYS }).epochMilliseconds))
      .executeTakeFirst(),
  ];
  return results.reduce((sum, { numDeletedRows }) => sum + Number(numDeletedRows), 0);
}
