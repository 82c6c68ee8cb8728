/** What follows from what the provider has answered. Pure, but for the dice. */
import type { NotificationStatus, Reason } from './message.ts';
import type { Answered, Outcome } from './outgoing.ts';
import type { AttemptOutcome } from './tables.ts';
import type { TaskKind, TaskReason } from './task.ts';

/** What becomes of the rows of a message. */
export interface Fate {
  readonly status: Extract<NotificationStatus, 'PLANNED' | 'CLAIMED' | 'SENT' | 'FAILED' | 'UNKNOWN'>;
  readonly reason: Reason | null;
  /** When it is tried again; as before unless given. */
  readonly dueAt?: Temporal.Instant;
  readonly providerMessageId?: string;
  /** How the attempt has ended; it goes on while nobody knows. */
  readonly attempt: AttemptOutcome | null;
  readonly code?: string;
  readonly task?: { readonly kind: TaskKind; readonly reason: TaskReason };
  /** Another channel may do; the task is for when there is none. */
  readonly elsewhere?: true;
}

/** @param dice from 0 to 1 */
export function fateOf({ message, outcome }: Answered, now: Temporal.Instant, dice: number): Fate {
  const { kind } = outcome;
  if (kind === 'SENT') {
    const { providerMessageId } = outcome;
    return { status: 'SENT', reason: null, providerMessageId, attempt: 'SENT' };
  }
  if (kind === 'UNAVAILABLE') return tryAgain(message, outcome, { now, dice });
  if (kind === 'REFUSED') return { ...REFUSED, code: outcome.code };
  if (kind === 'UNKNOWN') return { status: 'CLAIMED', reason: null, attempt: null, code: outcome.code };
  return kind === 'NOT_SENT' ? AS_IF_NEVER : UNDECIDABLE;
}

const AS_IF_NEVER: Fate = { status: 'PLANNED', reason: null, attempt: 'NOT_SENT' };

const REFUSED: Fate = {
  status: 'FAILED',
  reason: 'REFUSED',
  attempt: 'REFUSED',
  task: { kind: 'UNDELIVERABLE', reason: 'REFUSED' },
  elsewhere: true,
};

const UNDECIDABLE: Fate = {
  status: 'UNKNOWN',
  reason: 'OUTCOME_UNKNOWN',
  attempt: 'UNKNOWN',
  task: { kind: 'UNDECIDABLE', reason: 'OUTCOME_UNKNOWN' },
};

const FIRST_RETRY_SECONDS = 30;
const LAST_RETRY_SECONDS = 15 * 60;

interface Chance {
  readonly now: Temporal.Instant;
  readonly dice: number;
}

/** Later and later, and not everybody at once; a person hears of it when there is no time left. */
function tryAgain(
  { attempt, expiresAt }: Answered['message'],
  { code }: Extract<Outcome, { code: string }>,
  { now, dice }: Chance,
): Fate {
  const seconds = Math.min(FIRST_RETRY_SECONDS * 2 ** (attempt - 1), LAST_RETRY_SECONDS);
  const dueAt = now.add({ milliseconds: Math.round(seconds * 1_000 * (0.5 + dice)) });
  if (Temporal.Instant.compare(dueAt, expiresAt) <= 0)
    return { status: 'PLANNED', reason: null, dueAt, attempt: 'UNAVAILABLE', code };
  return {
    status: 'FAILED',
    reason: 'RETRIES_EXHAUSTED',
    attempt: 'UNAVAILABLE',
    code,
    task: { kind: 'UNDELIVERABLE', reason: 'RETRIES_EXHAUSTED' },
  };
}
