/**
 * Operations: queues, jobs and schedules as an admin sees and steers them.
 *
 * Admins alone; every look and every change is on record with who it was. What is changed holds for all processes from
 * its commit on: they look at the same rows before they start a job, and every few seconds while they run one.
 */
import { randomUUIDv7 } from 'node:crypto';
import { z } from 'zod';
import { idOf, parse } from '#platform/input';
import { once } from '#platform/idempotency';
import * as rows from '#platform/job-list';
import { getJob, type Job, JobFilter } from '#platform/job-list';
import { findQueues, type QueueState } from '#platform/job-overview';
import { addScheduled, dueTimes, findSchedules, type FoundSchedule } from '#platform/job-schedules';
import * as steering from '#platform/job-steering';
import { NotFound } from '#platform/errors';
import type { Page } from '#platform/page';
import { asSystem, type Scope, transact } from '#platform/scope';
import { permit, record } from './operations/policy.ts';

export { JOB_STATES, type Job, type JobAttempt, type JobFilter, type JobState } from '#platform/job-list';
export type { QueueActivity, QueueState } from '#platform/job-overview';
export { LATELY_MINUTES } from '#platform/job-overview';
export { WrongJobState } from '#platform/job-steering';

export interface Keyed {
  readonly idempotencyKey?: string | null | undefined;
}

/** Every queue, by name, with what waits in it and what it did lately. Throws Forbidden. */
export async function queues(scope: Scope): Promise<QueueState[]> {
  await permit(scope, 'queue.list', { type: 'JobQueue' });
  return transact(scope, async (scope) => {
    const found = await transact(asSystem(scope), findQueues);
    await record(scope, 'queue.list', { type: 'JobQueue', resourceIds: found.map(({ name }) => name) });
    return found;
  });
}

/** Jobs, the newest first. Throws InvalidInput, Forbidden. */
export async function jobs(scope: Scope, input: JobFilter = {}): Promise<Page<Job>> {
  const filter = parse(JobFilter, input);
  await permit(scope, 'job.list', { type: 'Job' });
  return transact(scope, async (scope) => {
    const page = await transact(asSystem(scope), (scope) => rows.findJobs(scope, filter));
    await record(scope, 'job.list', { type: 'Job', resourceIds: page.items.map(({ node }) => node.id) });
    return page;
  });
}

/** One job with every attempt at it, or null. Throws Forbidden. */
export async function findJob(scope: Scope, id: string): Promise<Job | null> {
  await permit(scope, 'job.read', { type: 'Job', id });
  return transact(scope, async (scope) => {
    const found = await transact(asSystem(scope), (scope) => rows.findJob(scope, id));
    await record(scope, 'job.read', { type: 'Job', id });
    return found;
  });
}

/**
 * Has a job tried again now that failed, was cancelled or waits after a failure; a dead letter as the job that it was.
 * Throws NotFound, WrongJobState, IdempotencyMismatch, Forbidden.
 */
export async function retryJob(scope: Scope, id: string, of: Keyed = {}): Promise<Job> {
  return steer(scope, { ...of, id, action: 'job.retry', change: steering.retryJob });
}

/**
 * Never starts a job again; one that runs is told to stop within seconds. Throws NotFound, WrongJobState,
 * IdempotencyMismatch, Forbidden.
 */
export async function cancelJob(scope: Scope, id: string, of: Keyed = {}): Promise<Job> {
  return steer(scope, { ...of, id, action: 'job.cancel', change: steering.cancelJob });
}

interface Steering extends Keyed {
  readonly id: string;
  readonly action: 'job.retry' | 'job.cancel' | 'job.discard';
  /** Returns the id of what has become of the job. */
  readonly change: (scope: Scope, id: string) => Promise<string>;
}

async function steer(scope: Scope, of: Steering): Promise<Job> {
  const id = await steered(scope, of);
  return transact(scope, (scope) => transact(asSystem(scope), (scope) => getJob(scope, id)));
}

async function steered(scope: Scope, { idempotencyKey, action, change, ...of }: Steering): Promise<string> {
  const id = idOf(of.id);
  await permit(scope, action, { type: 'Job', id });
  return transact(scope, (scope) =>
    once(scope, { key: idempotencyKey, operation: action, input: { id } }, async () => {
      const became = await transact(asSystem(scope), (scope) => change(scope, id));
      await record(scope, action, { type: 'Job', id });
      return became;
    }),
  );
}

/** Removes a job for good that does not run. Throws NotFound, WrongJobState, IdempotencyMismatch, Forbidden. */
export async function discardJob(scope: Scope, id: string, of: Keyed = {}): Promise<void> {
  await steered(scope, { ...of, id, action: 'job.discard', change: steering.discardJob });
}

const MOST_LETTERS = 1_000;
const instant = z.instanceof(Temporal.Instant).nullish();

