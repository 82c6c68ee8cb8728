/** Sessions: the one table of everything that stands for a signed-in user, and how each of them ends. */
import { createHash, randomBytes, randomUUIDv7 } from 'node:crypto';
import { type Insertable, sql } from 'kysely';
import type { Database } from '#platform/database';
import { isUuid } from '#platform/input';
import { afterCommit, type Scope } from '#platform/scope';
import type { SessionRow } from './tables.ts';

export type SessionKind = SessionRow['kind'];

/** A sign-in that is still alive, as its owner or an admin sees it. */
export interface SessionInfo {
  readonly id: string;
  readonly kind: SessionKind;
  /** An API key's name. */
  readonly name: string | null;
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  readonly createdAt: Temporal.Instant;
  /** To the minute; for a client with access tokens, to their lifetime. */
  readonly lastSeenAt: Temporal.Instant;
  readonly expiresAt: Temporal.Instant;
  /** The one that asks. */
  readonly current: boolean;
}

const TOKEN_BYTES = 32;
const MAX_USER_AGENT = 512;

/** An opaque token of 256 random bits. */
export function newToken(prefix = ''): string {
  return prefix + randomBytes(TOKEN_BYTES).toString('base64url');
}

/** All that is stored of a token. It has 256 random bits, so a plain hash cannot be guessed against. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

export interface NewSession {
  readonly userId: string;
  readonly kind: 'browser' | 'client' | 'issuer';
  /** Absent for a client. */
  readonly tokenHash?: Buffer;
  /** Earlier than the rules would have it: an issuer's token says itself when it ends. */
  readonly expiresAt?: Temporal.Instant;
}

/** Writes a session and returns its id and absolute end. A token that has one already is a unique violation. */
export async function insertSession(
  scope: Scope,
  session: NewSession,
): Promise<{ id: string; expiresAt: Temporal.Instant }> {
  const { now, signIn, request } = scope;
  const latest = now.add({ hours: signIn.absoluteHours });
  const expiresAt =
    session.expiresAt && Temporal.Instant.compare(session.expiresAt, latest) < 0 ? session.expiresAt : latest;
  const row: Insertable<Database['sessions']> = {
    id: randomUUIDv7(),
    user_id: session.userId,
    kind: session.kind,
    token_hash: session.tokenHash ?? null,
    ip_address: request.ip,
    user_agent: request.userAgent?.slice(0, MAX_USER_AGENT).toWellFormed() ?? null,
    created_at: now.toString(),
    last_seen_at: now.toString(),
    idle_expires_at: idleEnd(scope),
    expires_at: expiresAt.toString(),
  };
  await scope.db.insertInto('sessions').values(row).execute();
  return { id: row.id, expiresAt };
}

export function idleEnd({ now, signIn }: Scope): string {
  return now.add({ minutes: signIn.idleMinutes }).toString();
}

/** Whoever holds a session's sockets is told its id here when it ends. */
export const SESSIONS_CHANNEL = 'sessions';

export interface Ended {
  readonly id?: string;
  readonly userId?: string;
  /** Stays alive. */
  readonly except?: string | null;
  readonly kinds?: readonly SessionKind[];
}

/**
 * Ends what is still alive of the sessions meant; each is announced on {@link SESSIONS_CHANNEL} after the commit. They are
 * locked in the order of their ids, so that two who end the same ones do not wait in a circle. Returns their ids.
 */
export async function endSessions(scope: Scope, { id, userId, except, kinds }: Ended): Promise<string[]> {
  if (id !== undefined && !isUuid(id)) return [];
  let meant = scope.db.selectFrom('sessions').select('id').where('ended_at', 'is', null).orderBy('id').forUpdate();
  if (id !== undefined) meant = meant.where('id', '=', id);
  if (userId !== undefined) meant = meant.where('user_id', '=', userId);
  if (except) meant = meant.where('id', '!=', except);
  if (kinds !== undefined) meant = meant.where('kind', 'in', kinds);
  const ended = await scope.db
    .updateTable('sessions')
    .set({ ended_at: scope.now.toString() })
    .where('id', 'in', meant)
    .returning('id')
    .execute();
  const ids = ended.map((row) => row.id);
  afterCommit(scope, () => {
    for (const id of ids) scope.announce?.(SESSIONS_CHANNEL, id);
  });
  return ids;
}

/** Sessions of people, which end with their password; API keys do not rest on it. */
export const PEOPLE: readonly SessionKind[] = ['browser', 'client', 'issuer'];

/** The actor's own. */
export async function findOwnSessions({ db, actor, now }: Scope): Promise<SessionInfo[]> {
  const at = new Date(now.epochMilliseconds);
  const rows = await db
    .selectFrom('sessions')
    .select(['id', 'kind', 'name', 'ip_address', 'user_agent', 'created_at', 'last_seen_at', 'expires_at'])
    .where('user_id', '=', actor.id)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', at)
    .where((eb) => eb.or([eb('idle_expires_at', 'is', null), eb('idle_expires_at', '>', at)]))
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    name: row.name,
    ipAddress: row.ip_address,
    userAgent: row.user_agent,
    createdAt: row.created_at.toTemporalInstant(),
    lastSeenAt: row.last_seen_at.toTemporalInstant(),
    expiresAt: row.expires_at.toTemporalInstant(),
    current: row.id === actor.sessionId,
  }));
}

/** Those of the ids whose sessions a transaction would accept now. */
export async function findLiveSessions({ db, now }: Scope, ids: readonly string[]): Promise<string[]> {
  const at = new Date(now.epochMilliseconds);
  const rows = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select('sessions.id')
    .where('sessions.id', '=', sql<string>`any (${ids.filter(isUuid)}::uuid[])`)
    .where('sessions.ended_at', 'is', null)
    .where('sessions.expires_at', '>', at)
    .where((eb) => eb.or([eb('sessions.idle_expires_at', 'is', null), eb('sessions.idle_expires_at', '>', at)]))
    .where('users.disabled_at', 'is', null)
    .execute();
  return rows.map(({ id }) => id);
}
