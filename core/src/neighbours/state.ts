/** How the calls to each neighbour fare, over all processes that live. For the system. */
import './tables.ts';
import { sql } from 'kysely';
import type { Database } from '#platform/database';
import type { Selectable } from 'kysely';
import type { GuardReport, GuardState } from '#integrations/guard';
import { GUARD_STATES } from '#integrations/guard';
import type { Scope } from '#platform/scope';

/** Systems outside, by what we want of them. */
export const NEIGHBOURS = ['sms', 'voice', 'email', 'payer', 'directory'] as const;
export type Neighbour = (typeof NEIGHBOURS)[number];

export type CallEnd = 'succeeded' | 'refused' | 'failed' | 'rejected';

export interface IntegrationProcess extends GuardReport {
  /** Host and process id. */
  readonly node: string;
  readonly reportedAt: Temporal.Instant;
}

export interface Integration {
  readonly name: Neighbour;
  /** What is ordered, else of all processes the worst. */
  readonly state: GuardState;
  /** The order to refuse every call, while it holds. */
  readonly tripped: { readonly at: Temporal.Instant; readonly by: string; readonly reason: string } | null;
  /** Calls of all processes that ever were. */
  readonly calls: Readonly<Record<CallEnd, number>>;
  /** Those that live and have something to call, by their names. */
  readonly processes: readonly IntegrationProcess[];
}

/** A process tells of itself every three seconds, and two reports may get lost. */
export const SILENT_SECONDS = 10;

/** Every neighbour, called or not, in the order of their list. */
export async function findIntegrations({ db }: Scope): Promise<Integration[]> {
  const orders = await db.selectFrom('neighbours').selectAll().execute();
  const alive = await db
    .selectFrom('neighbour_processes')
    .selectAll()
    .where('alive_at', '>', sql<Date>`clock_timestamp() - make_interval(secs => ${SILENT_SECONDS})`)
    .orderBy('node')
    .execute();
  const processes = Map.groupBy(alive, ({ name }) => name);
  const known = new Map(orders.map((row) => [row.name, row]));
  return NEIGHBOURS.map((name) => toIntegration(name, known.get(name), processes.get(name) ?? []));
}

type Order = Selectable<Database['neighbours']>;
type Process = Selectable<Database['neighbour_processes']>;

function toIntegration(name: Neighbour, order: Order | undefined, rows: readonly Process[]): Integration {
  const processes = rows.map(toProcess);
  const { succeeded = 0, refused = 0, failed = 0, rejected = 0 } = order ?? {};
  const tripped = trippedOf(order);
  // A process that was told to refuse hears of the reset within a second.
  const heard = processes.filter(({ state }) => state !== 'TRIPPED');
  const worst = Math.max(0, ...heard.map(({ state }) => GUARD_STATES.indexOf(state)));
  const state = tripped === null ? (GUARD_STATES[worst] ?? 'CLOSED') : 'TRIPPED';
  return { name, state, tripped, calls: { succeeded, refused, failed, rejected }, processes };
}

function trippedOf(order: Order | undefined): Integration['tripped'] {
  if (!order?.tripped_at || order.tripped_by === null || order.reason === null) return null;
  return { at: order.tripped_at.toTemporalInstant(), by: order.tripped_by, reason: order.reason };
}

function toProcess(row: Process): IntegrationProcess {
  const { node, state, succeeded, refused, failed, rejected, retries, timeouts, running, waiting } = row;
  return {
    node,
    state,
    succeeded,
    refused,
    failed,
    rejected,
    retries,
    timeouts,
    running,
    waiting,
    lastErrorCode: row.last_error_code,
    lastErrorAt: row.last_error_at?.toTemporalInstant() ?? null,
    reportedAt: row.alive_at.toTemporalInstant(),
  };
}
