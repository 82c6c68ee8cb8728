/** The bookkeeping of a run: where it is, how it goes, and for whom there was no answer. */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import * as audit from '#audit';
import { type Scope, transact } from '#platform/scope';
import type { SyncRunRow } from './tables.ts';

export const SYNC_FAILURE_CODES = [
  // The patient has no id that the payer could know.
  'NO_MEMBER_ID',
  'UNAVAILABLE',
  // The payer does not know the patient, or does not answer for them.
  'REFUSED',
  'UNUSABLE_ANSWER',
] as const;
export type SyncFailureCode = (typeof SYNC_FAILURE_CODES)[number];

export interface SyncFailure {
  readonly code: SyncFailureCode;
  /** What the other side or the operating system calls it: `503`. */
  readonly detail: string | null;
}

const RUN = 'BenefitSyncRun';

/** The run that is under way, or a new one. For the system. */
export async function openRun(scope: Scope): Promise<SyncRunRow> {
  return transact(scope, async (scope) => {
    const { db } = scope;
    const unfinished = db.selectFrom('benefit_sync_runs').selectAll().where('finished_at', 'is', null);
    const found = await unfinished.executeTakeFirst();
    if (found !== undefined) return found;
    const at = scope.now.toString();
    const { rows } = await sql<SyncRunRow>`
      insert into benefit_sync_runs (id, patients, started_at, updated_at)
      select ${randomUUIDv7()}::uuid, count(distinct patient_id)::integer, ${at}::timestamptz, ${at}::timestamptz
      from benefits where external_plan_id is not null and ended_at is null
      on conflict do nothing returning *`.execute(db);
    const [started] = rows;
    // Somebody else was quicker.
    if (started === undefined) return unfinished.executeTakeFirstOrThrow();
    await audit.record(scope, { action: 'benefit.startSync', resourceType: RUN, resourceId: started.id });
    return started;
  });
}

const NIL = '00000000-0000-0000-0000-000000000000';

/** The patients that come next, in the order of their ids. */
export async function nextPatients({ db }: Scope, after: string | null, limit: number): Promise<string[]> {
  const { rows } = await sql<{ patient_id: string }>`
    select distinct patient_id from benefits
    where external_plan_id is not null and ended_at is null
      and patient_id > ${after ?? NIL}::uuid
    order by patient_id limit ${limit}`.execute(db);
  return rows.map(({ patient_id }) => patient_id);
}

/** Another process has taken the run on: what this one found is the other one's to find again. */
export class RunTaken extends Error {}

export interface Step {
  readonly runId: string;
  readonly from: string | null;
  /** Up to which patient all are done; `from` where nobody is. */
  readonly to: string | null;
  readonly synced: number;
  readonly failures: readonly (SyncFailure & { readonly patientId: string })[];
  readonly drifted: number;
  /** The payer does not answer now. */
  readonly isDown: boolean;
}

/** Locks the run where the step begins. Throws {@link RunTaken}. */
export async function holdRun({ db }: Scope, { runId, from }: Pick<Step, 'runId' | 'from'>): Promise<void> {
  const row = await db
    .selectFrom('benefit_sync_runs')
    .select('cursor')
    .where('id', '=', runId)
    .where('finished_at', 'is', null)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined || row.cursor !== from) throw new RunTaken('Another process goes on with the run');
}

/** Moves the run on. Returns since when it waits for the payer, or null. Call it after {@link holdRun}. */
export async function moveOn({ db, now }: Scope, step: Step): Promise<Temporal.Instant | null> {
  const at = now.toString();
  if (step.failures.length > 0) {
    await db
      .insertInto('benefit_sync_failures')
      .values(
        step.failures.map(({ patientId, code, detail }) => ({
          run_id: step.runId,
          patient_id: patientId,
          code,
          detail,
          failed_at: at,
        })),
      )
      .execute();
  }
  const isMoving = step.to !== step.from;
  const { rows } = await sql<{ waiting_since: Date | null }>`
    update benefit_sync_runs
    set cursor = ${step.to}::uuid, synced = synced + ${step.synced}::integer,
      failed = failed + ${step.failures.length}::integer, drifted = drifted + ${step.drifted}::integer,
      waiting_since = case when not ${step.isDown}::boolean then null
        when ${isMoving}::boolean then ${at}::timestamptz else coalesce(waiting_since, ${at}::timestamptz) end,
      updated_at = ${at}::timestamptz
    where id = ${step.runId}::uuid returning waiting_since`.execute(db);
  return rows[0]?.waiting_since?.toTemporalInstant() ?? null;
}

/** For the system. */
export async function finishRun(scope: Scope, runId: string): Promise<void> {
  await transact(scope, async (scope) => {
    const at = scope.now.toString();
    const { numUpdatedRows } = await scope.db
      .updateTable('benefit_sync_runs')
      .set({ finished_at: at, updated_at: at, waiting_since: null })
      .where('id', '=', runId)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    if (numUpdatedRows === 0n) return;
    await audit.record(scope, { action: 'benefit.finishSync', resourceType: RUN, resourceId: runId });
  });
}
