/** Booking a visit, at once or by way of a hold. */
import { randomUUIDv7 } from 'node:crypto';
import * as care from '#care';
import { together } from '#platform/database';
import { InvalidInput, NotFound } from '#platform/errors';
import { parse } from '#platform/input';
import type { Scope } from '#platform/scope';
import { type Appointment, type AppointmentRow, notesOf } from './appointment.ts';
import { Booking, HoldRequest, type Override, type ParsedBooking, startOf, type When } from './booking-input.ts';
import { loadRules } from './calendar.ts';
import { recordChange } from './change.ts';
import type { ConflictRule } from './conflict.ts';
import { coverFor } from './coverage.ts';
import { HoldExpired, PatientNotBookable, ProviderUnavailable, TooManyHolds } from './errors.ts';
import { illegal, lockAppointment, repeatable } from './locking.ts';
import { insert } from './new-row.ts';
import { isPatient, permitOverride, permitPatient } from './policy.ts';
import { findProvidersByIds, type Provider } from './provider.ts';
import type { CareServiceType } from './speciality.ts';
import { hasLapsed } from './status.ts';
import { type Claim, takingTime } from './taking-time.ts';
import type { Wanted } from './wanted.ts';

/**
 * Keeps a time for some minutes, three unless told otherwise, in which nobody else can have it; then it lapses. A
 * patient can keep three times at once. Throws NotFound, BenefitNotCovering, InvalidInput, AppointmentConflict, TooManyHolds,
 * PatientNotBookable, ProviderUnavailable, IdempotencyMismatch, Forbidden.
 */
export async function hold(scope: Scope, input: HoldRequest): Promise<Appointment> {
  const { idempotencyKey: key, ...request } = parse(HoldRequest, input);
  const action = 'appointment.hold';
  await permitPatient(scope, request.patientId, action);

  return takingTime(scope, (scope, claim) =>
    repeatable(scope, { key, operation: action, input: request }, async () => {
      const [, wanted] = await together([bookablePatient(scope, request.patientId), wantedBy(scope, request)]);
      await claim(scope, wanted);
      await mustHaveHoldsLeft(scope, request.patientId);
      const expiresAt = scope.now.add({ minutes: request.expiresInMinutes }).toString();
      const cover = await coverFor(scope, wanted, request.acceptUncovered);
      const held = { status: 'HELD', expires_at: expiresAt, held_by: scope.actor.id, ...cover } as const;
      const row = await insert(scope, wanted, held);
      await recordChange(scope, row, { topic: 'appointment.held', action, from: null, changedFields: PLACED });
      return row;
    }),
  );
}

const MAX_HOLDS = 3;

/** Of a patient; whoever else counts waits for the lock on the patient's time. Throws {@link TooManyHolds}. */
async function mustHaveHoldsLeft({ actor, db, now }: Scope, patientId: string): Promise<void> {
  if (!isPatient(actor)) return;
  const held = await db
    .selectFrom('appointments')
    .select('id')
    .where('patient_id', '=', patientId)
    .where('held_by', '=', actor.id)
    .where('status', '=', 'HELD')
    .where('expires_at', '>', new Date(now.epochMilliseconds))
    .limit(MAX_HOLDS)
    .execute();
  if (held.length === MAX_HOLDS) throw new TooManyHolds(MAX_HOLDS);
}

/**
 * Books a visit: at an instant, at a time on a wall clock, or by turning a hold into it, which keeps its id. Of a local
 * time that there is twice the earlier is meant, unless told otherwise.
 *
 * Throws NotFound, InvalidInput (also for a local time that clocks skip, with its neighbours), AppointmentConflict,
 * BenefitNotCovering, HoldExpired, IllegalTransition (no hold any more), PatientNotBookable, ProviderUnavailable, IdempotencyMismatch,
 * Forbidden.
 */
export async function schedule(scope: Scope, input: Booking): Promise<Appointment> {
  const { idempotencyKey: key, ...booking } = parse(Booking, input);
  const action = 'appointment.schedule';
  await permitPatient(scope, booking.patientId, action);
  if (booking.override) await permitOverride(scope);

  const of = { key, operation: action, input: booking };
  return takingTime(scope, (scope, claim) =>
    repeatable(scope, of, () => (booking.holdId ? confirmHold(scope, booking) : book(scope, booking, claim))),
  );
}

/** What a new row says, for the audit trail. */
const PLACED = ['providerId', 'service', 'startsAt', 'endsAt', 'status'];

async function book(scope: Scope, booking: ParsedBooking, claim: Claim): Promise<AppointmentRow> {
  const [{ key }, wanted] = await together([bookablePatient(scope, booking.patientId), wantedBy(scope, booking)]);
  const overrides = await claim(scope, wanted, booking.override);
  return place(scope, wanted, {
    notes: booking.notes,
    key,
    overrides,
    acceptUncovered: booking.acceptUncovered,
    reason: reasonFor(overrides, booking.override, key),
  });
}

export interface Placement {
  readonly notes: string | null;
  readonly key: care.PatientKey;
  readonly overrides?: ConflictRule[];
  readonly reason?: { readonly text: string; readonly key: care.PatientKey } | null;
  readonly seriesId?: string;
  readonly acceptUncovered: boolean | undefined;
}