const Redrive = z.object({
  sourceQueue: z.string().max(200).nullish(),
  errorClass: z.string().max(200).nullish(),
  /** Given up from this instant, inclusive. */
  diedFrom: instant,
  /** Given up to this instant, exclusive. */
  diedTo: instant,
  limit: z
    .int('expected a whole number')
    .min(1, 'expected at least 1')
    .max(MOST_LETTERS, `expected at most ${MOST_LETTERS}`)
    .nullish()
    .transform((limit) => limit ?? MOST_LETTERS),
});
export type Redrive = z.input<typeof Redrive>;

/**
 * Has the dead letters that fit tried again, the oldest first, a thousand at most. Returns how many: fewer than the limit
 * were all. Throws InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function redriveDeadLetters(
  scope: Scope,
  { idempotencyKey, ...input }: Redrive & Keyed = {},
): Promise<number> {
  const filter = parse(Redrive, input);
  await permit(scope, 'job.redrive', { type: 'Job' });
  return transact(scope, async (scope) => {
    const of = { key: idempotencyKey, operation: 'job.redrive', input: filter };
    const id = await once(scope, of, async () => {
      const resourceIds = await transact(asSystem(scope), (scope) => steering.redrive(scope, filter));
      await record(scope, 'job.redrive', { type: 'Job', resourceIds });
      return countAsId(resourceIds.length);
    });
    return countOf(id);
  });
}

/** What a repeat answers is kept as an id; a UUID of version 8 may hold what one likes. */
const countAsId = (count: number): string => `00000000-0000-8000-8000-${String(count).padStart(12, '0')}`;
const countOf = (id: string): number => Number(id.slice(-12));

/** From now on no process starts a job of the queue; those that run end. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function pauseQueue(scope: Scope, name: string, of: Keyed = {}): Promise<QueueState> {
  return hold(scope, name, { ...of, action: 'queue.pause', change: steering.pauseQueue });
}

/** Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function resumeQueue(scope: Scope, name: string, of: Keyed = {}): Promise<QueueState> {
  return hold(scope, name, { ...of, action: 'queue.resume', change: steering.resumeQueue });
}

interface Hold extends Keyed {
  readonly action: 'queue.pause' | 'queue.resume';
  readonly change: (scope: Scope, name: string) => Promise<void>;
}

async function hold(scope: Scope, name: string, { idempotencyKey, action, change }: Hold): Promise<QueueState> {
  await permit(scope, action, { type: 'JobQueue', id: name });
  return transact(scope, async (scope) => {
    await once(scope, { key: idempotencyKey, operation: action, input: { name } }, async () => {
      await transact(asSystem(scope), (scope) => change(scope, name));
      await record(scope, action, { type: 'JobQueue', id: name });
      // A repeat finds the queue by its name; only that it was done has to be kept.
      return randomUUIDv7();
    });
    const state = (await transact(asSystem(scope), findQueues)).find((queue) => queue.name === name);
    if (!state) throw new NotFound('The queue');
    return state;
  });
}

export interface ScheduleState extends FoundSchedule {
  /** The next due times, the first of them {@link FoundSchedule.nextAt}. */
  readonly nextTimes: readonly Temporal.Instant[];
}

const NEXT_TIMES = 5;

/** Every schedule, by name, with its next times. Throws Forbidden. */
export async function schedules(scope: Scope): Promise<ScheduleState[]> {
  await permit(scope, 'schedule.list', { type: 'JobSchedule' });
  return transact(scope, async (scope) => {
    const found = await transact(asSystem(scope), findSchedules);
    await record(scope, 'schedule.list', { type: 'JobSchedule', resourceIds: found.map(({ name }) => name) });
    return found.map((schedule) => {
      const further = dueTimes(schedule, schedule.nextAt, NEXT_TIMES - 1);
      return Object.assign(schedule, { nextTimes: [schedule.nextAt, ...further] });
    });
  });
}

/**
 * Adds a schedule's job now, besides its due times. Returns it, or the one that still waits to be started. Throws
 * NotFound, IdempotencyMismatch, Forbidden.
 */
export async function runScheduleNow(scope: Scope, name: string, { idempotencyKey }: Keyed = {}): Promise<Job> {
  await permit(scope, 'schedule.run', { type: 'JobSchedule', id: name });
  return transact(scope, async (scope) => {
    const of = { key: idempotencyKey, operation: 'schedule.run', input: { name } };
    const id = await once(scope, of, async () => {
      const jobId = await transact(asSystem(scope), async (scope) => {
        const schedule = (await findSchedules(scope)).find((schedule) => schedule.name === name);
        if (!schedule) throw new NotFound('The schedule');
        return addScheduled(scope, schedule);
      });
      await record(scope, 'schedule.run', { type: 'JobSchedule', id: name });
      return jobId;
    });
    return transact(asSystem(scope), (scope) => getJob(scope, id));
  });
}
