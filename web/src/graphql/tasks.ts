/** What a person must do about messages, with the patient and the visit beside it. */
import * as accounts from '@careflex/core/accounts';
import * as care from '@careflex/core/care';
import * as notifications from '@careflex/core/notifications';
import type { Event } from '@careflex/core/platform/events';
import type { Scope } from '@careflex/core/platform/scope';
import { appointmentsOf } from './appointment-problems.ts';
import { Appointment } from './appointments.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { Patient } from './patients.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;

const TaskKind = builder.enumType('TaskKind', { values: notifications.TASK_KINDS });
const TaskStatus = builder.enumType('TaskStatus', { values: notifications.TASK_STATUSES });
const TaskReason = builder.enumType('TaskReason', { values: notifications.TASK_REASONS });

const Task = builder.objectRef<notifications.Task>('Task').implement({
  description: 'Something that a person must do, because the platform cannot or may not.',
  authScopes: staff,
  fields: (t) => ({
    id: t.exposeID('id'),
    kind: t.expose('kind', { type: TaskKind }),
    status: t.expose('status', { type: TaskStatus }),
    reason: t.expose('reason', { type: TaskReason }),
    patient: t.loadable({
      type: Patient,
      nullable: true,
      description: 'Null where nobody can tell whom it is about.',
      load: (ids: string[], { scope }) => patientsOf(scope, ids),
      resolve: ({ patientId }) => patientId,
    }),
    appointment: t.loadable({
      type: Appointment,
      nullable: true,
      loaderOptions: { cache: false },
      load: (ids: string[], { scope }) => appointmentsOf(scope, ids),
      resolve: ({ appointmentId }) => appointmentId,
    }),
    message: t.loadable({
      type: 'String',
      nullable: true,
      description: 'What the patient wrote.',
      loaderOptions: { cache: false },
      load: async (ids: string[], { scope }) => {
        const words = await notifications.taskWords(scope, ids);
        return ids.map((id) => words.get(id)?.message ?? null);
      },
      resolve: ({ id }) => id,
    }),
    outcome: t.loadable({
      type: 'String',
      nullable: true,
      description: 'What was done.',
      loaderOptions: { cache: false },
      load: async (ids: string[], { scope }) => {
        const words = await notifications.taskWords(scope, ids);
        return ids.map((id) => words.get(id)?.outcome ?? null);
      },
      resolve: ({ id }) => id,
    }),
    claimedBy: t.exposeID('claimedBy', { nullable: true, description: 'The user who has it, or had it last.' }),
    claimedByName: t.loadable({
      type: 'String',
      nullable: true,
      load: (ids: string[], { scope }) => namesOf(scope, ids),
      resolve: ({ claimedBy }) => claimedBy,
    }),
    claimedAt: t.expose('claimedAt', { type: 'DateTime', nullable: true }),
    doneBy: t.exposeID('doneBy', { nullable: true, description: 'Null also where the platform closed it by itself.' }),
    doneAt: t.expose('doneAt', { type: 'DateTime', nullable: true }),
    version: t.exposeInt('version', { description: 'Grows by one with every change.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});
const TaskConnection = connectionOf(Task, 'Task', staff);

async function patientsOf(scope: Scope, ids: readonly string[]): Promise<(care.Patient | null)[]> {
  const patients = await care.patientsOnRecord(scope, ids);
  return ids.map((id) => patients.get(id) ?? null);
}

async function namesOf(scope: Scope, ids: readonly string[]): Promise<(string | null)[]> {
  const names = await accounts.userNames(scope, ids);
  return ids.map((id) => names.get(id) ?? null);
}

const TaskCounts = builder.objectRef<{ open: number; mine: number }>('TaskCounts').implement({
  authScopes: staff,
  fields: (t) => ({
    open: t.exposeInt('open', { description: 'Nobody has them.' }),
    mine: t.exposeInt('mine', { description: 'The caller has them.' }),
  }),
});

const refusal = { interfaces: [Problem], authScopes: staff };

builder.objectType(notifications.TaskTaken, {
  name: 'TaskTaken',
  description: 'Somebody else has it.',
  ...refusal,
  fields: (t) => ({
    claimedBy: t.exposeID('claimedBy'),
    claimedByName: t.string({
      nullable: true,
      resolve: async ({ claimedBy }, _args, { scope }) => (await namesOf(scope, [claimedBy]))[0] ?? null,
    }),
    claimedAt: t.expose('claimedAt', { type: 'DateTime' }),
  }),
});
builder.objectType(notifications.TaskDone, { name: 'TaskDone', description: 'It is done already.', ...refusal });
builder.objectType(notifications.StaleTask, {
  name: 'StaleTask',
  description: 'The task was changed since the version that was named.',
  ...refusal,
  fields: (t) => ({ currentVersion: t.exposeInt('currentVersion') }),
});

builder.queryFields((t) => ({
  tasks: t.field({
    type: TaskConnection,
    description: 'The oldest first; without `status`, those that are not done.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      status: t.arg({ type: [TaskStatus] }),
      kind: t.arg({ type: [TaskKind] }),
      patientId: t.arg.id(),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await notifications.tasks(scope, args)),
  }),
  task: t.field({
    type: Task,
    authScopes: staff,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => notifications.getTask(scope, id),
  }),
  taskCounts: t.field({
    type: TaskCounts,
    authScopes: staff,
    complexity: ONE_RECORD,
    resolve: (_root, _args, { scope }) => notifications.taskCounts(scope),
  }),
}));

const PROBLEMS = [
  NotFound,
  InvalidInput,
  IdempotencyMismatch,
  notifications.TaskTaken,
  notifications.TaskDone,
  notifications.StaleTask,
];

builder.mutationFields((t) => {
  const step = {
    id: t.arg.id({ required: true }),
    version: t.arg.int({ description: 'The version you have seen; a newer one makes the change fail.' }),
    idempotencyKey: t.arg.string(),
  };
  const common = { type: Task, authScopes: staff, complexity: WRITE, errors: { types: PROBLEMS } };
  return {
    claimTask: t.field({
      ...common,
      description: 'Takes it on: of several at once one does.',
      args: step,
      resolve: (_root, { id, ...input }, { scope }) => notifications.claimTask(scope, id, input),
    }),
    releaseTask: t.field({
      ...common,
      description: 'Gives it back; admins anybody’s.',
      args: step,
      resolve: (_root, { id, ...input }, { scope }) => notifications.releaseTask(scope, id, input),
    }),
    completeTask: t.field({
      ...common,
      description: 'It is done.',
      args: { ...step, outcome: t.arg.string({ required: true, description: 'What was done.' }) },
      resolve: (_root, { id, ...input }, { scope }) => notifications.completeTask(scope, id, input),
    }),
  };
});

const TOPICS: ReadonlySet<string> = new Set(['task.opened', 'task.claimed', 'task.released', 'task.done']);

builder.subscriptionFields((t) => ({
  taskChanged: t.field({
    type: Task,
    description: 'Each task that is opened, taken on, given back or done, as it is when that is delivered.',
    authScopes: staff,
    complexity: ONE_RECORD,
    subscribe: async (_root, _args, { scope, feed }) => {
      await notifications.followTasks(scope);
      return feed.follow({ matches: ({ topic }) => TOPICS.has(topic) });
    },
    resolve: (event, _args, { scope }) => notifications.getTask(scope, (event as Event<'task.opened'>).payload.taskId),
  }),
}));
