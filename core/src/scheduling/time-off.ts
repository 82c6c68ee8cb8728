/** When a provider is away, whatever their hours say. */
import { randomUUIDv7 } from 'node:crypto';
import { sql, type Selectable } from 'kysely';
import * as audit from '#audit';
import type { Database } from '#platform/database';
import { NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Appointment, type AppointmentRow, toAppointments } from './appointment.ts';
import { NewTimeOff, TimeSpan } from './hours-input.ts';
import { lockProvider } from './hours.ts';
import { isPatient, permitRead, permitWrite } from './policy.ts';

declare module '#platform/events' {
  interface Events {
    'provider.time_off_added': { providerId: string; timeOffId: string };
    'provider.time_off_removed': { providerId: string; timeOffId: string };
  }
}

export interface TimeOff {
  readonly id: string;
  readonly providerId: string;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** For staff; null for patients. */
  readonly note: string | null;
}

/** A time off, and the visits that stand in it: somebody has to move or cancel them. */
export interface TimeOffAdded {
  readonly timeOff: TimeOff;
  readonly appointments: readonly Appointment[];
}

const TIME_OFF = { resourceType: 'TimeOff' } as const;

/**
 * Nothing can be booked in it from now on; what is booked already stays, and is in the answer.
 * Throws NotFound, InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function addTimeOff(scope: Scope, of: string, input: NewTimeOff): Promise<TimeOffAdded> {
  const { idempotencyKey: key, ...added } = parse(NewTimeOff, input);
  const action = 'timeOff.add';
  const providerId = idOf(of);
  await permitWrite(scope, { action, resourceType: 'Provider', resourceId: providerId });

  return transact(scope, async (scope) => {
    const id = await once(scope, { key, operation: action, input: { providerId, ...added } }, async () => {
      await lockProvider(scope, providerId);
      // Whoever is booking at this moment is either seen here or sees this.
      await sql`select lock_time(${[providerId]}::uuid[], '{}')`.execute(scope.db);
      const id = randomUUIDv7();
      await scope.db
        .insertInto('provider_time_off')
        .values({
          id,
          provider_id: providerId,
          starts_at: added.startsAt.toString(),
          ends_at: added.endsAt.toString(),
          note: added.note,
          created_at: scope.now.toString(),
        })
        .execute();
      await audit.record(scope, { action, ...TIME_OFF, resourceId: id });
      await emit(scope, 'provider.time_off_added', { providerId, timeOffId: id });
      return id;
    });
    const timeOff = { id, providerId, startsAt: added.startsAt, endsAt: added.endsAt, note: added.note };
    return { timeOff, appointments: await visitsWithin(scope, timeOff) };
  });
}

export const LIVE = ['SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS'] as const;

async function visitsWithin(scope: Scope, { providerId, startsAt, endsAt }: TimeOff): Promise<Appointment[]> {
  const rows = await scope.db
    .selectFrom('appointments')
    .selectAll()
    .where('provider_id', '=', providerId)
    .where('starts_at', '<', sql<Date>`${endsAt.toString()}::timestamptz`)
    // The longest visit has a day.
    .where('starts_at', '>', sql<Date>`${startsAt.subtract({ hours: 24 }).toString()}::timestamptz`)
    .where('ends_at', '>', sql<Date>`${startsAt.toString()}::timestamptz`)
    .where((eb) =>
      eb.or([
        eb('status', 'in', LIVE),
        eb('status', '=', 'HELD').and('expires_at', '>', sql<Date>`${scope.now.toString()}::timestamptz`),
      ]),
    )
    .orderBy('starts_at')
    .orderBy('id')
    .execute();
  await recordListed(scope, rows);
  return toAppointments(scope, rows);
}

/** Whose visits were shown because their provider is away. */
export async function recordListed(scope: Scope, rows: readonly AppointmentRow[]): Promise<void> {
  if (rows.length === 0) return;
  await audit.record(scope, {
    action: 'appointment.list',
    resourceType: 'Appointment',
    resourceIds: rows.map(({ id }) => id),
    patientIds: [...new Set(rows.map(({ patient_id }) => patient_id))],
  });
}

/** Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function removeTimeOff(
  scope: Scope,
  id: string,
  { idempotencyKey: key }: { readonly idempotencyKey?: string | null | undefined } = {},
): Promise<void> {
  const action = 'timeOff.remove';
  await permitWrite(scope, { action, ...TIME_OFF, resourceId: id });
  if (!isUuid(id)) throw new NotFound('Time off');

  await transact(scope, (scope) =>
    once(scope, { key, operation: action, input: { id } }, async () => {
      const { provider_id: providerId } = await scope.db
        .deleteFrom('provider_time_off')
        .where('id', '=', id)
        .returning('provider_id')
        .executeTakeFirstOrThrow(() => new NotFound('Time off'));
      await audit.record(scope, { action, ...TIME_OFF, resourceId: id });
      await emit(scope, 'provider.time_off_removed', { providerId, timeOffId: id });
      return id;
    }),
  );
}

/** Time off that has a part in the range by provider, in the order of time: one query, for loaders. Throws InvalidInput, Forbidden. */
export async function timeOffByProvider(
  scope: Scope,
  providerIds: readonly string[],
  input: TimeSpan,
): Promise<ReadonlyMap<string, readonly TimeOff[]>> {
  const { from, to } = parse(TimeSpan, input);
  await permitRead(scope, { action: 'provider.read', resourceType: 'Provider', resourceIds: providerIds });

  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('provider_time_off')
      .select(['id', 'provider_id', 'starts_at', 'ends_at'])
      .$if(!isPatient(scope.actor), (rows) => rows.select('note'))
      .where('provider_id', '=', sql<string>`any(${providerIds.filter(isUuid)}::uuid[])`)
      .where('ends_at', '>', sql<Date>`${from.toString()}::timestamptz`)
      .where('starts_at', '<', sql<Date>`${to.toString()}::timestamptz`)
      .orderBy('starts_at')
      .orderBy('id')
      .execute();
    return Map.groupBy(rows.map(toTimeOff), ({ providerId }) => providerId);
  });
}

type TimeOffRow = Pick<Selectable<Database['provider_time_off']>, 'id' | 'provider_id' | 'starts_at' | 'ends_at'>;

function toTimeOff({ id, provider_id, starts_at, ends_at, note }: TimeOffRow & { note?: string | null }): TimeOff {
  const [startsAt, endsAt] = [starts_at.toTemporalInstant(), ends_at.toTemporalInstant()];
  return { id, providerId: provider_id, startsAt, endsAt, note: note ?? null };
}
