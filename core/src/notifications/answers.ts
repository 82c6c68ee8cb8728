/** What a patient's answer does to the visits that they were asked about. */
import type { DomainError } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import type { Intent } from './intent.ts';
import type { Asked, Prompt } from './prompt.ts';
import { openTask, type TaskKind, type TaskReason } from './task.ts';
import type { AnswerKind } from './template.ts';

export type Digit = Extract<Intent, 'CONFIRM' | 'CHANGE' | 'DECLINE'>;

export const isDigit = (intent: Intent): intent is Digit => ['CONFIRM', 'CHANGE', 'DECLINE'].includes(intent);

/** Null: done, and nobody has to do anything. */
type ToDo = TaskReason | null;

interface Rules {
  readonly task: TaskKind;
  readonly answer: AnswerKind;
  /** Where it is left to a person. */
  readonly otherwise: AnswerKind;
  readonly apply: (scope: Scope, visit: scheduling.Appointment) => Promise<ToDo>;
  /** What the answer asks for is how it stands already. */
  readonly isDone: (visit: scheduling.Appointment) => boolean;
}

const RULES: Readonly<Record<Digit, Rules>> = {
  CONFIRM: {
    task: 'REPLY',
    answer: 'CONFIRMED',
    otherwise: 'NOT_UNDERSTOOD',
    apply: confirm,
    isDone: isSureToCome,
  },
  CHANGE: {
    task: 'CHANGE_REQUESTED',
    answer: 'CHANGE_NOTED',
    otherwise: 'CHANGE_NOTED',
    apply: async () => 'ASKED_BY_PATIENT',
    isDone: () => false,
  },
  DECLINE: {
    task: 'CANNOT_COME',
    answer: 'DECLINED',
    otherwise: 'DECLINED',
    apply: decline,
    isDone: isCalledOffByPatient,
  },
};

/**
 * Does for each visit of the prompt what the digit says, or opens a task where a person has to: also when the visit
 * has moved, was called off or has begun since. Returns what to answer. For the system, inside `transact`.
 */
export async function answerPrompt(
  scope: Scope,
  digit: Digit,
  { prompt, inboundMessageId }: { readonly prompt: Prompt; readonly inboundMessageId: string },
): Promise<AnswerKind> {
  const rules = RULES[digit];
  const visits = await scheduling.appointmentsByIds(
    scope,
    prompt.visits.map(({ appointmentId }) => appointmentId),
  );
  let allDone = true;
  for (const asked of prompt.visits) {
    const reason = await carriedOut(scope, rules, { asked, visit: visits.get(asked.appointmentId) });
    if (reason === null) continue;
    allDone = false;
    const { patientId, appointmentId } = asked;
    const about = { patientId, appointmentId, notificationId: asked.notificationId, inboundMessageId };
    await openTask(scope, { kind: rules.task, reason, ...about });
  }
  return allDone ? rules.answer : rules.otherwise;
}

interface Question {
  readonly asked: Asked;
  readonly visit: scheduling.Appointment | undefined;
}

async function carriedOut(scope: Scope, rules: Rules, { asked, visit }: Question): Promise<ToDo> {
  if (visit === undefined || visit.revision !== asked.revision) return 'VISIT_CHANGED';
  if (!isAhead(scope, visit)) return rules.isDone(visit) ? null : 'VISIT_CHANGED';
  if (rules.isDone(visit)) return null;
  try {
    return await rules.apply(scope, visit);
  } catch (thrown) {
    // Somebody else was quicker than the answer.
    if (REFUSALS.has((thrown as Partial<DomainError>).code)) return 'VISIT_CHANGED';
    throw thrown;
  }
}

const REFUSALS: ReadonlySet<unknown> = new Set(['STALE_VERSION', 'ILLEGAL_TRANSITION', 'NOT_FOUND']);

function isAhead({ now }: Scope, { status, startsAt }: scheduling.Appointment): boolean {
  return (status === 'SCHEDULED' || status === 'CONFIRMED') && Temporal.Instant.compare(now, startsAt) < 0;
}

const SURE: ReadonlySet<scheduling.AppointmentStatus> = new Set([
  'CONFIRMED',
  'CHECKED_IN',
  'IN_PROGRESS',
  'COMPLETED',
]);

function isSureToCome({ status }: scheduling.Appointment): boolean {
  return SURE.has(status);
}

function isCalledOffByPatient({ status, cancellationReason }: scheduling.Appointment): boolean {
  return status === 'CANCELLED' && cancellationReason === 'PATIENT';
}

async function confirm(scope: Scope, { id, version }: scheduling.Appointment): Promise<ToDo> {
  await scheduling.confirm(scope, id, { version, reason: 'The patient answered 1 to a message' });
  return null;
}

/** What patients may not do themselves any more, a digit does not do for them. */
async function decline(scope: Scope, { id, version, startsAt }: scheduling.Appointment): Promise<ToDo> {
  if (!scheduling.isInTimeForPatient(scope, startsAt)) return 'TOO_LATE_TO_CANCEL';
  await scheduling.cancel(scope, id, { version, reason: 'PATIENT', note: 'The patient answered 3 to a message' });
  return null;
}
