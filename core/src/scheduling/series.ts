/** Visits that repeat: seen before they are booked, booked all or none. */
import { randomUUIDv7 } from 'node:crypto';
import * as audit from '#audit';
import { InvalidInput } from '#platform/errors';
import { once } from '#platform/idempotency';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Appointment, toAppointments } from './appointment.ts';
import { bookablePatient, place, wantedBy } from './booking.ts';
import type { Occurrence } from './conflict.ts';
import { conflictsWith } from './conflicts.ts';
import { AppointmentConflict, SeriesConflict } from './errors.ts';
import { toInstant } from './local-time.ts';
import { permitPatient } from './policy.ts';
import { occurrencesOf } from './recurrence.ts';
import { type ParsedSeries, SeriesRequest } from './series-input.ts';
import { takingTime } from './taking-time.ts';
import type { Wanted } from './wanted.ts';

/**
 * The visits that the series would have, each with what stands in its way. Books and holds nothing.
 * Throws InvalidInput, NotFound, Forbidden, PatientNotBookable, ProviderUnavailable.
 */
export async function previewSeries(scope: Scope, input: SeriesRequest): Promise<Occurrence[]> {
  const request = parse(SeriesRequest, input);
  await permitPatient(scope, request.patientId, 'appointment.previewSeries');

  return transact(scope, async (scope) => {
    await bookablePatient(scope, request.patientId);
    const { patientId } = request;
    await audit.record(scope, {
      action: 'appointment.previewSeries',
      resourceType: 'Appointment',
      patientIds: [patientId],
    });
    return occurrencesAgainst(scope, await visitsOf(scope, request));
  });
}

async function occurrencesAgainst(scope: Scope, visits: readonly Wanted[]): Promise<Occurrence[]> {
  const occurrences: Occurrence[] = [];
  for (const visit of visits) {
    const { startsAt, endsAt, timeZone } = visit;
    occurrences.push({ startsAt, endsAt, timeZone, conflicts: await conflictsWith(scope, visit) });
  }
  return occurrences;
}

/**
 * Books all visits of the series or none, at the same wall-clock time each. A repeat of the key answers with the visits as they
 * stand by now. Throws {@link SeriesConflict}, {@link AppointmentConflict}, InvalidInput, NotFound, Forbidden, PatientNotBookable,
 * ProviderUnavailable, IdempotencyMismatch.
 */
export async function scheduleSeries(scope: Scope, input: SeriesRequest): Promise<Appointment[]> {
  const { idempotencyKey: key, ...request } = parse(SeriesRequest, input);
  const action = 'appointment.scheduleSeries';
  await permitPatient(scope, request.patientId, action);

  const booking = takingTime(scope, async (scope, claim) => {
    const seriesId = await once(scope, { key, operation: action, input: request }, async () => {
      const { key } = await bookablePatient(scope, request.patientId);
      const visits = await visitsOf(scope, request);
      const id = await newSeries(scope, request);
      for (const wanted of visits) {
        await claim(scope, wanted);
        await place(scope, wanted, {
          notes: request.notes,
          key,
          seriesId: id,
          acceptUncovered: request.acceptUncovered,
        });
      }
      return id;
    });
    return visitsOfSeries(scope, seriesId);
  });
  return booking.catch(async (thrown: unknown) => {
    if (!(thrown instanceof AppointmentConflict)) throw thrown;
    // The first conflict ended the booking; the caller is told of all, unless what was in the way has gone meanwhile.
    const blocked = (await previewSeries(scope, input)).filter(({ conflicts }) => conflicts.length > 0);
    throw blocked.length > 0 ? new SeriesConflict(blocked) : thrown;
  });
}

/** The times of the visits. Throws InvalidInput with every date on which the clocks skip the time. */
async function visitsOf(scope: Scope, request: Omit<ParsedSeries, 'idempotencyKey'>): Promise<Wanted[]> {
  const { localStart, everyWeeks, weekdays, count, except } = request;
  const template = await wantedBy(scope, { ...request, localStart: null, startsAt: scope.now });
  const timeZone = request.timeZone ?? template.provider.timeZone;
  const times = occurrencesOf({ firstOn: localStart, timeZone, everyWeeks, weekdays, count, except });
  if (times.length === 0) throw new InvalidInput([{ path: ['except'], message: 'leaves no visit' }]);
  return toInstants(times, timeZone).map((startsAt) => movedTo(template, startsAt));
}

function toInstants(times: readonly Temporal.PlainDateTime[], timeZone: string): Temporal.Instant[] {
  const issues: InvalidInput['issues'][number][] = [];
  const instants = times.flatMap((local) => {
    try {
      return toInstant({ local, timeZone, disambiguation: 'EARLIER' });
    } catch (thrown) {
      if (!(thrown instanceof InvalidInput)) throw thrown;
      issues.push(
        ...thrown.issues.map(({ path, message }) => ({
          path,
          message: `${local.toPlainDate().toString()}: ${message}`,
        })),
      );
      return [];
    }
  });
  if (issues.length > 0) throw new InvalidInput(issues);
  return instants;
}

/** The same visit at another time, as long, with the same buffers. */
export function movedTo(wanted: Wanted, startsAt: Temporal.Instant): Wanted {
  const by = wanted.startsAt.until(startsAt);
  const moved = (at: Temporal.Instant) => at.add(by);
  const { endsAt, blocksFrom, blocksUntil } = wanted;
  return {
    ...wanted,
    startsAt,
    endsAt: moved(endsAt),
    blocksFrom: moved(blocksFrom),
    blocksUntil: moved(blocksUntil),
  };
}

async function newSeries(scope: Scope, request: Omit<ParsedSeries, 'idempotencyKey'>): Promise<string> {
  const { patientId, localStart, timeZone, minutes, everyWeeks, weekdays, count, except } = request;
  const id = randomUUIDv7();
  const rule = { localStart, timeZone, minutes, everyWeeks, weekdays, count, except };
  await scope.db
    .insertInto('appointment_series')
    .values({ id, patient_id: patientId, created_at: scope.now.toString(), rule: JSON.stringify(rule) })
    .execute();
  return id;
}

/** The visits of the series as they stand, in order. */
export async function visitsOfSeries(scope: Scope, seriesId: string): Promise<Appointment[]> {
  const rows = await scope.db
    .selectFrom('appointments')
    .selectAll()
    .where('series_id', '=', seriesId)
    .orderBy('starts_at')
    .execute();
  return toAppointments(scope, rows);
}
