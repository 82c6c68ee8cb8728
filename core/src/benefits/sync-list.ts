/** How the runs go, for staff: none of it says anything of a patient's benefits. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import { permitStaff } from './policy.ts';
import type { SyncFailure } from './sync-run.ts';
import type { SyncRunRow } from './tables.ts';

/** WAITING: the payer does not answer. It goes on by itself. */
export const SYNC_STATES = ['RUNNING', 'WAITING', 'FINISHED'] as const;
export type SyncState = (typeof SYNC_STATES)[number];

export interface SyncRun {
  readonly id: string;
  readonly state: SyncState;
  /** How many there were to ask when it started. */
  readonly patients: number;
  readonly synced: number;
  readonly failed: number;
  /** Differences that were found, known ones too. */
  readonly drifted: number;
  readonly startedAt: Temporal.Instant;
  /** When it last got on, or tried to. */
  readonly updatedAt: Temporal.Instant;
  readonly waitingSince: Temporal.Instant | null;
  readonly finishedAt: Temporal.Instant | null;
}

/** A patient for whom a run got no answer that could be used. */
export interface FailedSync extends SyncFailure {
  readonly patientId: string;
  readonly failedAt: Temporal.Instant;
}

function toRun(row: SyncRunRow): SyncRun {
  return {
    id: row.id,
    state: row.finished_at ? 'FINISHED' : row.waiting_since ? 'WAITING' : 'RUNNING',
    patients: row.patients,
    synced: row.synced,
    failed: row.failed,
    drifted: row.drifted,
    startedAt: row.started_at.toTemporalInstant(),
    updatedAt: row.updated_at.toTemporalInstant(),
    waitingSince: row.waiting_since?.toTemporalInstant() ?? null,
    finishedAt: row.finished_at?.toTemporalInstant() ?? null,
  };
}

/** Runs have ids in the order in which they begin, and a run's failures are in the order of their patients. */
const Place = z.tuple([z.uuid()]);

/** The newest first. Staff only. Throws InvalidInput, Forbidden. */
export async function syncRuns(scope: Scope, input: PageInput = {}): Promise<Page<SyncRun>> {
  const { first, after } = parse(PageInput, input);
  const action = 'benefit.listSyncRuns';
  await permitStaff(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('benefit_sync_runs')
      .selectAll()
      .$if(after !== null, (query) => query.where('id', '<', decodeCursor(after ?? '', Place)[0]))
      .orderBy('id', 'desc')
      .limit(first + 1)
      .execute();
    const resourceIds = rows.slice(0, first).map(({ id }) => id);
    await audit.record(scope, { action, resourceType: 'BenefitSyncRun', resourceIds });
    return toPage(rows, first, { node: toRun, key: ({ id }) => [id] });
  });
}

/** For whom a run got no answer that could be used. Staff only. Throws InvalidInput, Forbidden. */
export async function syncFailures(scope: Scope, runId: string, input: PageInput = {}): Promise<Page<FailedSync>> {
  const { first, after } = parse(PageInput, input);
  const action = 'benefit.listSyncFailures';
  await permitStaff(scope, action, runId);
  if (!isUuid(runId)) return { items: [], hasNextPage: false };
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('benefit_sync_failures')
      .selectAll()
      .where('run_id', '=', runId)
      .$if(after !== null, (query) => query.where('patient_id', '>', decodeCursor(after ?? '', Place)[0]))
      .orderBy('patient_id')
      .limit(first + 1)
      .execute();
    const patientIds = rows.slice(0, first).map(({ patient_id }) => patient_id);
    await audit.record(scope, { action, resourceType: 'BenefitSyncRun', resourceId: runId, patientIds });
    return toPage(rows, first, {
      node: ({ patient_id, code, detail, failed_at }) => ({
        patientId: patient_id,
        code,
        detail,
        failedAt: failed_at.toTemporalInstant(),
      }),
      key: ({ patient_id }) => [patient_id],
    });
  });
}

/** How long the run under way has waited for the payer, in seconds; 0 where none does. For metrics. */
export async function syncWaitSeconds(scope: Scope): Promise<number> {
  return transact(scope, async ({ db, now }) => {
    const { rows } = await sql<{ since: Date }>`
      select waiting_since as since from benefit_sync_runs where waiting_since is not null`.execute(db);
    const [waiting] = rows;
    return waiting ? Math.max(0, now.since(waiting.since.toTemporalInstant()).total('seconds')) : 0;
  });
}
