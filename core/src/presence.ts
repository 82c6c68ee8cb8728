/**
 * Presence: which agents are at work, and with whom they are busy.
 *
 * A session tells a status and has to give signs of life: an open socket of its own does so by itself, every other
 * client tells its status again. Of several sessions of an agent the status that was told last counts, and the agent
 * is offline when the last session has gone. The rows are shared by all API processes, so each of them notices when
 * another one dies with its sockets. Every change is an event. Staff only.
 */
import './presence/tables.ts';
import { sql } from 'kysely';
import { z } from 'zod';
import * as accounts from '#accounts';
import * as audit from '#audit';
import * as care from '#care';
import { Forbidden } from '#platform/errors';
import { parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { type AgentState, changing, fromRow, lasting } from './presence/state.ts';

export const AGENT_STATUSES = ['AVAILABLE', 'BUSY', 'AWAY', 'OFFLINE'] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

/** Without a sign of life for so long a session is gone. */
export const LASTS_SECONDS = 20;

export interface AgentPresence {
  readonly userId: string;
  readonly name: string;
  readonly status: AgentStatus;
  /** Whom the agent is busy with. */
  readonly patientId: string | null;
  /** When this status was told; for OFFLINE, when it was noticed. */
  readonly since: Temporal.Instant;
}

declare module '#platform/events' {
  interface Events {
    'agent.presence_changed': AgentPresenceChanged;
  }
}
export interface AgentPresenceChanged {
  readonly userId: string;
  readonly status: AgentStatus;
  readonly patientId: string | null;
  /** An instant in RFC 3339. */
  readonly since: string;
}

const Tracked = z.object({
  status: z.enum(AGENT_STATUSES),
  patientId: z.string().nullish(),
});
export type Tracked = z.input<typeof Tracked>;

/**
 * Tells the status of the caller's session; the same again is a sign of life. OFFLINE leaves at once. Returns what
 * counts for the agent, who may have told something else in another session since.
 * Throws NotFound for a patient who does not exist, InvalidInput, Forbidden.
 */
export async function trackAgent(scope: Scope, input: Tracked): Promise<AgentPresence> {
  const { status, patientId } = parse(Tracked, input);
  await permit(scope, 'agent.track');
  const { id: userId, sessionId } = scope.actor;
  if (sessionId === null) throw new Forbidden('be present without a session');

  const state = await transact(scope, async (scope) => {
    if (patientId) await care.holdPatient(scope, patientId);
    return changing(scope, { userId, action: 'agent.track' }, async () => {
      if (status === 'OFFLINE') await scope.db.deleteFrom('presences').where('session_id', '=', sessionId).execute();
      else await tell(scope, sessionId, { status, patientId: patientId ?? null });
    });
  });
  return namedOne(scope, state);
}

/** Every agent who is at work, by their ids. Throws Forbidden. */
export async function onlineAgents(scope: Scope): Promise<AgentPresence[]> {
  await permit(scope, 'agent.list');
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('presences')
      .distinctOn('user_id')
      .select(['user_id', 'status', 'patient_id', 'since'])
      .where('present', '=', true)
      .where('expires_at', '>', new Date(scope.now.epochMilliseconds))
      .orderBy('user_id')
      .orderBy('since', 'desc')
      .orderBy('session_id', 'desc')
      .execute();
    return named(scope, rows.map(fromRow));
  });
}

/** What an event `agent.presence_changed` tells, with the agent's name. Throws Forbidden. */
export async function presenceOf(scope: Scope, changed: AgentPresenceChanged): Promise<AgentPresence> {
  await permit(scope, 'agent.follow');
  return namedOne(scope, { ...changed, since: Temporal.Instant.from(changed.since) });
}

/** Lets the caller follow the agents, and has it on record. Throws Forbidden. */
export async function followAgents(scope: Scope): Promise<void> {
  await permit(scope, 'agent.follow');
  await transact(scope, (scope) => audit.record(scope, { action: 'agent.follow', resourceType: 'User' }));
}

/**
 * Signs of life of those sessions whose sockets this process holds, then the end of everything that has given none.
 * A session that had counted as gone, because its process or the database was away, is back by it. System only.
 * Throws Forbidden.
 */
export async function keepPresence(scope: Scope, sessionIds: readonly string[]): Promise<void> {
  await permit(scope, 'agent.keep');
  const back = await transact(scope, async (scope) => {
    const alive = await accounts.liveSessions(scope, sessionIds);
    return lasting(scope, { sessionIds: [...alive], until: expiry(scope) });
  });
  for (const { session_id, user_id: userId } of back) {
    await transact(scope, (scope) =>
      changing(scope, { userId, action: 'agent.return' }, ({ db }) =>
        db
          .updateTable('presences')
          .set({ present: true, expires_at: expiry(scope) })
          .where('session_id', '=', session_id)
          .execute(),
      ),
    );
  }
  for (const userId of await withExpired(scope)) {
    await transact(scope, (scope) =>
      changing(scope, { userId, action: 'agent.lose' }, ({ db, now }) =>
        db
          .updateTable('presences')
          .set({ present: false })
          .where('user_id', '=', userId)
          .where('present', '=', true)
          .where('expires_at', '<=', new Date(now.epochMilliseconds))
          .execute(),
      ),
    );
  }
}

const STAFF = new Set(['admin', 'agent']);

async function permit(scope: Scope, action: string): Promise<void> {
  const allowed = action === 'agent.keep' ? scope.actor.role === 'system' : STAFF.has(scope.actor.role);
  await audit.permit(scope, allowed, { action, resourceType: 'User', resourceId: scope.actor.id });
}

function expiry({ now }: Scope): string {
  return now.add({ seconds: LASTS_SECONDS }).toString();
}

async function named(scope: Scope, states: readonly AgentState[]): Promise<AgentPresence[]> {
  const names = await accounts.userNames(
    scope,
    states.map(({ userId }) => userId),
  );
  return states.map(({ userId, status, patientId, since }) => {
    return { userId, name: names.get(userId) ?? '', status, patientId, since };
  });
}

async function namedOne(scope: Scope, state: AgentState): Promise<AgentPresence> {
  const [presence] = await named(scope, [state]);
  return presence as AgentPresence;
}

interface Told {
  readonly status: Exclude<AgentStatus, 'OFFLINE'>;
  readonly patientId: string | null;
}

/** The same again keeps its time: what another session has told since still counts. */
async function tell(scope: Scope, sessionId: string, { status, patientId }: Told): Promise<void> {
  const now = scope.now.toString();
  await sql`
    insert into presences as p (session_id, user_id, status, patient_id, since, expires_at, present)
    values (${sessionId}, ${scope.actor.id}, ${status}, ${patientId}, ${now}, ${expiry(scope)}, true)
    on conflict (session_id) do update set status = excluded.status, patient_id = excluded.patient_id,
      since = case when p.present and p.status = excluded.status and p.patient_id is not distinct from excluded.patient_id
        then p.since else excluded.since end,
      expires_at = greatest(p.expires_at, excluded.expires_at), present = true`.execute(scope.db);
}

const MOST_AT_ONCE = 500;

async function withExpired(scope: Scope): Promise<string[]> {
  const rows = await transact(asSystem(scope), ({ db, now }) =>
    db
      .selectFrom('presences')
      .select('user_id')
      .distinct()
      .where('present', '=', true)
      .where('expires_at', '<=', new Date(now.epochMilliseconds))
      .limit(MOST_AT_ONCE)
      .execute(),
  );
  return rows.map((row) => row.user_id);
}
