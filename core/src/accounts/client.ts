/**
 * API clients: a short access token, and a refresh token that works once.
 *
 * A session is the family of its refresh tokens. One that comes back after its use is in two hands, and nobody can
 * tell whose are the right ones, so the whole family ends, the newest tokens with it. There is no grace for two
 * refreshes at once: within it a stolen token would work unseen. A client makes one at a time.
 */
import * as audit from '#audit';
import { Unauthenticated } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import { type AccessToken, issueAccessToken } from './access-token.ts';
import { endSessions, hashToken, idleEnd, insertSession, newToken } from './session.ts';
import { isAdmissible } from './sign-in.ts';
import type { UserRow } from './tables.ts';
import { toActor, toViewer, type Viewer } from './user.ts';

export interface ClientSession extends AccessToken {
  readonly sessionId: string;
  readonly refreshToken: string;
  readonly viewer: Viewer;
}

/** Begins a family. Call it inside `transact` as the system. */
export async function startClient(scope: Scope, user: UserRow): Promise<ClientSession> {
  const session = await insertSession(scope, { userId: user.id, kind: 'client' });
  return issueTokens(scope, user, session.id);
}

/** Trades a refresh token for new ones. Throws {@link Unauthenticated}. */
export async function refreshClient(scope: Scope, refreshToken: string): Promise<ClientSession> {
  const renewed = await transact(asSystem(scope), async (scope) => {
    const token_hash = hashToken(refreshToken);
    const spent = await scope.db
      .updateTable('refresh_tokens')
      .set({ spent_at: scope.now.toString() })
      .where('token_hash', '=', token_hash)
      .where('spent_at', 'is', null)
      .returning('session_id')
      .executeTakeFirst();
    if (spent) return continueFamily(scope, spent.session_id);
    await endFamily(scope, token_hash);
    return null;
  });
  // Thrown outside, so that the end of the family is committed.
  if (renewed === null) throw new Unauthenticated('The refresh token is not valid; sign in again');
  return renewed;
}

async function continueFamily(scope: Scope, sessionId: string): Promise<ClientSession | null> {
  const at = scope.now.toString();
  const alive = await scope.db
    .updateTable('sessions')
    .set({ last_seen_at: at, idle_expires_at: idleEnd(scope) })
    .where('id', '=', sessionId)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', new Date(scope.now.epochMilliseconds))
    .where('idle_expires_at', '>', new Date(scope.now.epochMilliseconds))
    .returning('user_id')
    .executeTakeFirst();
  if (!alive) return null;
  const user = await scope.db.selectFrom('users').selectAll().where('id', '=', alive.user_id).executeTakeFirstOrThrow();
  if (!isAdmissible(scope, user)) return null;
  const actor = toActor(user, sessionId);
  await audit.record(
    { ...scope, actor },
    { action: 'session.refresh', resourceType: 'Session', resourceId: sessionId },
  );
  return issueTokens(scope, user, sessionId);
}

async function endFamily(scope: Scope, token_hash: Buffer): Promise<void> {
  const reused = await scope.db
    .selectFrom('refresh_tokens')
    .select('session_id')
    .where('token_hash', '=', token_hash)
    .executeTakeFirst();
  const id = reused?.session_id ?? null;
  if (id !== null) await endSessions(scope, { id });
  await audit.record(scope, {
    action: 'session.refresh',
    resourceType: 'Session',
    resourceId: id,
    outcome: 'FAILURE',
  });
}

async function issueTokens(scope: Scope, user: UserRow, sessionId: string): Promise<ClientSession> {
  const refreshToken = newToken('cfr_');
  await scope.db
    .insertInto('refresh_tokens')
    .values({ token_hash: hashToken(refreshToken), session_id: sessionId })
    .execute();
  const access = await issueAccessToken(scope, toActor(user, sessionId));
  return { ...access, refreshToken, sessionId, viewer: toViewer(scope, user) };
}
