/** The screen of a call center: everybody's day side by side, in as many statements for one provider as for a hundred. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { statement, together } from '#platform/database';
import { parse } from '#platform/input';
import { type Page, PageInput } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import { instantAt } from '#platform/times';
import { type Appointment, toAppointments } from './appointment.ts';
import { type Calendar, freeStarts, freeTime, type ServiceRules, workingTime } from './availability.ts';
import { date, zone } from './booking-input.ts';
import { loadCalendars, loadRules } from './calendar.ts';
import { permitStaff } from './policy.ts';
import { findProviders, type Provider } from './provider.ts';
import type { Slot } from './slots.ts';
import { CARE_SERVICES } from './speciality.ts';
import { MINUTE, type Range } from './zone.ts';

/** Half-open. */
export interface TimeRange {
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
}

/** One provider's day. */
export interface DayBoardRow {
  readonly provider: Provider;
  /** Visits and holds that begin or go on in the day, in order; without what was cancelled. */
  readonly appointments: readonly Appointment[];
  readonly workingHours: readonly TimeRange[];
  readonly timeOff: readonly TimeRange[];
  /** Hours at work that nothing takes. */
  readonly freeTime: readonly TimeRange[];
  /** Where a visit of the service could begin, on a grid of quarter hours; none unless a service was named. */
  readonly freeSlots: readonly Slot[];
}

const DayBoardRequest = PageInput.extend({
  date,
  timeZone: zone.nullish(),
  service: z.enum(CARE_SERVICES).nullish(),
  search: z.string().max(200, 'expected at most 200 characters').nullish(),
});
/** The day is one of `timeZone`, the clinic's unless given. Providers as in {@link findProviders}. */
export type DayBoardRequest = z.input<typeof DayBoardRequest>;

/** A page of providers by name, each with the day. Staff only. Throws InvalidInput, Forbidden. */
export async function dayBoard(scope: Scope, input: DayBoardRequest): Promise<Page<DayBoardRow>> {
  const { date: day, timeZone, service, ...list } = parse(DayBoardRequest, input);
  const action = 'appointment.dayBoard';
  await permitStaff(scope, action);
  const at = timeZone ?? scope.clinic.timeZone;
  const range: Range = { from: startOf(day, at), until: startOf(day.add({ days: 1 }), at) };

  return transact(scope, async (scope) => {
    const providers = await findProviders(scope, { ...list, service });
    const ids = providers.items.map(({ node }) => node.id);
    const [calendars, rules, appointments] = await together([
      loadCalendars(scope, ids, range),
      service ? loadRules(scope, service) : Promise.resolve(null),
      visitsIn(scope, ids, range),
    ]);
    await audit.record(scope, {
      action,
      resourceType: 'Appointment',
      resourceIds: appointments.map(({ id }) => id),
      patientIds: [...new Set(appointments.map(({ patientId }) => patientId))],
    });
    const byProvider = Map.groupBy(appointments, ({ providerId }) => providerId);
    return {
      ...providers,
      items: providers.items.map(({ node: provider, cursor }) => {
        const calendar = calendars.get(provider.id) as Calendar;
        const row = rowOf(scope, provider, { calendar, rules, range, appointments: byProvider.get(provider.id) ?? [] });
        return { node: row, cursor };
      }),
    };
  });
}

const startOf = (day: Temporal.PlainDate, timeZone: string): number => day.toZonedDateTime(timeZone).epochMilliseconds;

interface Day {
  readonly calendar: Calendar;
  readonly rules: ServiceRules | null;
  readonly range: Range;
  readonly appointments: readonly Appointment[];
}

function rowOf({ now }: Scope, provider: Provider, { calendar, rules, range, appointments }: Day): DayBoardRow {
  return {
    provider,
    appointments,
    workingHours: workingTime(calendar, range).map(toTimeRange),
    timeOff: calendar.timeOff.filter(({ from, until }) => from < range.until && until > range.from).map(toTimeRange),
    freeTime: freeTime(calendar, range).map(toTimeRange),
    freeSlots: rules === null ? [] : slotsIn(now, provider.id, { calendar, rules, range }),
  };
}

const EVERY_MINUTES = 15;

function slotsIn(
  now: Temporal.Instant,
  providerId: string,
  { calendar, rules, range }: { calendar: Calendar; rules: ServiceRules; range: Range },
): Slot[] {
  const { minutes } = rules;
  const search = { now: now.epochMilliseconds, minutes, patientTaken: [], everyMinutes: EVERY_MINUTES, ...range };
  return Array.from(freeStarts(calendar, rules, search), (from) => {
    const { startsAt, endsAt } = toTimeRange({ from, until: from + minutes * MINUTE });
    return { providerId, timeZone: calendar.timeZone, startsAt, endsAt };
  });
}

function toTimeRange({ from, until }: Range): TimeRange {
  return { startsAt: instantAt(from), endsAt: instantAt(until) };
}

async function visitsIn(scope: Scope, providers: readonly string[], { from, until }: Range): Promise<Appointment[]> {
  const [first, last] = [new Date(from).toISOString(), new Date(until).toISOString()];
  const rows = await visitRows(scope.db, { providers, first, last, now: scope.now.toString() });
  return toAppointments(scope, rows);
}

interface Window {
  readonly providers: readonly string[];
  readonly first: string;
  readonly last: string;
  readonly now: string;
}

/** A visit lasts a day at most: hence where the index begins. */
const visitRows = statement((db, { providers, first, last, now }: Window) =>
  db
    .selectFrom('appointments')
    .selectAll()
    .where('provider_id', '=', sql<string>`any (${providers}::uuid[])`)
    .where('starts_at', '>', sql<Date>`${first}::timestamptz - interval '24 hours'`)
    .where('starts_at', '<', sql<Date>`${last}::timestamptz`)
    .where('ends_at', '>', sql<Date>`${first}::timestamptz`)
    .where('status', '<>', 'CANCELLED')
    .where((eb) => eb.or([eb('status', '<>', 'HELD'), eb('expires_at', '>', sql<Date>`${now}::timestamptz`)]))
    .orderBy('starts_at')
    .orderBy('id'),
);
