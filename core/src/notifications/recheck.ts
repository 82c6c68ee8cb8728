/**
 * Whether a message that is due may go out now: everything is looked at again, with what was read in the transaction
 * that claims it. Pure.
 */
import type { Channel, Contact } from '#care';
import type { Clinic } from '#platform/scope';
import type { AppointmentStatus, VisitFacts } from '#scheduling';
import type { Standings } from './consent-standing.ts';
import { contactKind, contactOf } from './contact.ts';
import type { Kind, NotificationStatus, Reason } from './message.ts';
import { allowedHours, nextAllowed } from './policy.ts';
import type { NotificationRow } from './tables.ts';
import type { TaskReason } from './task.ts';

/** A row of the ledger that is due. */
export interface Due {
  readonly id: string;
  readonly appointmentId: string;
  readonly revision: number;
  readonly patientId: string;
  readonly kind: Kind;
  readonly channel: Channel;
  readonly dueAt: Temporal.Instant;
  readonly expiresAt: Temporal.Instant;
  /** Begun before. */
  readonly attempts: number;
}

/** What of a row {@link toDue} reads. */
export type DueRow = Pick<
  NotificationRow,
  'id' | 'appointment_id' | 'revision' | 'patient_id' | 'kind' | 'channel' | 'due_at' | 'expires_at' | 'attempts'
>;

export function toDue(row: DueRow): Due {
  return {
    id: row.id,
    appointmentId: row.appointment_id,
    revision: row.revision,
    patientId: row.patient_id,
    kind: row.kind,
    channel: row.channel,
    dueAt: row.due_at.toTemporalInstant(),
    expiresAt: row.expires_at.toTemporalInstant(),
    attempts: row.attempts,
  };
}

/** What is known about it at this moment. */
export interface Known {
  readonly now: Temporal.Instant;
  readonly clinic: Clinic;
  readonly visit: VisitFacts | undefined;
  /** Absent when the record cannot be opened. */
  readonly contact: Contact | undefined;
  readonly standings: Standings;
}

export interface Sendable {
  readonly visit: VisitFacts;
  readonly contact: Contact;
  /** E.164, or an e-mail address. */
  readonly address: string;
  readonly contactIndex: Buffer;
}

export interface Refusal {
  readonly status: Extract<NotificationStatus, 'SKIPPED' | 'SUPERSEDED' | 'FAILED'>;
  readonly reason: Reason;
  /** A person has to know. */
  readonly task?: TaskReason;
  /** Another channel may do. */
  readonly elsewhere?: true;
}

export type Verdict =
  | { readonly send: Sendable }
  | { readonly refusal: Refusal }
  | { readonly notBefore: Temporal.Instant };

type Check = (due: Due, known: Known) => Verdict | null;

const refused = (
  status: Refusal['status'],
  reason: Reason,
  more: Omit<Refusal, 'status' | 'reason'> = {},
): Verdict => ({ refusal: { status, reason, ...more } });

/** A broken record is a person's to look at. */
export const UNREADABLE: Refusal = { status: 'SKIPPED', reason: 'UNREADABLE', task: 'UNREADABLE' };

export function recheck(due: Due, known: Known): Verdict {
  for (const check of CHECKS) {
    const verdict = check(due, known);
    if (verdict !== null) return verdict;
  }
  const { visit, contact, standings } = known;
  const address = contact ? addressOf(due, contact) : null;
  if (!visit || !contact || address === null) return { refusal: UNREADABLE };
  const { contactIndex } = standings.of(due.patientId, address);
  return { send: { visit, contact, address, contactIndex } };
}

/** Only on channels that the patient has named: preference narrows what was agreed to. */
function addressOf({ channel }: Due, contact: Contact): string | null {
  return contact.preferences.channels.includes(channel) ? contactOf(contact, contactKind(channel)) : null;
}

const isOfThisRevision: Check = ({ revision }, { visit }) => {
  if (visit === undefined) return { refusal: UNREADABLE };
  return visit.revision === revision ? null : refused('SUPERSEDED', 'RESCHEDULED');
};

const AHEAD: ReadonlySet<AppointmentStatus> = new Set(['SCHEDULED', 'CONFIRMED']);
/** In which status of its visit a message still says something. */
const SAYS_SOMETHING: Readonly<Record<Kind, ReadonlySet<AppointmentStatus>>> = {
  CONFIRMATION: AHEAD,
  CHANGED: AHEAD,
  REMINDER_24H: new Set(['SCHEDULED']),
  REMINDER_2H: AHEAD,
  CANCELLED: new Set(['CANCELLED']),
  MISSED: new Set(['NO_SHOW']),
};
const WHY_NOT: Readonly<Record<AppointmentStatus, Reason>> = {
  HELD: 'REPLANNED',
  SCHEDULED: 'REPLANNED',
  CONFIRMED: 'CONFIRMED',
  CHECKED_IN: 'STARTED',
  IN_PROGRESS: 'STARTED',
  COMPLETED: 'STARTED',
  CANCELLED: 'CANCELLED',
  NO_SHOW: 'STARTED',
};

const fitsTheVisit: Check = ({ kind }, { visit }) => {
  if (visit === undefined || SAYS_SOMETHING[kind].has(visit.status)) return null;
  return refused('SUPERSEDED', WHY_NOT[visit.status]);
};

const isReadable: Check = (_due, { contact }) => (contact === undefined ? { refusal: UNREADABLE } : null);

const isThere: Check = (_due, { contact }) =>
  contact?.deleted === true || contact?.status === 'DECEASED' ? refused('SKIPPED', 'PATIENT_INACTIVE') : null;

const isInTime: Check = ({ expiresAt, attempts }, { now }) => {
  if (Temporal.Instant.compare(now, expiresAt) <= 0) return null;
  if (attempts === 0) return refused('SKIPPED', 'STALE');
  return refused('FAILED', 'RETRIES_EXHAUSTED', { task: 'RETRIES_EXHAUSTED' });
};

const isWanted: Check = (due, { contact, standings }) => {
  const address = contact ? addressOf(due, contact) : null;
  if (address === null) return refused('SKIPPED', 'NO_CHANNEL', { elsewhere: true });
  const { consented, optedOut } = standings.of(due.patientId, address);
  if (optedOut) return refused('SKIPPED', 'OPTED_OUT', { elsewhere: true });
  return consented ? null : refused('SKIPPED', 'NO_CONSENT', { elsewhere: true });
};

const isAtAGoodHour: Check = ({ expiresAt }, { now, clinic, contact }) => {
  if (contact === undefined) return null;
  const allowed = nextAllowed(now, contact.timeZone, allowedHours(contact.preferences, clinic));
  if (allowed?.equals(now)) return null;
  if (allowed === null || Temporal.Instant.compare(allowed, expiresAt) > 0) return refused('SKIPPED', 'QUIET_HOURS');
  return { notBefore: allowed };
};

const CHECKS: readonly Check[] = [
  isOfThisRevision,
  fitsTheVisit,
  isReadable,
  isThere,
  isInTime,
  isWanted,
  isAtAGoodHour,
];
