/**
 * Events: what happened, written in the change's own transaction, so that nothing is published that was rolled
 * back and nothing committed stays unpublished.
 *
 * Readers see events in the order of `sequence`: 1, 2, 3, without a hole, and never one that appears later
 * behind another. A number drawn at insert cannot promise that (transactions commit in another order, or not at
 * all), so it is given after the commit, by one process at a time. An event that could be seen when another
 * one's transaction began has the smaller number.
 */
import { sql } from 'kysely';
import type { Generated } from 'kysely';
import type { Scope } from './scope.ts';
import { unansweredStatement } from './database.ts';
import { afterCommit, transact } from './scope.ts';

declare module './database.ts' {
  interface Database {
    events: {
      id: Generated<string>;
      topic: string;
      payload: object;
      request_id: string;
      occurred_at: Date | string;
      sequence: Generated<number | null>;
    };
  }
}

/** Every event of the system by topic. Contexts merge theirs in. Payloads carry ids, never PHI. */
// oxlint-disable-next-line typescript/no-empty-interface -- filled by declaration merging
export interface Events {}

export type Topic = keyof Events;

export interface Event<T extends Topic = Topic> {
  readonly sequence: number;
  readonly topic: T;
  readonly payload: Events[T];
  readonly occurredAt: Temporal.Instant;
  readonly requestId: string;
}

/** Records an event, and what follows from it, with the change that caused it. */
export async function emit<T extends Topic>(scope: Scope, topic: T, payload: Events[T]): Promise<void> {
  await insertEvent(scope.db, { topic, payload, requestId: scope.request.id, at: scope.now.toString() });
  await scope.react?.(scope, topic, payload);
}

interface NewEvent {
  readonly topic: Topic;
  readonly payload: object;
  readonly requestId: string;
  readonly at: string;
}

const insertEvent = unansweredStatement<NewEvent>((db, { topic, payload, requestId, at }) =>
  db.insertInto('events').values({ topic, payload, request_id: requestId, occurred_at: at }).$castTo<never>(),
);

/** Records many events of a topic at once. */
export async function emitAll<T extends Topic>(scope: Scope, topic: T, payloads: readonly Events[T][]): Promise<void> {
  if (payloads.length === 0) return;
  await sql`
    insert into events (topic, payload, request_id, occurred_at)
    select ${topic}, payload, ${scope.request.id}, ${scope.now.toString()}::timestamptz
    from jsonb_array_elements(${JSON.stringify(payloads)}::jsonb) as payload`.execute(scope.db);
  for (const payload of payloads) await scope.react?.(scope, topic, payload);
}

/** Listeners are told the newest sequence. */
export const EVENTS_CHANNEL = 'events';

/**
 * Numbers the committed events that have no sequence yet and tells listeners of {@link EVENTS_CHANNEL}. Safe to call
 * from any process at any time. Returns the newest number, or null when nothing was new.
 */
export async function sequenceEvents(scope: Scope): Promise<number | null> {
  return transact(scope, async (scope) => {
    const { rows } = await sql<{ newest: number | null }>`select sequence_events() as newest`.execute(scope.db);
    const newest = rows[0]?.newest ?? null;
    // Only what is committed can be read by those who are told.
    if (newest !== null) afterCommit(scope, () => scope.announce?.(EVENTS_CHANNEL, String(newest)));
    return newest;
  });
}

/** Up to `limit` events after `sequence`, in order. */
export async function eventsAfter(scope: Scope, sequence: number, limit: number): Promise<Event[]> {
  return transact(scope, async ({ db }) => {
    const rows = await db
      .selectFrom('events')
      .select(['sequence', 'topic', 'payload', 'occurred_at', 'request_id'])
      .where('sequence', '>', sequence)
      .orderBy('sequence')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      sequence: Number(row.sequence),
      topic: row.topic as Topic,
      payload: row.payload as Events[Topic],
      occurredAt: (row.occurred_at as Date).toTemporalInstant(),
      requestId: row.request_id,
    }));
  });
}

/** The newest sequence, 0 when there is no event yet. */
export async function newestSequence(scope: Scope): Promise<number> {
  return transact(scope, async ({ db }) => {
    const row = await db
      .selectFrom('events')
      .select((eb) => eb.fn.max('sequence').as('newest'))
      .executeTakeFirst();
    return row?.newest ?? 0;
  });
}
