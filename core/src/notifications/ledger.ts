/**
 * The ledger follows the visits: what is over is superseded, what is due is planned, in the transaction of the change,
 * once for all visits that it changes.
 *
 * What has left, or is leaving, stays as it is. Whoever plans again for the same facts changes nothing.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import type { Channel } from '#care';
import { unansweredStatement } from '#platform/database';
import { afterCommit, atEnd, type Scope, transact } from '#platform/scope';
import type { AppointmentTopic } from '#scheduling';
import { tellOf, toChanged } from './changed.ts';
import { DELIVERY_CHANNEL } from './delivery-channel.ts';
import { type Entry, type VisitToPlan, visitsToPlan } from './ledger-facts.ts';
import { type Kind, KINDS, type NotificationStatus, type Reason } from './message.ts';
import { plan, type Planned, type PlannedVisit } from './planner.ts';

/** A visit that has changed, or a patient whose visits ahead may have to be told of otherwise. */
type Followed = { readonly visit: string; readonly topic: AppointmentTopic } | { readonly patient: string };

/** Plans what follows from the change of a visit, before its transaction ends. */
export function followVisit(scope: Scope, topic: AppointmentTopic, appointmentId: string): void {
  atEnd<Followed>(scope, follow, { visit: appointmentId, topic });
}

/** Plans the unsent messages for the patient's visits ahead anew, before the transaction ends. */
export function followPatient(scope: Scope, patientId: string): void {
  atEnd<Followed>(scope, follow, { patient: patientId });
}

/**
 * Plans anew for everybody who agreed to messages at the number or address of this opt-out: another way may have to do,
 * or the first one does again. For the system, inside `transact`.
 */
export async function followContact(scope: Scope, optOutId: string): Promise<void> {
  const { rows } = await sql<{ patient_id: string }>`
    select distinct c.patient_id from opt_outs o join consents c using (contact_index) where o.id = ${optOutId}`.execute(
    scope.db,
  );
  for (const { patient_id } of rows) followPatient(scope, patient_id);
}

/** Gives up whatever is still to be sent to a patient who is gone, also of visits that are over. For the system. */
export async function forsakePatient(scope: Scope, patientId: string): Promise<void> {
  await transact(scope, async (scope) => {
    const given = await scope.db
      .updateTable('notifications')
      .set({ status: 'SUPERSEDED', reason: 'PATIENT_INACTIVE', updated_at: scope.now.toString() })
      .where('patient_id', '=', patientId)
      .where('status', '=', 'PLANNED')
      .returning(['id', 'appointment_id', 'patient_id'])
      .execute();
    await tellOf(scope, 'SUPERSEDED', given.map(toChanged));
  });
}

async function follow(scope: Scope, followed: readonly Followed[]): Promise<void> {
  const topics = new Map<string, AppointmentTopic[]>();
  const patients = new Set<string>();
  for (const item of followed) {
    if ('patient' in item) patients.add(item.patient);
    else topics.set(item.visit, [...(topics.get(item.visit) ?? []), item.topic]);
  }
  const visits = await visitsToPlan(scope, { visits: [...topics.keys()], patients: [...patients] });
  const steps = visits
    .map((visit) => stepFor(visit, { topics: topics.get(visit.id) ?? [], now: scope.now }))
    .filter(({ over, rows }) => over.length > 0 || rows.length > 0);
  if (steps.length > 0) await write(scope, steps);
}

interface Over {
  readonly reason: Reason;
  readonly kinds: readonly Kind[];
  /** Not what goes this way. */
  readonly keptChannel: Channel | null;
  /** Not what belongs to the visit as it is now. */
  readonly olderOnly: boolean;
}

interface Step {
  readonly visit: string;
  readonly over: readonly Over[];
  /** What is leaving for the visit as it was has left before the change is there. */
  readonly awaits: boolean;
  readonly rows: readonly Row[];
}

interface Row extends Pick<Planned, 'kind' | 'status' | 'reason'> {
  readonly id: string;
  readonly channel: Channel;
  readonly dueAt: string;
  readonly expiresAt: string;
}

interface Change {
  /** Empty when it is the patient who has changed. */
  readonly topics: readonly AppointmentTopic[];
  readonly now: Temporal.Instant;
}

function stepFor(visit: VisitToPlan, { topics, now }: Change): Step {
  const { over, notice, awaits } = topics.length === 0 ? nothingOver(visit, now) : whatFollows(visit, topics);
  const planned = plan(toPlanned(visit, { notice, now }), visit.recipient, now);
  const changed = visit.status === 'HELD' || visit.wasHold ? [] : planned.filter((row) => changes(visit, row, now));
  const rows = changed.map((row) => toRow(visit, row));
  const elsewhere = rows.filter(({ kind, channel }) => pending(visit, kind).some((entry) => entry.channel !== channel));
  const replaced = elsewhere.map(({ kind, channel }) =>
    superseded('REPLANNED', { kinds: [kind], keptChannel: channel }),
  );
  return { visit: visit.id, over: [...over, ...replaced], awaits, rows };
}

