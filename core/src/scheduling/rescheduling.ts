/** Moving a visit to another time, another length or another provider. */
import type { Updateable } from 'kysely';
import type { Database } from '#platform/database';
import { idOf, parse } from '#platform/input';
import type { Scope } from '#platform/scope';
import type { Appointment, AppointmentRow } from './appointment.ts';
import { bookablePatient, overridden, wantedBy } from './booking.ts';
import { Move } from './booking-input.ts';
import { recordChange } from './change.ts';
import { coverOfMoved, moveCover } from './coverage.ts';
import { illegal, lockAppointment, mustBeVersion, patientOf, repeatable, showingStale } from './locking.ts';
import { placeOf } from './new-row.ts';
import { mustBeInTime, permitAppointment, permitOverride } from './policy.ts';
import { isMovable } from './status.ts';
import { takingTime } from './taking-time.ts';
import type { Wanted } from './wanted.ts';

type ParsedMove = ReturnType<typeof Move.parse>;

/**
 * Moves the visit to another time, length or provider; it keeps its id, and is SCHEDULED again. When it fails, nothing
 * has changed. A patient moves their own, up to 24 hours before.
 *
 * Throws NotFound, InvalidInput, AppointmentConflict, BenefitNotCovering, IllegalTransition, TooLateToChange, StaleVersion,
 * PatientNotBookable, ProviderUnavailable, IdempotencyMismatch, Forbidden.
 */
export async function reschedule(scope: Scope, visitId: string, input: Move): Promise<Appointment> {
  const id = idOf(visitId);
  const { idempotencyKey: key, ...move } = parse(Move, input);
  const action = 'appointment.reschedule';
  await permitAppointment(scope, id, action);
  if (move.override) await permitOverride(scope);

  return showingStale(scope, () =>
    takingTime(scope, (scope, claim) =>
      repeatable(scope, { key, operation: action, input: { id, ...move } }, async () => {
        const patient = await bookablePatient(scope, await patientOf(scope, id));
        const before = await lockAppointment(scope, id);
        mustBeVersion(before, move.version);
        if (!isMovable(before)) throw illegal(scope, before, 'SCHEDULED');
        mustBeInTime(scope, before.starts_at.toTemporalInstant());
        const wanted = await wantedBy(scope, requestOf(before, move), { appointmentId: before.id });
        const overrides = await claim(scope, wanted, move.override);
        const cover = await coverOfMoved(scope, before, { wanted, acceptUncovered: move.acceptUncovered });
        const row = await write(scope, before, { wanted, set: { overrides, ...cover } });
        await moveCover(scope, before, row);
        const text = move.reason ?? (overrides.length > 0 ? move.override?.reason : null);
        await recordChange(scope, row, {
          topic: 'appointment.rescheduled',
          action,
          from: before.status,
          changedFields: [...differences(before, row), ...overridden(overrides)],
          previousProviderId: before.provider_id,
          reason: text ? { text, key: patient.key } : null,
        });
        return row;
      }),
    ),
  );
}

/** What the move leaves out stays: a visit with another provider takes over that one's zone. */
function requestOf(before: AppointmentRow, move: ParsedMove) {
  const samePlace = !move.providerId || move.providerId === before.provider_id;
  const { startsAt, localStart } = move;
  return {
    ...move,
    patientId: before.patient_id,
    service: before.service,
    providerId: move.providerId ?? before.provider_id,
    minutes: move.minutes ?? (before.ends_at.getTime() - before.starts_at.getTime()) / 60_000,
    timeZone: move.timeZone ?? (samePlace ? before.time_zone : null),
    startsAt: startsAt ?? (localStart ? null : before.starts_at.toTemporalInstant()),
  };
}

function write(
  { db, now }: Scope,
  before: AppointmentRow,
  { wanted, set }: { wanted: Wanted; set: Updateable<Database['appointments']> },
): Promise<AppointmentRow> {
  return db
    .updateTable('appointments')
    .set({ ...placeOf(wanted), status: 'SCHEDULED', ...set })
    .set({ version: before.version + 1, revision: before.revision + 1, updated_at: now.toString() })
    .where('id', '=', before.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

const FIELDS = {
  providerId: 'provider_id',
  startsAt: 'starts_at',
  endsAt: 'ends_at',
  timeZone: 'time_zone',
  status: 'status',
} as const;

function differences(before: AppointmentRow, after: AppointmentRow): string[] {
  return Object.entries(FIELDS).flatMap(([field, column]) =>
    before[column].valueOf() === after[column].valueOf() ? [] : [field],
  );
}
