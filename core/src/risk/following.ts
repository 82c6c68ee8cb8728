/**
 * Follows the events: scores what they concern, at most a second behind, and not in the transaction of the change.
 *
 * The number of the last event that was followed moves in the transaction that writes the scores, so whatever dies in
 * between is done again and nothing is left out; the lock on it lets one process at a time follow.
 */
import { type Event, eventsAfter } from '#platform/events';
import { type Scope, transact } from '#platform/scope';
import type { AppointmentChanged } from '#scheduling';
import { visitsAhead } from './facts.ts';
import { modelsInUse } from './models.ts';
import { scoreVisits, takeOff } from './scoring.ts';

const BATCH = 500;

/** What came of a visit is history for the patient's other ones, and a new one may share their day. */
const CONCERN_OTHERS: ReadonlySet<string> = new Set([
  'appointment.scheduled',
  'appointment.rescheduled',
  'appointment.completed',
  'appointment.missed',
  'appointment.cancelled',
  'appointment.corrected',
]);

/** Scores what the events since the last time concern, if any. For the system. */
export async function followEvents(scope: Scope): Promise<void> {
  for (;;) if (!(await transact(scope, followBatch))) return;
}

/** Returns whether there may be more. */
async function followBatch(scope: Scope): Promise<boolean> {
  const cursor = await scope.db
    .selectFrom('risk_cursor')
    .select('sequence')
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  if (cursor === undefined) return false;
  const events = await eventsAfter(scope, cursor.sequence, BATCH);
  const last = events.at(-1);
  if (last === undefined) return false;
  await follow(scope, events);
  await scope.db.updateTable('risk_cursor').set({ sequence: last.sequence }).execute();
  return events.length === BATCH;
}

async function follow(scope: Scope, events: readonly Event[]): Promise<void> {
  const about = events.filter(isOfVisit);
  if (about.length === 0) return;
  const visits = [...new Set(about.map(({ payload }) => payload.appointmentId))];
  const patients = [
    ...new Set(about.filter(({ topic }) => CONCERN_OTHERS.has(topic)).map(({ payload }) => payload.patientId)),
  ];
  const at = latest(scope.now, events);
  const ahead = await visitsAhead(scope, { visits, patients }, at);
  const models = await modelsInUse(scope);
  await scoreVisits(scope, ahead, { at, models });
  const still = new Set(ahead);
  await takeOff(
    scope,
    visits.filter((id) => !still.has(id)),
  );
}

/** Of a visit, or of a message about one. */
function isOfVisit(event: Event): event is Event & { readonly payload: AppointmentChanged } {
  return 'appointmentId' in event.payload && typeof event.payload.appointmentId === 'string';
}

/** Another process's clock may be ahead of ours; what it has seen has happened. */
function latest(now: Temporal.Instant, events: readonly Event[]): Temporal.Instant {
  return events.reduce(
    (latest, { occurredAt }) => (Temporal.Instant.compare(occurredAt, latest) > 0 ? occurredAt : latest),
    now,
  );
}
