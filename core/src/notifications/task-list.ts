/** Reading tasks. What patients wrote is read apart from them, and each read is on record with whose it is. */
import { type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { idOf, isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import { bodyOf, openWords, outcomeOf } from './sealed-words.ts';
import type { TaskRow } from './tables.ts';
import { TASK_KINDS, TASK_STATUSES, type TaskKind, type TaskReason, type TaskStatus } from './task.ts';

export interface Task {
  readonly id: string;
  readonly kind: TaskKind;
  readonly status: TaskStatus;
  readonly reason: TaskReason;
  /** Null where nobody can tell whom it is about. */
  readonly patientId: string | null;
  readonly appointmentId: string | null;
  /** The user who has it, or had it last. */
  readonly claimedBy: string | null;
  readonly claimedAt: Temporal.Instant | null;
  /** Null also for one that the platform closed by itself. */
  readonly doneBy: string | null;
  readonly doneAt: Temporal.Instant | null;
  /** Grows by one with every change. */
  readonly version: number;
  readonly createdAt: Temporal.Instant;
}

export function toTask(row: TaskRow): Task {
  return {
    id: row.id,
    kind: row.kind,
    status: row.status,
    reason: row.reason,
    patientId: row.patient_id,
    appointmentId: row.appointment_id,
    claimedBy: row.claimed_by,
    claimedAt: row.claimed_at?.toTemporalInstant() ?? null,
    doneBy: row.done_by,
    doneAt: row.done_at?.toTemporalInstant() ?? null,
    version: row.version,
    createdAt: row.created_at.toTemporalInstant(),
  };
}

/** Tasks are for staff. Throws Forbidden. */
export async function permitTasks(scope: Scope, action: string, id?: string): Promise<void> {
  const allowed = ['admin', 'agent'].includes(scope.actor.role);
  await audit.permit(scope, allowed, { action, resourceType: 'Task', resourceId: id ?? null });
}

const TaskList = PageInput.extend({
  status: z.array(z.enum(TASK_STATUSES)).nullish(),
  kind: z.array(z.enum(TASK_KINDS)).nullish(),
  patientId: z.string().nullish(),
});
/** Without `status`: what is not done. */
export type TaskList = z.input<typeof TaskList>;

/** Ids are made in the order in which tasks are opened; times are finer than what a cursor holds. */
const Place = z.tuple([z.uuid()]);
const UNDONE: readonly TaskStatus[] = ['OPEN', 'CLAIMED'];

/** The oldest first. Staff only. Throws InvalidInput, Forbidden. */
export async function tasks(scope: Scope, input: TaskList = {}): Promise<Page<Task>> {
  const { first, after, status, kind, patientId } = parse(TaskList, input);
  const action = 'task.list';
  await permitTasks(scope, action);
  if (patientId && !isUuid(patientId)) return { items: [], hasNextPage: false };

  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('tasks')
      .selectAll()
      .$if(!status, (query) => query.where('status', '<>', 'DONE'))
      .where('status', '=', sql<TaskStatus>`any(${status ?? UNDONE})`)
      .$if(Boolean(kind), (query) => query.where('kind', '=', sql<TaskKind>`any(${kind})`))
      .$if(Boolean(patientId), (query) => query.where('patient_id', '=', patientId as string))
      .$if(after !== null, (query) => query.where(afterPlace(after ?? '')))
      .orderBy('id')
      .limit(first + 1)
      .execute();
    await recordShown(scope, action, rows.slice(0, first));
    return toPage(rows, first, { node: toTask, key: ({ id }) => [id] });
  });
}

function afterPlace(cursor: string) {
  const [id] = decodeCursor(cursor, Place);
  return sql<SqlBool>`id > ${id}::uuid`;
}

/** Staff only. Throws NotFound, Forbidden. */
export async function getTask(scope: Scope, id: string): Promise<Task> {
  const action = 'task.read';
  await permitTasks(scope, action, id);
  if (!isUuid(id)) throw new NotFound('Task');
  return transact(scope, async (scope) => {
    const row = await scope.db
      .selectFrom('tasks')
      .selectAll()
      .where('id', '=', idOf(id))
      .executeTakeFirstOrThrow(() => new NotFound('Task'));
    await recordShown(scope, action, [row]);
    return toTask(row);
  });
}

/** How many wait, and how many the caller has. Staff only. Throws Forbidden. */
export async function taskCounts(scope: Scope): Promise<{ readonly open: number; readonly mine: number }> {
  await permitTasks(scope, 'task.count');
  return transact(scope, async ({ db, actor }) => {
    const { rows } = await sql<{ open: number; mine: number }>`
      select count(*) filter (where status = 'OPEN')::int as open,
        count(*) filter (where status = 'CLAIMED' and claimed_by = ${actor.id})::int as mine
      from tasks where status <> 'DONE'`.execute(db);
    return rows[0] ?? { open: 0, mine: 0 };
  });
}

export interface TaskWords {
  /** What the patient wrote. */
  readonly message: string | null;
  /** What was done, in words. */
  readonly outcome: string | null;
}

/** By task: one query and one audit entry, for loaders. Null also once the patient is erased. Staff only. Throws Forbidden. */
export async function taskWords(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, TaskWords>> {
  const action = 'task.readWords';
  await permitTasks(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('tasks')
      .leftJoin('inbound_messages', 'inbound_messages.id', 'tasks.inbound_message_id')
      .select([
        'tasks.id',
        'tasks.patient_id',
        'tasks.outcome',
        'inbound_messages.body',
        'inbound_messages.id as source',
      ])
      .where('tasks.id', '=', sql<string>`any(${ids}::uuid[])`)
      .execute();
    await recordShown(scope, action, rows);
    return new Map(
      rows.map(({ id, outcome, body, source }) => [
        id,
        {
          message: body && source ? openWords(scope.vault, bodyOf(source), body) : null,
          outcome: outcome && openWords(scope.vault, outcomeOf(id), outcome),
        },
      ]),
    );
  });
}

/** Lets the caller follow the tasks, and has it on record. Staff only. Throws Forbidden. */
export async function followTasks(scope: Scope): Promise<void> {
  const action = 'task.follow';
  await permitTasks(scope, action);
  await transact(scope, (scope) => audit.record(scope, { action, resourceType: 'Task' }));
}

async function recordShown(
  scope: Scope,
  action: string,
  rows: readonly Pick<TaskRow, 'id' | 'patient_id'>[],
): Promise<void> {
  await audit.record(scope, {
    action,
    resourceType: 'Task',
    resourceIds: rows.map(({ id }) => id),
    patientIds: [...new Set(rows.flatMap(({ patient_id }) => patient_id ?? []))],
  });
}
