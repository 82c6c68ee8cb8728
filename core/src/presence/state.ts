/** What counts for an agent, and how a change of it becomes known exactly once. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { LOCKS } from '#platform/advisory-locks';
import { emit } from '#platform/events';
import type { Scope } from '#platform/scope';
import type { PresenceRow } from './tables.ts';

export interface AgentState {
  readonly userId: string;
  readonly status: PresenceRow['status'] | 'OFFLINE';
  readonly patientId: string | null;
  readonly since: Temporal.Instant;
}

export function fromRow(row: Pick<PresenceRow, 'user_id' | 'status' | 'patient_id' | 'since'>): AgentState {
  return {
    userId: row.user_id,
    status: row.status,
    patientId: row.patient_id,
    since: row.since.toTemporalInstant(),
  };
}

export interface Change {
  readonly userId: string;
  /** For the audit trail. */
  readonly action: string;
}

/**
 * Does `change`, one at a time for an agent, and when another state counts afterwards, leaves an entry and an event.
 * Call it inside `transact`. Returns what counts now.
 */
export async function changing(
  scope: Scope,
  { userId, action }: Change,
  change: (scope: Scope) => Promise<unknown>,
): Promise<AgentState> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${userId}, ${LOCKS.agentState}))`.execute(scope.db);
  const before = await whatCounts(scope, userId);
  await change(scope);
  const after = await whatCounts(scope, userId);
  const changedFields = (['status', 'patientId'] as const).filter((field) => before[field] !== after[field]);
  if (changedFields.length === 0) return after;
  await audit.record(scope, { action, resourceType: 'User', resourceId: userId, changedFields });
  await emit(scope, 'agent.presence_changed', { ...after, since: after.since.toString() });
  return after;
}

async function whatCounts({ db, now }: Scope, userId: string): Promise<AgentState> {
  const row = await db
    .selectFrom('presences')
    .select(['user_id', 'status', 'patient_id', 'since'])
    .where('user_id', '=', userId)
    .where('present', '=', true)
    .orderBy('since', 'desc')
    .orderBy('session_id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ? fromRow(row) : { userId, status: 'OFFLINE', patientId: null, since: now };
}

export interface Lasting {
  readonly sessionIds: readonly string[];
  readonly until: string;
}

/** The sessions last until then. Returns those of them that had counted as gone. */
export async function lasting({ db }: Scope, { sessionIds, until }: Lasting) {
  if (sessionIds.length === 0) return [];
  const theirs = sql<boolean>`session_id = any(${sessionIds}::uuid[])`;
  // An agent may have sockets at several processes: whom another one is just about to prolong is left to it.
  const free = db.selectFrom('presences').select('session_id').where(theirs).forUpdate().skipLocked();
  await db
    .updateTable('presences')
    .set({ expires_at: until })
    .where('present', '=', true)
    .where('session_id', 'in', free)
    .execute();
  return db
    .selectFrom('presences')
    .select(['session_id', 'user_id'])
    .where('present', '=', false)
    .where(theirs)
    .execute();
}
