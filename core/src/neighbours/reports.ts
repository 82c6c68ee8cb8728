/** What a process tells of its guards, and what it has been ordered. For the system. */
import './tables.ts';
import { sql } from 'kysely';
import type { GuardReport } from '#integrations/guard';
import type { Scope } from '#platform/scope';
import type { Neighbour } from './state.ts';

export type Reports = ReadonlyMap<Neighbour, GuardReport>;

const COUNTED = ['succeeded', 'refused', 'failed', 'rejected'] as const;
/** Long after anybody has looked at it. */
const FORGOTTEN_SECONDS = 60;

export interface Told {
  /** This process: host and process id. */
  readonly node: string;
  readonly now: Reports;
  /** What it told last: a call counts once. */
  readonly before: Reports;
}

/** Tells how the guards of this process are. */
export async function tell({ db }: Scope, { node, now, before }: Told): Promise<void> {
  const given = [...now]
    .map(([name, report]) => Object.assign(toRow(report), since(report, before.get(name)), { name }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  await sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(given)}::jsonb) as given (
        name text, state text, succeeded bigint, refused bigint, failed bigint, rejected bigint, retries bigint,
        timeouts bigint, running integer, waiting integer, last_error_code text, last_error_at timestamptz,
        new_succeeded bigint, new_refused bigint, new_failed bigint, new_rejected bigint)
    ), totals as (
      insert into neighbours as n (name, succeeded, refused, failed, rejected)
      select name, new_succeeded, new_refused, new_failed, new_rejected from given
      where new_succeeded + new_refused + new_failed + new_rejected > 0 order by name
      on conflict (name) do update set succeeded = n.succeeded + excluded.succeeded,
        refused = n.refused + excluded.refused, failed = n.failed + excluded.failed,
        rejected = n.rejected + excluded.rejected
    )
    insert into neighbour_processes (name, node, state, succeeded, refused, failed, rejected, retries, timeouts, running,
      waiting, last_error_code, last_error_at, alive_at)
    select name, ${node}, state, succeeded, refused, failed, rejected, retries, timeouts, running, waiting,
      last_error_code, last_error_at, clock_timestamp() from given order by name
    on conflict (name, node) do update set state = excluded.state, succeeded = excluded.succeeded,
      refused = excluded.refused, failed = excluded.failed, rejected = excluded.rejected, retries = excluded.retries,
      timeouts = excluded.timeouts, running = excluded.running, waiting = excluded.waiting,
      last_error_code = excluded.last_error_code, last_error_at = excluded.last_error_at,
      alive_at = excluded.alive_at`.execute(db);
}

function toRow({ lastErrorCode, lastErrorAt, ...counts }: GuardReport): object {
  return { ...counts, last_error_code: lastErrorCode, last_error_at: lastErrorAt?.toString() ?? null };
}

function since(report: GuardReport, before: GuardReport | undefined): object {
  return Object.fromEntries(COUNTED.map((end) => [`new_${end}`, report[end] - (before?.[end] ?? 0)]));
}

/** Removes what processes told that ended without a word. */
export async function forgetSilent({ db }: Scope): Promise<void> {
  await sql`
    delete from neighbour_processes where (name, node) in (
      select name, node from neighbour_processes
      where alive_at < clock_timestamp() - make_interval(secs => ${FORGOTTEN_SECONDS}) for update skip locked
    )`.execute(db);
}

/** Removes what this process told. */
export async function leave({ db }: Scope, node: string): Promise<void> {
  await db.deleteFrom('neighbour_processes').where('node', '=', node).execute();
}

export interface Order {
  readonly name: string;
  readonly revision: number;
  readonly tripped: boolean;
}

export async function findOrders({ db }: Scope): Promise<Order[]> {
  const rows = await db.selectFrom('neighbours').select(['name', 'revision', 'tripped_at']).execute();
  return rows.map(({ name, revision, tripped_at }) => ({ name, revision, tripped: tripped_at !== null }));
}
