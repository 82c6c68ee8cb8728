/** What is known of visits at a time, as a model is told it: by one statement, and nothing from after that time. */
import { sql } from 'kysely';
import * as care from '#care';
import { statement } from '#platform/database';
import type { Scope } from '#platform/scope';
import { dateOf, instantOf } from '#platform/times';
import type { CareServiceType } from '#scheduling';
import type { RiskRow } from './model/model.ts';

export interface VisitAt {
  readonly id: string;
  readonly at: Temporal.Instant;
}

/** A visit, and what a model is told of it. */
export interface Known {
  readonly id: string;
  readonly patientId: string;
  readonly providerId: string;
  readonly service: CareServiceType;
  readonly startsAt: Temporal.Instant;
  /** The visit's, in its own zone. */
  readonly day: Temporal.PlainDate;
  readonly row: RiskRow;
}

interface FactsRow {
  readonly id: string;
  readonly patient_id: string;
  readonly provider_id: string;
  readonly location_id: string | null;
  readonly service: CareServiceType;
  readonly starts_at: Date;
  readonly day: string;
  readonly lead_days: number;
  readonly weekday: number;
  readonly hour: number;
  readonly booked_hour: number;
  readonly age_known: boolean;
  readonly age_band: string | null;
  readonly past_visits: number;
  readonly past_no_shows: number;
  readonly past_cancellations: number;
  readonly past_late_cancellations: number;
  readonly last_outcomes: boolean[] | null;
  readonly days_since_last: number | null;
  readonly same_day_visits: number;
  readonly confirmed: boolean | null;
  readonly message: RiskRow['message'];
}

const factsOf = statement<{ ids: readonly string[]; ats: readonly string[] }, FactsRow>((db, { ids, ats }) => ({
  compile: () => sql<FactsRow>`select * from risk_facts(${ids}::uuid[], ${ats}::timestamptz[])`.compile(db),
}));

/** What was known of each of the visits at its time. Inside `transact`, for the system. */
export async function known(scope: Scope, visits: readonly VisitAt[]): Promise<Known[]> {
  if (visits.length === 0) return [];
  const rows = await factsOf(scope.db, {
    ids: visits.map(({ id }) => id),
    ats: visits.map(({ at }) => at.toString()),
  });
  return withAges(scope, rows);
}

/** Of a walk through all visits to come, patient by patient, so that whose history is read is read once. */
export interface Place {
  readonly patient: string;
  /** To the microsecond, as PostgreSQL writes it. */
  readonly startsAt: string;
  readonly visit: string;
}

export interface Page extends Place {
  readonly at: Temporal.Instant;
  readonly most: number;
}

export interface KnownPage {
  readonly visits: readonly Known[];
  /** The last one's; null where there is none any more. */
  readonly place: Place | null;
}

interface PlacedRow extends FactsRow {
  readonly place_starts_at: string;
}

const factsAfter = statement<Place & { at: string; most: number }, PlacedRow>(
  (db, { patient, startsAt, visit, at, most }) => ({
    compile: () =>
      sql<PlacedRow>`
        select f.*, f.starts_at::text as place_starts_at
        from (select array_agg(id) as ids from risk_visits_after(${patient}::uuid, ${startsAt}::timestamptz,
            ${visit}::uuid, ${at}::timestamptz, ${most}::integer)) page
          cross join lateral risk_facts(page.ids, array_fill(${at}::timestamptz, array[cardinality(page.ids)])) f
        where page.ids is not null
        order by f.patient_id, f.starts_at, f.id`.compile(db),
  }),
);

/** What is known at that time of the visits to come after a place. Inside `transact`, for the system. */
export async function knownAfter(scope: Scope, { at, ...page }: Page): Promise<KnownPage> {
  const rows = await factsAfter(scope.db, { ...page, at: at.toString() });
  const last = rows.at(-1);
  const place = last ? { patient: last.patient_id, startsAt: last.place_starts_at, visit: last.id } : null;
  return { visits: await withAges(scope, rows), place };
}

/** Whose age is not with the visit yet gets it: that is the only time the record is opened. */
async function withAges(scope: Scope, rows: readonly FactsRow[]): Promise<Known[]> {
  const ages = await keepAges(
    scope,
    rows.filter(({ age_known }) => !age_known),
  );
  return rows.map((row) => toKnown(row, row.age_known ? row.age_band : (ages.get(row.id) ?? null)));
}

async function keepAges(scope: Scope, rows: readonly FactsRow[]): Promise<ReadonlyMap<string, string | null>> {
  if (rows.length === 0) return new Map();
  const bands = await care.ageBandsOf(
    scope,
    rows.map(({ patient_id: patientId, day }) => ({ patientId, on: dateOf(day) })),
  );
  const ids = rows.map(({ id }) => id);
  await sql`
    insert into risk_visits (appointment_id, age_band) select * from unnest(${ids}::uuid[], ${bands}::text[])
    on conflict do nothing`.execute(scope.db);
  return new Map(ids.map((id, i) => [id, bands[i] ?? null]));
}

function toKnown(row: FactsRow, ageBand: string | null): Known {
  return {
    id: row.id,
    patientId: row.patient_id,
    providerId: row.provider_id,
    service: row.service,
    startsAt: instantOf(row.starts_at),
    day: dateOf(row.day),
    row: {
      patient: row.patient_id,
      provider: row.provider_id,
      clinic: row.location_id,
      service: row.service,
      leadDays: row.lead_days,
      weekday: row.weekday,
      hour: row.hour,
      bookedHour: row.booked_hour,
      ageBand,
      past: {
        visits: row.past_visits,
        noShows: row.past_no_shows,
        cancellations: row.past_cancellations,
        lateCancellations: row.past_late_cancellations,
        lastOutcomes: row.last_outcomes ?? [],
        daysSinceLast: row.days_since_last,
      },
      sameDayVisits: row.same_day_visits,
      confirmed: row.confirmed,
      message: row.message,
    },
  };
}

const idsAhead = statement<{ visits: readonly string[]; patients: readonly string[]; at: string }, { id: string }>(
  (db, { visits, patients, at }) => ({
    compile: () =>
      sql<{ id: string }>`
        select id from risk_visits_ahead(${visits}::uuid[], ${patients}::uuid[], ${at}::timestamptz)`.compile(db),
  }),
);

export interface Asked {
  readonly visits: readonly string[];
  /** Every visit of theirs that is still to come. */
  readonly patients: readonly string[];
}

/** Those that are still to come. Inside `transact`, for the system. */
export async function visitsAhead(scope: Scope, asked: Asked, at: Temporal.Instant): Promise<string[]> {
  const rows = await idsAhead(scope.db, { ...asked, at: at.toString() });
  return rows.map(({ id }) => id);
}
