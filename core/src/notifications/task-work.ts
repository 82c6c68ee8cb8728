/** Taking tasks on, giving them back, and doing them: each is one person's at a time. */
import { z } from 'zod';
import * as audit from '#audit';
import { DomainError, NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { outcomeOf, sealWords } from './sealed-words.ts';
import type { TaskRow } from './tables.ts';
import { permitTasks, type Task, toTask } from './task-list.ts';

/** Somebody else has it. */
export class TaskTaken extends DomainError {
  readonly code = 'TASK_TAKEN';
  /** The user who has it. */
  readonly claimedBy: string;
  readonly claimedAt: Temporal.Instant;
  constructor(claimedBy: string, claimedAt: Temporal.Instant) {
    super('Somebody else has taken this task on');
    this.claimedBy = claimedBy;
    this.claimedAt = claimedAt;
  }
}

/** It is done already. */
export class TaskDone extends DomainError {
  readonly code = 'TASK_DONE';
  constructor() {
    super('This task is done');
  }
}

/** The task was changed since the caller read it. */
export class StaleTask extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super('The task was changed by someone else in the meantime');
    this.currentVersion = currentVersion;
  }
}

const TaskStep = z.object({
  /** The version that the caller has seen: a newer one makes the change fail. */
  version: z.int('expected a whole number').nullish(),
  idempotencyKey: z.string().nullish(),
});
export type TaskStep = z.input<typeof TaskStep>;

const Completion = TaskStep.extend({
  outcome: z.string().trim().min(1, 'expected what was done').max(2_000, 'expected at most 2000 characters'),
});
/** `outcome`: what was done, in words. */
export type Completion = z.input<typeof Completion>;

/**
 * The caller takes it on; again, where it is theirs, changes nothing. Staff only. Throws NotFound, {@link TaskTaken},
 * {@link TaskDone}, {@link StaleTask}, InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function claimTask(scope: Scope, id: string, input: TaskStep = {}): Promise<Task> {
  const { actor, now } = scope;
  return change(scope, id, {
    action: 'task.claim',
    topic: 'task.claimed',
    step: parse(TaskStep, input),
    mayTake: false,
    columns: (row) =>
      row.status === 'CLAIMED' ? null : { status: 'CLAIMED', claimed_by: actor.id, claimed_at: now.toString() },
  });
}

/** Gives it back; an admin anybody's. Staff only. Throws as {@link claimTask}. */
export async function releaseTask(scope: Scope, id: string, input: TaskStep = {}): Promise<Task> {
  return change(scope, id, {
    action: 'task.release',
    topic: 'task.released',
    step: parse(TaskStep, input),
    mayTake: scope.actor.role === 'admin',
    columns: (row) => (row.status === 'OPEN' ? null : { status: 'OPEN', claimed_by: null, claimed_at: null }),
  });
}

/** It is done, by whom it is with or by whoever finds it open. Staff only. Throws as {@link claimTask}. */
export async function completeTask(scope: Scope, id: string, input: Completion): Promise<Task> {
  const { outcome, ...step } = parse(Completion, input);
  const { actor, now, vault } = scope;
  return change(scope, id, {
    action: 'task.complete',
    topic: 'task.done',
    step: { ...step, outcome },
    mayTake: false,
    columns: (row) => ({
      status: 'DONE',
      done_by: actor.id,
      done_at: now.toString(),
      outcome: sealWords(vault, outcomeOf(row.id), outcome),
    }),
  });
}

interface Columns {
  readonly status: TaskRow['status'];
  readonly claimed_by?: string | null;
  readonly claimed_at?: string | null;
  readonly done_by?: string;
  readonly done_at?: string;
  readonly outcome?: Buffer;
}

interface Change {
  readonly action: string;
  readonly topic: 'task.claimed' | 'task.released' | 'task.done';
  readonly step: z.output<typeof TaskStep> & { readonly outcome?: string };
  /** Also from somebody else. */
  readonly mayTake: boolean;
  /** Null where it is so already. */
  readonly columns: (row: TaskRow) => Columns | null;
}

async function change(scope: Scope, taskId: string, change: Change): Promise<Task> {
  const { action, step } = change;
  await permitTasks(scope, action, taskId);
  if (!isUuid(taskId)) throw new NotFound('Task');
  const id = idOf(taskId);
  const { idempotencyKey: key, ...input } = step;
  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { id, ...input } }, async () => {
      await write(scope, await lock(scope, id), change);
      return id;
    });
    return toTask(await lock(scope, id));
  });
}

function lock({ db }: Scope, id: string): Promise<TaskRow> {
  return db
    .selectFrom('tasks')
    .selectAll()
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow(() => new NotFound('Task'));
}

async function write(scope: Scope, row: TaskRow, change: Change): Promise<void> {
  mustBeFree(scope, row, change);
  const { action, topic } = change;
  const changed = change.columns(row);
  if (changed === null) return;
  const version = row.version + 1;
  await scope.db
    .updateTable('tasks')
    .set({ ...changed, version, updated_at: scope.now.toString() })
    .where('id', '=', row.id)
    .execute();
  const patientIds = row.patient_id === null ? [] : [row.patient_id];
  const changedFields = ['status', ...(changed.outcome ? ['outcome'] : [])];
  await audit.record(scope, { action, resourceType: 'Task', resourceId: row.id, patientIds, changedFields });
  await emit(scope, topic, { taskId: row.id, version });
}

/** Throws TaskDone, TaskTaken, StaleTask. */
function mustBeFree({ actor }: Scope, row: TaskRow, { step: { version }, mayTake }: Change): void {
  const { status, claimed_by, claimed_at } = row;
  if (status === 'DONE') throw new TaskDone();
  const isOthers = status === 'CLAIMED' && claimed_by !== actor.id;
  if (isOthers && !mayTake && claimed_by && claimed_at) throw new TaskTaken(claimed_by, claimed_at.toTemporalInstant());
  if (typeof version === 'number' && version !== row.version) throw new StaleTask(row.version);
}
