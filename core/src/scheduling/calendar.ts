/** What decides about the time of providers and patients, read from the database for {@link Calendar} to reckon with. */
import { sql } from 'kysely';
import { type Db, statement } from '#platform/database';
import { NotFound } from '#platform/errors';
import type { Scope } from '#platform/scope';
import type { Calendar, Hours, PatientTaken, ServiceRules, Taken, WeeklyHours } from './availability.ts';
import { COVERAGE_COLUMNS, toCoverage } from './cover-terms.ts';
import type { CareServiceType } from './speciality.ts';
import { MINUTE, type Range } from './zone.ts';

/** A local day, the longest visit and the longest buffer reach so far beyond the visits that are looked at. */
const MARGIN = 30 * 60 * MINUTE;

const around = ({ from, until }: Range) => ({ from: textOf(from - MARGIN), until: textOf(until + MARGIN) });
const textOf = (at: number) => new Date(at).toISOString();

interface Window {
  readonly providers: readonly string[];
  readonly from: string;
  readonly until: string;
  readonly now: string;
}

type Times = [from: number, until: number][];

interface CalendarRow {
  readonly id: string;
  readonly time_zone: string;
  readonly weekly_hours: WeeklyHours[] | null;
  readonly exceptions: [date: string, hours: Hours[]][] | null;
  readonly time_off: Times | null;
  /** What an outside directory covers, when it has the provider at work, and when busy. */
  readonly covers: Times[number] | null;
  readonly directory_hours: Times | null;
  readonly directory_busy: Times | null;
  /** Appointment, service, start, and what it blocks: apart by commas, visits by semicolons. */
  readonly taken: string | null;
}

/** In seconds, which as floating point come several times faster than exact milliseconds. */
const epoch = (column: string) => sql.raw(`date_part('epoch', ${column})`);
const ms = (seconds: number) => Math.round(seconds * 1_000);

const calendarRows = statement((db: Db, { providers, from, until, now }: Window) => ({
  compile: () =>
    sql<CalendarRow>`
      select p.id, coalesce(p.hours_time_zone, (
          select l.time_zone from provider_roles r left join locations l on l.id = r.location_id
          where r.provider_id = p.id and r.active order by r.external_id limit 1
        ), p.time_zone) as time_zone,
        p.weekly_hours, e.exceptions, o.time_off, t.taken, d.hours as directory_hours, d.busy as directory_busy,
        (select json_build_array(${epoch('covers_from')}, ${epoch('covers_until')}) from provider_directories
         where provider_id = p.id and covers_from is not null) as covers
      from providers p
      left join (
        select provider_id, json_agg(json_build_array(on_date, hours)) as exceptions from provider_exceptions
        where provider_id = any(${providers}::uuid[])
          and on_date between ${from}::timestamptz::date - 1 and ${until}::timestamptz::date + 1
        group by provider_id
      ) e on e.provider_id = p.id
      left join (
        select provider_id, json_agg(json_build_array(${epoch('starts_at')}, ${epoch('ends_at')})) as time_off
        from provider_time_off
        where provider_id = any(${providers}::uuid[])
          and ends_at > ${from}::timestamptz and starts_at < ${until}::timestamptz
        group by provider_id
      ) o on o.provider_id = p.id
      left join (
        select provider_id,
          json_agg(json_build_array(${epoch('starts_at')}, ${epoch('ends_at')})) filter (where not busy) as hours,
          json_agg(json_build_array(${epoch('starts_at')}, ${epoch('ends_at')})) filter (where busy) as busy
        from provider_directory_times
        where provider_id = any(${providers}::uuid[])
          and ends_at > ${from}::timestamptz and starts_at < ${until}::timestamptz
        group by provider_id
      ) d on d.provider_id = p.id
      left join (
        select provider_id, string_agg(concat_ws(',', coalesce(appointment_id::text, ''), service,
          ${epoch('starts_at')}, ${epoch('blocks_from')}, ${epoch('blocks_until')}), ';') as taken
        from taken_time(${providers}::uuid[], ${from}::timestamptz, ${until}::timestamptz, ${now}::timestamptz)
        group by provider_id
      ) t on t.provider_id = p.id
      where p.id = any(${providers}::uuid[])`.compile(db),
}));

/**
 * The calendars of those of the providers that exist, by id, for visits within the range: one statement. A patient is
 * told when a provider is taken, and by whom only where it is themselves. Call it inside `transact`.
 */
export async function loadCalendars(
  { db, now }: Scope,
  providers: readonly string[],
  range: Range,
): Promise<ReadonlyMap<string, Calendar>> {
  const rows = await calendarRows(db, { providers, ...around(range), now: now.toString() });
  return new Map(rows.map((row) => [row.id, toCalendar(row)]));
}

function toCalendar(row: CalendarRow): Calendar {
  return {
    timeZone: row.time_zone,
    weeklyHours: row.weekly_hours,
    exceptions: new Map(row.exceptions),
    directory: row.covers && { covers: toRange(row.covers), hours: (row.directory_hours ?? []).map(toRange) },
    timeOff: [...(row.time_off ?? []), ...(row.directory_busy ?? [])].map(toRange),
    taken: takenOf(row.taken),
  };
}

const toRange = ([from, until]: Times[number]): Range => ({ from: ms(from), until: ms(until) });

/** There may be twenty thousand in a search, of which JSON would take twice the time. */
function takenOf(visits: string | null): Taken[] {
  if (visits === null) return [];
  return visits.split(';').map((visit) => {
    const [appointmentId, service, startsAt, from, until] = visit.split(',') as [string, CareServiceType, ...string[]];
    return {
      appointmentId: appointmentId || null,
      service,
      startsAt: ms(Number(startsAt)),
      blocks: { from: ms(Number(from)), until: ms(Number(until)) },
    };
  });
}

const patientRows = statement(
  (db: Db, { patient, from, until, now }: Omit<Window, 'providers'> & { patient: string }) => ({
    compile: () =>
      sql<{ appointmentId: string; from: number; until: number }>`
      select id as "appointmentId", ${epoch('starts_at')} as from, ${epoch('ends_at')} as until from appointments
      where patient_id = ${patient}::uuid and occupies_time
        and starts_at > ${from}::timestamptz and starts_at < ${until}::timestamptz
        and (status <> 'HELD' or expires_at > ${now}::timestamptz)`.compile(db),
  }),
);

/** When the patient has visits around the range, with whomever. Call it inside `transact`. */
export async function loadPatientTaken(
  { db, now }: Scope,
  patient: string,
  range: Range,
): Promise<readonly PatientTaken[]> {
  const rows = await patientRows(db, { patient, ...around(range), now: now.toString() });
  return rows.map(({ appointmentId, from, until }) => ({ appointmentId, from: ms(from), until: ms(until) }));
}

const ruleRows = statement((db, { service }: { service: CareServiceType }) =>
  db
    .selectFrom('care_services')
    .select([
      'service',
      'minutes',
      'buffer_before_minutes as bufferBeforeMinutes',
      'buffer_after_minutes as bufferAfterMinutes',
      'minimum_notice_minutes as minimumNoticeMinutes',
      'horizon_days as horizonDays',
      'daily_limit as dailyLimit',
      ...COVERAGE_COLUMNS,
    ])
    .where('service', '=', service),
);

/** Call it inside `transact`. Throws NotFound. */
export async function loadRules({ db }: Scope, service: CareServiceType): Promise<ServiceRules> {
  const [rules] = await ruleRows(db, { service });
  if (!rules) throw new NotFound('Service');
  return { ...rules, coverage: toCoverage(rules) };
}
