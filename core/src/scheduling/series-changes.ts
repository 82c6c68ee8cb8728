/** Changing or calling off one visit of a series, it and those after it, or all: as a whole or not at all. */
import * as audit from '#audit';
import * as care from '#care';
import { InvalidInput } from '#platform/errors';
import { once } from '#platform/idempotency';
import { idOf, parse } from '#platform/input';
import { atOnce, type Scope, transact } from '#platform/scope';
import { type Appointment, toAppointments } from './appointment.ts';
import type { Occurrence } from './conflict.ts';
import { AppointmentConflict, SeriesConflict } from './errors.ts';
import { toInstant } from './local-time.ts';
import { lockAppointment, lockWithSeries, patientOf } from './locking.ts';
import { cancel } from './moves.ts';
import { permitAppointment } from './policy.ts';
import { reschedule } from './rescheduling.ts';
import { visitsOfSeries } from './series.ts';
import { SeriesCancellation, SeriesMove, type SeriesPart } from './series-input.ts';
import { isMovable } from './status.ts';

/**
 * Moves the visit that `id` names and, if asked, the others of its series with it: by as many days, to the same time
 * on the wall, to the same provider. Answers with the series as it then stands. A repeat of the key changes nothing.
 *
 * Throws NotFound, InvalidInput, {@link SeriesConflict}, IllegalTransition, TooLateToChange, PatientNotBookable,
 * ProviderUnavailable, IdempotencyMismatch, Forbidden.
 */
export async function rescheduleSeries(scope: Scope, visitId: string, input: SeriesMove): Promise<Appointment[]> {
  const id = idOf(visitId);
  const { part, idempotencyKey, ...move } = parse(SeriesMove, input);
  const action = 'appointment.rescheduleSeries';
  await permitAppointment(scope, id, action);

  const of = { key: idempotencyKey, operation: action, input: { id, part, ...move } };
  return wholly(scope, { id, part, once: of }, async (scope, visits, named) => {
    const blocked: Occurrence[] = [];
    for (const { visit, startsAt } of inOrder(placed(visits, named, move))) {
      try {
        await reschedule(scope, visit.id, { ...move, localStart: null, startsAt });
      } catch (thrown) {
        if (!(thrown instanceof AppointmentConflict)) throw thrown;
        const endsAt = startsAt.add({ minutes: move.minutes ?? visit.minutes });
        const timeZone = move.timeZone ?? visit.timeZone;
        blocked.push({ startsAt, endsAt, timeZone, conflicts: thrown.conflicts });
      }
    }
    if (blocked.length > 0) throw new SeriesConflict(blocked);
  });
}

/**
 * Calls off the visit that `id` names and, if asked, others of its series. Answers with the series as it then stands.
 * Throws NotFound, InvalidInput, IllegalTransition, TooLateToChange, IdempotencyMismatch, Forbidden.
 */
export async function cancelSeries(scope: Scope, visitId: string, input: SeriesCancellation): Promise<Appointment[]> {
  const id = idOf(visitId);
  const { part, idempotencyKey, ...cancellation } = parse(SeriesCancellation, input);
  const action = 'appointment.cancelSeries';
  await permitAppointment(scope, id, action);

  const of = { key: idempotencyKey, operation: action, input: { id, part, ...cancellation } };
  return wholly(scope, { id, part, once: of }, async (scope, visits) => {
    for (const visit of visits) await cancel(scope, visit.id, cancellation);
  });
}

interface Chosen {
  readonly id: string;
  readonly part: SeriesPart;
  readonly once: { readonly key: string | null | undefined; readonly operation: string; readonly input: unknown };
}

type Change = (scope: Scope, visits: readonly Appointment[], named: Appointment) => Promise<void>;

/** Each change is one of the visit itself, with its own history and event; one that fails undoes all. */
function wholly(scope: Scope, { id, part, once: of }: Chosen, change: Change): Promise<Appointment[]> {
  return transact(scope, async (scope) => {
    await once(scope, of, async () => {
      await care.holdPatient(scope, await patientOf(scope, id));
      await lockWithSeries(scope, id);
      const named = await theVisit(scope, id);
      const visits = await chosen(scope, named, part);
      await atOnce(scope, (scope) => change(scope, visits, named));
      return id;
    });
    const { seriesId } = await theVisit(scope, id);
    const visits = seriesId === null ? [await theVisit(scope, id)] : await visitsOfSeries(scope, seriesId);
    await audit.record(scope, {
      action: 'appointment.list',
      resourceType: 'Appointment',
      resourceIds: visits.map((visit) => visit.id),
      patientIds: visits.slice(0, 1).map(({ patientId }) => patientId),
    });
    return visits;
  });
}

async function theVisit(scope: Scope, id: string): Promise<Appointment> {
  const [visit] = await toAppointments(scope, [await lockAppointment(scope, id)]);
  return visit as Appointment;
}

/** The visit that is named in any case, so that its own refusal is told; of the others those still ahead. */
async function chosen(scope: Scope, named: Appointment, part: SeriesPart): Promise<Appointment[]> {
  if (part === 'THIS') return [named];
  if (named.seriesId === null) throw new InvalidInput([{ path: ['part'], message: 'expected a visit of a series' }]);
  const from = part === 'ALL' ? scope.now : named.startsAt;
  return (await visitsOfSeries(scope, named.seriesId)).filter(
    (visit) =>
      visit.id === named.id ||
      (isMovable(visit) &&
        Temporal.Instant.compare(visit.startsAt, from) > 0 &&
        Temporal.Instant.compare(visit.startsAt, scope.now) > 0),
  );
}

interface Placed {
  readonly visit: Appointment;
  readonly startsAt: Temporal.Instant;
}

type Place = Pick<ReturnType<typeof SeriesMove.parse>, 'localStart' | 'timeZone'>;

/** Where each goes: as many days away as the one that is named, at the same time on the wall. */
function placed(visits: readonly Appointment[], named: Appointment, { localStart, timeZone }: Place): Placed[] {
  if (!localStart) return visits.map((visit) => ({ visit, startsAt: visit.startsAt }));
  const dateOf = ({ startsAt, timeZone }: Appointment) => startsAt.toZonedDateTimeISO(timeZone).toPlainDate();
  const days = dateOf(named).until(localStart.toPlainDate(), { largestUnit: 'days' }).days;
  return visits.map((visit) => {
    const local = dateOf(visit).add({ days }).toPlainDateTime(localStart.toPlainTime());
    return {
      visit,
      startsAt: toInstant({ local, timeZone: timeZone ?? visit.timeZone, disambiguation: 'EARLIER' }),
    };
  });
}

/** A visit that moves onto the time of the next one comes after it. */
function inOrder(all: readonly Placed[]): Placed[] {
  const later = all.some(({ visit, startsAt }) => Temporal.Instant.compare(startsAt, visit.startsAt) > 0);
  return later ? all.toReversed() : [...all];
}
