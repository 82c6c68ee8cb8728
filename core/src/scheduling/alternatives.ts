/** Times at which a visit could be instead of one that cannot be had. */
import type { Scope } from '#platform/scope';
import { freeStarts } from './availability.ts';
import { loadCalendars, loadPatientTaken } from './calendar.ts';
import { availableSlots, type Slot } from './slots.ts';
import type { Wanted } from './wanted.ts';
import { DAY, MINUTE, type Range } from './zone.ts';

const SAME_PROVIDER = 5;
const OTHERS = 3;
const EVERY_MINUTES = 15;

/** The nearest free times: of the same provider, then of others who offer the service. */
export async function alternativesTo(scope: Scope, wanted: Wanted): Promise<Slot[]> {
  // What has been is noted as it was, or not at all.
  if (wanted.takenBack && Temporal.Instant.compare(wanted.startsAt, scope.now) < 0) return [];
  const nearest = nearestBookable(scope, wanted);
  return [...(await withSameProvider(scope, wanted, nearest)), ...(await withOthers(scope, wanted, nearest))];
}

/** The wanted start, or the first or last one that could be booked at all. */
function nearestBookable({ now }: Scope, { startsAt, rules }: Wanted): number {
  const soonest = now.epochMilliseconds + rules.minimumNoticeMinutes * MINUTE;
  const latest = now.epochMilliseconds + rules.horizonDays * DAY;
  return Math.min(Math.max(startsAt.epochMilliseconds, soonest), latest);
}

async function withSameProvider(scope: Scope, wanted: Wanted, nearest: number): Promise<Slot[]> {
  const { provider, rules, patientId, appointmentId } = wanted;
  const minutes = lengthOf(wanted);
  const range = { from: nearest - 3 * DAY, until: nearest + 14 * DAY };
  const visits: Range = { from: range.from, until: range.until + minutes * MINUTE };
  const calendar = (await loadCalendars(scope, [provider.id], visits)).get(provider.id);
  if (calendar === undefined) return [];
  const starts = freeStarts(calendar, rules, {
    ...range,
    minutes,
    now: scope.now.epochMilliseconds,
    patientTaken: await loadPatientTaken(scope, patientId, visits),
    ignoring: appointmentId === null ? [] : [appointmentId],
    everyMinutes: EVERY_MINUTES,
  });
  return [...starts]
    .toSorted((a, b) => Math.abs(a - nearest) - Math.abs(b - nearest) || a - b)
    .slice(0, SAME_PROVIDER)
    .map((at) => {
      const startsAt = Temporal.Instant.fromEpochMilliseconds(at);
      return { providerId: provider.id, startsAt, endsAt: startsAt.add({ minutes }), timeZone: calendar.timeZone };
    });
}

async function withOthers(scope: Scope, wanted: Wanted, nearest: number): Promise<Slot[]> {
  const from = Temporal.Instant.fromEpochMilliseconds(nearest);
  const slots = await availableSlots(scope, {
    service: wanted.rules.service,
    from,
    to: from.add({ hours: 24 }),
    minutes: lengthOf(wanted),
    patientId: wanted.patientId,
    first: OTHERS * 4,
  });
  return slots.filter(({ providerId }) => providerId !== wanted.provider.id).slice(0, OTHERS);
}

const lengthOf = ({ startsAt, endsAt }: Wanted): number => startsAt.until(endsAt).total('minutes');
