/** What becomes of a visit: confirmed, checked in, started, completed, missed, cancelled; and what was noted wrongly. */
import * as audit from '#audit';
import type { PatientKey } from '#care';
import { InvalidInput } from '#platform/errors';
import { idOf, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { Appointment, AppointmentRow, AppointmentStatus, CancellationReason } from './appointment.ts';
import { notesOf } from './appointment.ts';
import { becomeVisit, bookablePatient, overridden } from './booking.ts';
import { Cancellation, type Override, StatusChange, Step, Update } from './booking-input.ts';
import { loadRules } from './calendar.ts';
import { type AppointmentTopic, recordChange } from './change.ts';
import { coverOfMended } from './coverage.ts';
import { HoldExpired } from './errors.ts';
import {
  illegal,
  keyFor,
  lockAppointment,
  mustBeVersion,
  patientOf,
  repeatable,
  showingStale,
  visitOf,
} from './locking.ts';
import { isPatient, mustBeInTime, permitAppointment, permitOverride, permitStaff } from './policy.ts';
import { findProvidersByIds, type Provider } from './provider.ts';
import { allowedMoves, hasLapsed, isCorrection, isPatientsMove, takesTime } from './status.ts';
import { type Claim, takingTime } from './taking-time.ts';
import type { Wanted } from './wanted.ts';
import { MINUTE } from './zone.ts';

/** The patient comes. Throws as {@link changeStatus}. */
export const confirm = (scope: Scope, id: string, step: Step = {}): Promise<Appointment> =>
  stepTo(scope, id, { ...parse(Step, step), to: 'CONFIRMED' });
/** The patient is here. Staff only. Throws as {@link changeStatus}. */
export const checkIn = (scope: Scope, id: string, step: Step = {}): Promise<Appointment> =>
  stepTo(scope, id, { ...parse(Step, step), to: 'CHECKED_IN' });
/** The visit has begun. Staff only. Throws as {@link changeStatus}. */
export const start = (scope: Scope, id: string, step: Step = {}): Promise<Appointment> =>
  stepTo(scope, id, { ...parse(Step, step), to: 'IN_PROGRESS' });
/** The visit is over. Staff only. Throws as {@link changeStatus}. */
export const complete = (scope: Scope, id: string, step: Step = {}): Promise<Appointment> =>
  stepTo(scope, id, { ...parse(Step, step), to: 'COMPLETED' });
/** The patient did not come: 15 minutes after the start at the earliest. Staff only. Throws as {@link changeStatus}. */
export const markNoShow = (scope: Scope, id: string, step: Step = {}): Promise<Appointment> =>
  stepTo(scope, id, { ...parse(Step, step), to: 'NO_SHOW' });

/** Calls the visit off, or gives a hold up, for a coded reason and in words. Throws as {@link changeStatus}. */
export function cancel(scope: Scope, id: string, cancellation: Cancellation): Promise<Appointment> {
  const { reason: cancellationReason, note: reason, ...step } = parse(Cancellation, cancellation);
  return stepTo(scope, id, { ...step, to: 'CANCELLED', reason, cancellationReason });
}

/**
 * Makes any move of the status machine. Corrections, up to 30 days after the visit, need a reason, and CANCELLED a
 * coded one. What takes time again asks for it like a new booking, but for the rules about how early one books. A
 * patient confirms, and cancels up to 24 hours before.
 *
 * Throws NotFound, InvalidInput, IllegalTransition, HoldExpired, AppointmentConflict, BenefitNotCovering, TooLateToChange, StaleVersion,
 * PatientNotBookable, IdempotencyMismatch, Forbidden.
 */
export function changeStatus(scope: Scope, id: string, change: StatusChange): Promise<Appointment> {
  const { status: to, ...step } = parse(StatusChange, change);
  return stepTo(scope, id, { ...step, to });
}

interface To {
  readonly to: AppointmentStatus;
  readonly reason: string | null;
  readonly cancellationReason?: CancellationReason | null;
  readonly acceptUncovered?: boolean | undefined;
  readonly override?: Override | null | undefined;
  readonly version?: number | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

const NAMES: Readonly<Record<AppointmentStatus, { action: string; topic: AppointmentTopic }>> = {
  HELD: { action: 'appointment.hold', topic: 'appointment.held' },
  SCHEDULED: { action: 'appointment.schedule', topic: 'appointment.scheduled' },
  CONFIRMED: { action: 'appointment.confirm', topic: 'appointment.confirmed' },
  CHECKED_IN: { action: 'appointment.checkIn', topic: 'appointment.checked_in' },
  IN_PROGRESS: { action: 'appointment.start', topic: 'appointment.started' },
  COMPLETED: { action: 'appointment.complete', topic: 'appointment.completed' },
  CANCELLED: { action: 'appointment.cancel', topic: 'appointment.cancelled' },
  NO_SHOW: { action: 'appointment.markNoShow', topic: 'appointment.missed' },
};

async function stepTo(scope: Scope, visitId: string, { idempotencyKey: key, ...step }: To): Promise<Appointment> {
  const id = idOf(visitId);
  const { action } = NAMES[step.to];
  await permitAppointment(scope, id, action);
  await permitMove(scope, id, step.to);
  if (step.override) await permitOverride(scope);

  return showingStale(scope, () =>
    takingTime(scope, (scope, claim) =>
      repeatable(scope, { key, operation: action, input: { id, ...step } }, async () => {
        if (step.to === 'SCHEDULED') await bookablePatient(scope, await patientOf(scope, id));
        const row = await lockAppointment(scope, id);
        mustBeVersion(row, step.version);
        mustBeAllowed(scope, row, step);
        if (row.status === 'HELD' && step.to === 'SCHEDULED') return becomeVisit(scope, row, null);
        const overrides = takesTime(row.status, step.to) ? await takeBack(scope, row, { claim, step }) : null;
        return write(scope, row, { ...step, overrides });
      }),
    ),
  );
}

/** Patients confirm and cancel; the rest is for staff. */
async function permitMove(scope: Scope, id: string, to: AppointmentStatus): Promise<void> {
  const allowed = !isPatient(scope.actor) || isPatientsMove(to);
  await audit.permit(scope, allowed, { action: NAMES[to].action, resourceType: 'Appointment', resourceId: id });
}

function mustBeAllowed(scope: Scope, row: AppointmentRow, { to, reason }: To): void {
  const visit = visitOf(row);
  const byPatient = isPatient(scope.actor);
  const { expiresAt } = visit;
  if (row.status === 'HELD' && to === 'SCHEDULED' && expiresAt && hasLapsed(expiresAt, scope.now)) {
    throw new HoldExpired(expiresAt);
  }
  if (!allowedMoves(visit, { now: scope.now, byPatient }).includes(to)) throw illegal(scope, row, to);
  if (to === 'CANCELLED' && row.status !== 'HELD') mustBeInTime(scope, visit.startsAt);
  if (isCorrection(row.status, to) && reason === null) {
    throw new InvalidInput([{ path: ['reason'], message: 'expected a reason for the correction' }]);
  }
}

async function write(
  scope: Scope,
  before: AppointmentRow,
  {
    to,
    reason,
    cancellationReason,
    overrides,
    acceptUncovered,
  }: To & { overrides: AppointmentRow['overrides'] | null },
): Promise<AppointmentRow> {
  const mends = isCorrection(before.status, to);
  const cover = await coverOfMended(scope, before, { to, acceptUncovered });
  const row = await scope.db
    .updateTable('appointments')
    .set({ status: to, cancellation_reason: to === 'CANCELLED' ? (cancellationReason ?? null) : null })
    .set({ version: before.version + 1, updated_at: scope.now.toString(), ...cover })
    // Whatever was planned for it before is over: it is arranged anew.
    .$if(to === 'SCHEDULED', (update) => update.set({ revision: before.revision + 1 }))
    .$if(overrides !== null, (update) => update.set({ overrides: overrides ?? [] }))
    .where('id', '=', before.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const { action, topic } = mends
    ? ({ action: 'appointment.correct', topic: 'appointment.corrected' } as const)
    : NAMES[to];
  const changedFields = [
    'status',
    ...(row.cancellation_reason === before.cancellation_reason ? [] : ['cancellationReason']),
    ...overridden(overrides ?? []),
  ];
  const words = reason === null ? null : { text: reason, key: await keyFor(scope, row) };
  await recordChange(scope, row, { topic, action, from: before.status, changedFields, reason: words });
  return row;
}

/** Claims the time that the visit had, with the buffers that it had. Returns the rules that are broken on purpose. */
async function takeBack(scope: Scope, row: AppointmentRow, { claim, step }: { claim: Claim; step: To }) {
  const provider = (await findProvidersByIds(scope, [row.provider_id])).get(row.provider_id) as Provider;
  const wanted: Wanted = {
    patientId: row.patient_id,
    provider,
    rules: {
      ...(await loadRules(scope, row.service)),
      bufferBeforeMinutes: (row.starts_at.getTime() - row.blocks_from.getTime()) / MINUTE,
      bufferAfterMinutes: (row.blocks_until.getTime() - row.ends_at.getTime()) / MINUTE,
    },
    startsAt: row.starts_at.toTemporalInstant(),
    endsAt: row.ends_at.toTemporalInstant(),
    blocksFrom: row.blocks_from.toTemporalInstant(),
    blocksUntil: row.blocks_until.toTemporalInstant(),
    timeZone: row.time_zone,
    appointmentId: row.id,
    takenBack: true,
  };
  return claim(scope, wanted, step.override ?? null);
}

/** Changes the notes. Staff only. Throws NotFound, InvalidInput, StaleVersion, IdempotencyMismatch, Forbidden. */
export async function update(scope: Scope, visitId: string, input: Update): Promise<Appointment> {
  const id = idOf(visitId);
  const { idempotencyKey, ...changes } = parse(Update, input);
  const action = 'appointment.update';
  await permitStaff(scope, action, id);

  const of = { key: idempotencyKey, operation: action, input: { id, ...changes } };
  return showingStale(scope, () =>
    transact(scope, (scope) =>
      repeatable(scope, of, async () => {
        const before = await lockAppointment(scope, id);
        mustBeVersion(before, changes.version);
        const key = await keyFor(scope, before);
        if (notesIn(before, key) === changes.notes) return before;
        const row = await scope.db
          .updateTable('appointments')
          .set({ notes: changes.notes === null ? null : key.seal(notesOf(id), changes.notes) })
          .set({ version: before.version + 1, updated_at: scope.now.toString() })
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow();
        const change = { topic: 'appointment.updated', action, from: row.status, changedFields: ['notes'] } as const;
        await recordChange(scope, row, change);
        return row;
      }),
    ),
  );
}

const notesIn = ({ id, notes }: AppointmentRow, key: PatientKey): string | null =>
  notes === null ? null : key.open(notesOf(id), notes);