function toRow(visit: VisitToPlan, planned: Planned): Row {
  const { kind, status, reason, dueAt, expiresAt } = planned;
  const channel = channelOf(visit, planned);
  return {
    id: randomUUIDv7(),
    kind,
    channel,
    status,
    reason,
    dueAt: dueAt.toString(),
    expiresAt: expiresAt.toString(),
  };
}

type Following = Pick<Step, 'over' | 'awaits'> & { readonly notice: PlannedVisit['notice'] };

const superseded = (reason: Reason, only: Partial<Over> = {}): Over => ({
  reason,
  kinds: KINDS,
  keptChannel: null,
  olderOnly: false,
  ...only,
});

/** By how the visit stands; the topic tells a move from a booking. */
function whatFollows(visit: VisitToPlan, topics: readonly AppointmentTopic[]): Following {
  switch (visit.status) {
    case 'HELD':
      return { over: [], awaits: false, notice: null };
    case 'SCHEDULED': {
      if (topics.includes('appointment.scheduled')) return { over: [], awaits: false, notice: 'CONFIRMATION' };
      const notice = topics.includes('appointment.rescheduled') ? 'CHANGED' : 'CONFIRMATION';
      return { over: [superseded('RESCHEDULED', { olderOnly: true })], awaits: true, notice };
    }
    case 'CONFIRMED':
      return { over: [superseded('CONFIRMED', { kinds: ['REMINDER_24H'] })], awaits: false, notice: null };
    case 'CANCELLED':
      if (visit.wasHold) return { over: [], awaits: false, notice: null };
      return { over: [superseded('CANCELLED')], awaits: true, notice: 'CANCELLED' };
    case 'NO_SHOW':
      return { over: [superseded('STARTED')], awaits: false, notice: 'MISSED' };
    default:
      return { over: [superseded('STARTED')], awaits: false, notice: null };
  }
}

/** What waits for the end of quiet hours waits for the end of the new ones. */
function nothingOver(visit: VisitToPlan, now: Temporal.Instant): Following {
  const waiting = visit.entries.find((entry) => !entry.kind.startsWith('REMINDER') && isWaiting(entry, now));
  return { over: [], awaits: false, notice: (waiting?.kind ?? null) as PlannedVisit['notice'] };
}

const LEFT: ReadonlySet<NotificationStatus> = new Set(['CLAIMED', 'SENT', 'DELIVERED', 'UNKNOWN']);

function toPlanned(visit: VisitToPlan, { notice, now }: Pick<Following, 'notice'> & Pick<Change, 'now'>): PlannedVisit {
  const [first] = visit.entries.map(({ createdAt }) => createdAt).toSorted((a, b) => Temporal.Instant.compare(a, b));
  const reminded = visit.entries.find(({ kind, status }) => kind === 'REMINDER_24H' && LEFT.has(status));
  const { status, startsAt } = visit;
  return {
    status,
    startsAt,
    notice,
    arrangedAt: first ?? now,
    remindedAt: reminded?.sentAt ?? reminded?.dueAt ?? null,
  };
}

const of = ({ entries }: VisitToPlan, kind: Kind) => entries.filter((entry) => entry.kind === kind);
const pending = (visit: VisitToPlan, kind: Kind) => of(visit, kind).filter(({ status }) => status === 'PLANNED');

/** Due later, and not tried yet: what is tried already is up to the delivery. */
function isWaiting({ status, attempts, dueAt }: Entry, now: Temporal.Instant): boolean {
  return status === 'PLANNED' && attempts === 0 && Temporal.Instant.compare(dueAt, now) > 0;
}

/** Whether the row says something new, of a message that nothing has become of yet. */
function changes(visit: VisitToPlan, row: Planned, now: Temporal.Instant): boolean {
  const entries = of(visit, row.kind);
  if (entries.some(({ status }) => LEFT.has(status) || status === 'FAILED')) return false;
  const planned = pending(visit, row.kind);
  if (planned.some((entry) => !isWaiting(entry, now))) return false;
  if (row.status === 'SKIPPED') return entries.length === 0 || planned.length > 0;
  return !planned.some(({ channel, dueAt }) => channel === visit.channel && dueAt.equals(row.dueAt));
}

/** What is not sent is not sent the way that it was planned. */
function channelOf(visit: VisitToPlan, { kind, status }: Planned): Channel {
  return status === 'SKIPPED' ? (pending(visit, kind)[0]?.channel ?? visit.channel) : visit.channel;
}

async function write(scope: Scope, steps: readonly Step[]): Promise<void> {
  const at = scope.now.toString();
  await writeSteps(scope.db, { steps: JSON.stringify(steps), at });
  const isDue = steps.some(({ rows }) =>
    rows.some(({ status, dueAt }) => status === 'PLANNED' && Temporal.Instant.compare(dueAt, scope.now) <= 0),
  );
  if (isDue) afterCommit(scope, () => scope.announce?.(DELIVERY_CHANNEL, ''));
}

const writeSteps = unansweredStatement<{ steps: string; at: string }>((db, { steps, at }) => ({
  compile: () => sql<never>`select plan_notifications(${steps}::jsonb, ${at}::timestamptz)`.compile(db),
}));
