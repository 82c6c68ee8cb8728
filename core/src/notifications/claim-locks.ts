/** The locks of a delivery, and what it takes under them. All but the first live with the connection. */
import { sql } from 'kysely';
import { LOCKS } from '#platform/advisory-locks';
import type { Scope } from '#platform/scope';
import { type Due, type DueRow, toDue } from './recheck.ts';

/** One claims at a time, until its transaction ends. Who stops in the middle of it is thrown out. */
export async function lockClaims({ db }: Scope): Promise<void> {
  await sql`select set_config('idle_in_transaction_session_timeout', '15s', true),
    pg_advisory_xact_lock(${LOCKS.messageClaim})`.execute(db);
}

/**
 * Says that the claimant lives: for as long as this connection. Of a computer that is gone the server hears within
 * half a minute.
 */
export async function beginToClaim({ db }: Scope, claimant: string): Promise<void> {
  await sql`select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    pg_advisory_lock(hashtextextended(${claimant}, ${LOCKS.messageClaimant}))`.execute(db);
}

export async function unlockEverything({ db }: Scope): Promise<void> {
  await sql`select pg_advisory_unlock_all()`.execute(db);
}

/** The provider has answered, or is not going to be asked. */
export async function unlockMessages({ db }: Scope, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`select count(pg_advisory_unlock(hashtextextended(id, ${LOCKS.messageUnderWay})))
    from unnest(${ids}::text[]) as id`.execute(db);
}

/** How much earlier a message goes out when another one of its kind does. */
const WITHIN = { minutes: 60 } as const;

/**
 * Up to `limit` messages that are due, the oldest first, and those of the same kind that their patients get within
 * the hour. What somebody else changes at this moment is left for later.
 */
export async function takeDue({ db, now }: Scope, limit: number): Promise<Due[]> {
  const at = now.toString();
  const { rows } = await sql<DueRow & { is_free: boolean }>`
    with due as materialized (
      select * from notifications where status = 'PLANNED' and due_at <= ${at}::timestamptz
      order by due_at, id limit ${limit} for update skip locked
    ), near as materialized (
      -- By patient, as few as they are: nobody reads the whole backlog again for each claim.
      select * from notifications where status = 'PLANNED' and id = any(array(
        select other.id from due join notifications as other using (patient_id, kind, channel)
        where other.status = 'PLANNED' and other.due_at <= ${now.add(WITHIN).toString()}::timestamptz
      )) and id not in (select id from due)
      order by id for update skip locked
    )
    select id, appointment_id, revision, patient_id, kind, channel, due_at, expires_at, attempts,
      pg_try_advisory_lock(hashtextextended(id::text, ${LOCKS.messageUnderWay})) as is_free
    from (select * from due union all select * from near) as taken`.execute(db);
  return rows.filter((row) => row.is_free).map(toDue);
}
