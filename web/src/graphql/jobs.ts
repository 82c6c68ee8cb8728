import * as operations from '@careflex/core/operations';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Done, ONE_RECORD, WRITE } from './results.ts';

const admin = { admin: true } as const;

const JobState = builder.enumType('JobState', {
  description: 'WAITING may start now, SCHEDULED later; RETRY waits after a failure; FAILED has no attempt left.',
  values: operations.JOB_STATES,
});

const JobAttempt = builder.objectRef<operations.JobAttempt>('JobAttempt').implement({
  description: 'One time that a job was started.',
  authScopes: admin,
  fields: (t) => ({
    number: t.exposeInt('number', { description: '1 for the first.' }),
    node: t.exposeString('node', { description: 'The process that ran it: host and process id.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    outcome: t.exposeString('outcome', {
      nullable: true,
      description:
        'DONE, FAILED, TIMED_OUT, SNOOZED, CANCELLED, HANDED_BACK at a shutdown, or LOST with its process; null while it runs.',
    }),
    errorClass: t.exposeString('errorClass', {
      nullable: true,
      description: 'Never its message, which may quote data.',
    }),
  }),
});

const Job = builder.objectRef<operations.Job>('Job').implement({
  authScopes: admin,
  fields: (t) => ({
    id: t.exposeID('id'),
    queue: t.exposeString('queue'),
    state: t.expose('state', { type: JobState }),
    priority: t.exposeInt('priority', { description: 'Larger runs first.' }),
    payload: t.field({ type: 'JSON', description: 'Ids only.', resolve: ({ payload }) => payload }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    startsAt: t.expose('startsAt', { type: 'DateTime', description: 'Not before this instant.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    errorClass: t.exposeString('errorClass', { nullable: true, description: 'Of the last failure.' }),
    sourceQueue: t.exposeString('sourceQueue', {
      nullable: true,
      description: 'Of a dead letter: where the job failed.',
    }),
    sourceJobId: t.exposeID('sourceJobId', { nullable: true, description: 'Of a dead letter: the job that failed.' }),
    attempts: t.field({ type: [JobAttempt], complexity: ONE_RECORD, resolve: ({ attempts }) => [...attempts] }),
  }),
});
const JobConnection = connectionOf(Job, 'Job', admin);

const JobCounts = builder.objectRef<operations.QueueState['jobs']>('JobCounts').implement({
  description: 'Unfinished jobs by state.',
  authScopes: admin,
  fields: (t) => ({
    waiting: t.exposeInt('waiting'),
    scheduled: t.exposeInt('scheduled'),
    retry: t.exposeInt('retry'),
    active: t.exposeInt('active'),
    failed: t.exposeInt('failed'),
  }),
});

const JobRate = builder.objectRef<{ starts: number; seconds: number }>('JobRate').implement({
  authScopes: admin,
  fields: (t) => ({ starts: t.exposeInt('starts'), seconds: t.exposeInt('seconds') }),
});

const perMinute = (count: number) => count / operations.LATELY_MINUTES;

const JobQueue = builder.objectRef<operations.QueueState>('JobQueue').implement({
  description: `A kind of job. What it did lately is of the last ${operations.LATELY_MINUTES} minutes.`,
  authScopes: admin,
  fields: (t) => ({
    name: t.exposeString('name'),
    jobs: t.expose('jobs', { type: JobCounts }),
    startedPerMinute: t.float({ resolve: ({ activity }) => perMinute(activity.started) }),
    completedPerMinute: t.float({ resolve: ({ activity }) => perMinute(activity.completed) }),
    failedPerMinute: t.float({ resolve: ({ activity }) => perMinute(activity.failed) }),
    medianSeconds: t.float({ nullable: true, resolve: ({ activity }) => activity.medianSeconds }),
    p99Seconds: t.float({ nullable: true, resolve: ({ activity }) => activity.p99Seconds }),
    oldestWaitingSeconds: t.float({
      nullable: true,
      description: 'How long the oldest job waits that may start; null where none does.',
      resolve: ({ activity }) => activity.oldestWaitingSeconds,
    }),
    pausedAt: t.expose('pausedAt', { type: 'DateTime', nullable: true }),
    atOnce: t.exposeInt('atOnce', { nullable: true, description: 'Jobs that run at once, over all processes.' }),
    rate: t.expose('rate', {
      type: JobRate,
      nullable: true,
      description: 'Starts in any span of so many seconds, over all processes.',
    }),
  }),
});

const JobSchedule = builder.objectRef<operations.ScheduleState>('JobSchedule').implement({
  authScopes: admin,
  fields: (t) => ({
    name: t.exposeString('name'),
    queue: t.exposeString('queue'),
    payload: t.field({ type: 'JSON', description: 'Ids only.', resolve: ({ payload }) => payload }),
    cron: t.exposeString('cron', {
      description: 'Minute, hour, day of the month, month, day of the week, on the wall clock of the zone.',
    }),
    timeZone: t.exposeString('timeZone'),
    nextTimes: t.field({
      type: ['DateTime'],
      description: 'The next due times. A first one in the past fires within a second of a worker’s start.',
      resolve: ({ nextTimes }) => [...nextTimes],
    }),
    lastDueAt: t.expose('lastDueAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The due time for which it fired last: after an outage the first that was missed.',
    }),
    lastFiredAt: t.expose('lastFiredAt', { type: 'DateTime', nullable: true }),
    lastJobId: t.exposeID('lastJobId', { nullable: true }),
  }),
});

const Redriven = builder.objectRef<{ count: number }>('RedrivenDeadLetters').implement({
  authScopes: admin,
  fields: (t) => ({ count: t.exposeInt('count', { description: 'Fewer than the limit were all.' }) }),
});

builder.objectType(operations.WrongJobState, {
  name: 'WrongJobState',
  description: 'What was asked for cannot be done with a job in this state.',
  interfaces: [Problem],
  authScopes: admin,
  fields: (t) => ({ state: t.expose('state', { type: JobState }) }),
});

builder.queryFields((t) => ({
  queues: t.field({
    type: [JobQueue],
    description: 'Every queue of jobs, by name. `dead-letter` holds what failed for good.',
    authScopes: admin,
    complexity: { field: ONE_RECORD, multiplier: 50 },
    resolve: (_root, _args, { scope }) => operations.queues(scope),
  }),
  jobs: t.field({
    type: JobConnection,
    description: 'Jobs, the newest first, seven days after their end the last time.',
    authScopes: admin,
    complexity: pageCost,
    args: {
      queue: t.arg.string(),
      state: t.arg({ type: JobState }),
      createdFrom: t.arg({ type: 'DateTime', description: 'Inclusive.' }),
      createdTo: t.arg({ type: 'DateTime', description: 'Exclusive.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await operations.jobs(scope, args)),
  }),
  job: t.field({
    type: Job,
    nullable: true,
    authScopes: admin,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => operations.findJob(scope, id),
  }),
  schedules: t.field({
    type: [JobSchedule],
    description: 'What comes at times of its own, by name.',
    authScopes: admin,
    complexity: { field: ONE_RECORD, multiplier: 50 },
    resolve: (_root, _args, { scope }) => operations.schedules(scope),
  }),
}));

const RedriveInput = builder.inputType('RedriveDeadLettersInput', {
  fields: (t) => ({
    sourceQueue: t.string(),
    errorClass: t.string(),
    diedFrom: t.field({ type: 'DateTime', description: 'Given up from this instant, inclusive.' }),
    diedTo: t.field({ type: 'DateTime', description: 'Given up to this instant, exclusive.' }),
    limit: t.int({ description: 'The oldest first; 1000 at most, and unless given.' }),
  }),
});

builder.mutationFields((t) => ({
  retryJob: t.field({
    type: Job,
    description:
      'Has a job tried again now that failed, was cancelled or waits after a failure; a dead letter as the job that it was.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, operations.WrongJobState, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { id, ...of }, { scope }) => operations.retryJob(scope, id, of),
  }),
  cancelJob: t.field({
    type: Job,
    description: 'Never starts a job again; one that runs is told to stop within seconds.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, operations.WrongJobState, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { id, ...of }, { scope }) => operations.cancelJob(scope, id, of),
  }),
  discardJob: t.field({
    type: Done,
    description: 'Removes a job for good that does not run.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, operations.WrongJobState, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, ...of }, { scope }) => {
      await operations.discardJob(scope, id, of);
      return { id };
    },
  }),
  redriveDeadLetters: t.field({
    type: Redriven,
    description: 'Has the dead letters that fit tried again.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [InvalidInput, IdempotencyMismatch] },
    args: { input: t.arg({ type: RedriveInput }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { input, ...of }, { scope }) => ({
      count: await operations.redriveDeadLetters(scope, { ...input, ...of }),
    }),
  }),
}));

builder.mutationFields((t) => ({
  pauseQueue: t.field({
    type: JobQueue,
    description: 'From the answer on no process starts a job of the queue; those that run end.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { name: t.arg.string({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { name, ...of }, { scope }) => operations.pauseQueue(scope, name, of),
  }),
  resumeQueue: t.field({
    type: JobQueue,
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { name: t.arg.string({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { name, ...of }, { scope }) => operations.resumeQueue(scope, name, of),
  }),
  runScheduleNow: t.field({
    type: Job,
    description: 'Adds a schedule’s job now, besides its due times; or answers the one that still waits to be started.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { name: t.arg.string({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { name, ...of }, { scope }) => operations.runScheduleNow(scope, name, of),
  }),
}));