/** Puts a new visit at a time that has been claimed. */
export async function place(scope: Scope, wanted: Wanted, placement: Placement): Promise<AppointmentRow> {
  const { key, overrides = [], reason = null, seriesId = null } = placement;
  const id = randomUUIDv7();
  const notes = placement.notes === null ? null : key.seal(notesOf(id), placement.notes);
  const cover = await coverFor(scope, wanted, placement.acceptUncovered);
  const visit = { id, status: 'SCHEDULED', notes, overrides, series_id: seriesId, ...cover } as const;
  const row = await insert(scope, wanted, visit);
  await recordChange(scope, row, {
    topic: 'appointment.scheduled',
    action: 'appointment.schedule',
    from: null,
    changedFields: [...PLACED, ...(notes ? ['notes'] : []), ...overridden(overrides)],
    reason,
  });
  return row;
}

async function confirmHold(scope: Scope, booking: ParsedBooking): Promise<AppointmentRow> {
  const { key } = await bookablePatient(scope, booking.patientId);
  const held = await lockAppointment(scope, booking.holdId as string, 'Hold');
  mustBeOwn(scope, held);
  mustBeOf(held, booking);
  mustBeHeld(scope, held);
  return becomeVisit(scope, held, booking.notes === null ? null : key.seal(notesOf(held.id), booking.notes));
}

/** Turns the hold, whose time is its own already, into the visit; it keeps its id. */
export async function becomeVisit(scope: Scope, held: AppointmentRow, notes: Buffer | null): Promise<AppointmentRow> {
  const row = await scope.db
    .updateTable('appointments')
    .set({ status: 'SCHEDULED', expires_at: null, held_by: null, version: held.version + 1 })
    .set({ notes: notes ?? held.notes, updated_at: scope.now.toString() })
    .where('id', '=', held.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await recordChange(scope, row, {
    topic: 'appointment.scheduled',
    action: 'appointment.schedule',
    from: 'HELD',
    changedFields: ['status', ...(notes === null ? [] : ['notes'])],
  });
  return row;
}

/** Staff may turn any hold into a visit, a patient the one they made. */
function mustBeOwn({ actor }: Scope, held: AppointmentRow): void {
  if (held.status === 'HELD' && isPatient(actor) && held.held_by !== actor.id) throw new NotFound('Hold');
}

function mustBeOf(held: AppointmentRow, booking: ParsedBooking): void {
  const startsAt = held.starts_at.toTemporalInstant();
  const same =
    held.patient_id === booking.patientId &&
    held.provider_id === booking.providerId &&
    held.service === booking.service &&
    (!(booking.startsAt || booking.localStart) || startOf(booking, held.time_zone).startsAt.equals(startsAt)) &&
    (!booking.minutes || startsAt.add({ minutes: booking.minutes }).equals(held.ends_at.toTemporalInstant()));
  if (!same) {
    const message = 'expected a hold of this patient, provider, service and time';
    throw new InvalidInput([{ path: ['holdId'], message }]);
  }
}

/** Throws {@link HoldExpired} also when that was noted already, {@link IllegalTransition} when it is no hold any more. */
function mustBeHeld(scope: Scope, held: AppointmentRow): void {
  const expiresAt = held.expires_at?.toTemporalInstant() ?? null;
  const lapsed = held.status === 'CANCELLED' && held.cancellation_reason === 'EXPIRED';
  const late = held.status === 'HELD' && hasLapsed(expiresAt, scope.now);
  if (expiresAt && (lapsed || late)) throw new HoldExpired(expiresAt);
  if (held.status !== 'HELD') throw illegal(scope, held, 'SCHEDULED');
}

/** Held as they are until the transaction ends. */
export async function bookablePatient(scope: Scope, id: string): Promise<care.Standing> {
  const patient = await care.holdPatient(scope, id);
  if (patient.status !== 'ACTIVE') throw new PatientNotBookable(patient.status);
  return patient;
}

interface VisitRequest extends When {
  readonly patientId: string;
  readonly providerId: string;
  readonly service: CareServiceType;
}

/** The time that is asked for, with the provider's zone and the rules of the service. */
export async function wantedBy(
  scope: Scope,
  request: VisitRequest,
  { appointmentId = null, takenBack = false }: Partial<Pick<Wanted, 'appointmentId' | 'takenBack'>> = {},
): Promise<Wanted> {
  const { service } = request;
  const [provider, rules] = await together([
    bookableProvider(scope, request.providerId, service),
    loadRules(scope, service),
  ]);
  const { startsAt, timeZone } = startOf(request, provider.timeZone);
  const endsAt = startsAt.add({ minutes: request.minutes ?? rules.minutes });
  return {
    patientId: request.patientId,
    provider,
    rules,
    startsAt,
    endsAt,
    blocksFrom: startsAt.subtract({ minutes: rules.bufferBeforeMinutes }),
    blocksUntil: endsAt.add({ minutes: rules.bufferAfterMinutes }),
    timeZone,
    appointmentId,
    takenBack,
  };
}

async function bookableProvider(scope: Scope, id: string, service: CareServiceType): Promise<Provider> {
  const provider = (await findProvidersByIds(scope, [id])).get(id);
  if (!provider) throw new NotFound('Provider');
  if (!provider.active) throw new ProviderUnavailable('INACTIVE', service);
  if (!provider.services.includes(service)) throw new ProviderUnavailable('SERVICE_NOT_OFFERED', service);
  return provider;
}

/** The rules that were broken on purpose, as changed fields of the audit trail. */
export const overridden = (overrides: readonly ConflictRule[]): string[] =>
  overrides.map((rule) => `overrides.${rule}`);

/** Why rules were broken; nothing where none had to be. */
export function reasonFor(
  overrides: readonly ConflictRule[],
  override: Override | null | undefined,
  key: care.PatientKey,
): { text: string; key: care.PatientKey } | null {
  return overrides.length > 0 && override ? { text: override.reason, key } : null;
}
