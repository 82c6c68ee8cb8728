/**
 * Scores of visits to come: written as of a time, never over a score of a later time.
 *
 * A day before a visit, or when it is booked later than that, its score is kept aside as the forecast that the report
 * compares with what came of it.
 */
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import { type Known, known } from './facts.ts';
import type { RiskRow, Score } from './model/model.ts';
import type { Models } from './models.ts';
import { isUsualCare } from './usual-care.ts';

export interface Scoring {
  readonly at: Temporal.Instant;
  readonly models: Models;
}

export interface Scored extends Known {
  readonly score: Score;
  readonly usualCare: boolean;
}

/** Scores those visits, all of them still to come. Inside `transact`, for the system. */
export async function scoreVisits(scope: Scope, ids: readonly string[], scoring: Scoring): Promise<void> {
  if (ids.length === 0) return;
  const { at, models } = scoring;
  const found = await known(
    scope,
    ids.map((id) => ({ id, at })),
  );
  await writeScores(scope, scored(scope, found, models), scoring);
}

export function scored({ vault }: Scope, found: readonly Known[], { inUse }: Models): Scored[] {
  const group = new Map<string, boolean>();
  return found.map((visit) => {
    const { patientId, row } = visit;
    const usualCare = group.get(patientId) ?? isUsualCare(vault, patientId);
    group.set(patientId, usualCare);
    return { ...visit, usualCare, score: inUse.model.score(row) };
  });
}

/** Inside `transact`, for the system. */
export async function writeScores(scope: Scope, visits: readonly Scored[], scoring: Scoring): Promise<void> {
  if (visits.length === 0) return;
  await upsert(scope, visits, scoring);
  const soon = visits.filter(({ startsAt }) => isDayBefore(scoring.at, startsAt));
  if (soon.length > 0) await keepForecasts(scope, soon, scoring);
}

const isDayBefore = (at: Temporal.Instant, startsAt: Temporal.Instant): boolean =>
  startsAt.epochMilliseconds - at.epochMilliseconds <= 24 * 3_600_000;

/** Arrays are written here as PostgreSQL reads them: the driver takes several times as long for thousands of rows. */
async function upsert({ db }: Scope, visits: readonly Scored[], { at, models }: Scoring): Promise<void> {
  const column = (of: (visit: Scored) => unknown) => `{${visits.map(of).join(',')}}`;
  await sql`
    insert into risk_scores as stored (appointment_id, starts_at, ahead, usual_care, probability, band, reasons, features,
      model, scored_at)
    select id, starts_at, true, usual_care, probability, band, string_to_array(reasons, e'\t'), features,
      ${models.inUse.version}, ${at.toString()}::timestamptz
    from unnest(${column(({ id }) => id)}::uuid[], ${column(({ startsAt }) => startsAt)}::timestamptz[],
      ${column(({ usualCare }) => usualCare)}::boolean[], ${column(({ score }) => score.probability)}::float8[],
      ${column(({ score }) => score.band)}::text[], ${column(({ score }) => quoted(score.reasons.join('\t')))}::text[],
      ${column(({ row }) => quoted(featuresOf(row)))}::jsonb[])
      as given (id, starts_at, usual_care, probability, band, reasons, features)
    on conflict (appointment_id) do update
      set starts_at = excluded.starts_at, ahead = true, usual_care = excluded.usual_care,
        probability = excluded.probability, band = excluded.band, reasons = excluded.reasons,
        features = excluded.features, model = excluded.model, scored_at = excluded.scored_at
      where stored.scored_at <= excluded.scored_at`.execute(db);
}

/** As an element of an array; a backslash takes what follows it for itself. */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

/** The visit names its patient already. */
const featuresOf = (row: RiskRow): string => JSON.stringify({ ...row, patient: undefined });

async function keepForecasts({ db }: Scope, soon: readonly Scored[], { at, models }: Scoring): Promise<void> {
  const rows = soon.map(({ id, startsAt, service, providerId, row, score, usualCare }) => ({
    id,
    startsAt: startsAt.toString(),
    service,
    providerId,
    ageBand: row.ageBand,
    sameDay: row.leadDays === 0,
    usualCare,
    probability: score.probability,
    statistical: models.statistical.model.score(row).probability,
  }));
  await sql`
    insert into risk_forecasts (appointment_id, starts_at, service, provider_id, age_band, same_day, usual_care,
      probability, statistical, model, scored_at)
    select id, "startsAt", service, "providerId", "ageBand", "sameDay", "usualCare", probability, statistical,
      ${models.inUse.version}, ${at.toString()}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (id uuid, "startsAt" timestamptz, service text,
      "providerId" uuid, "ageBand" text, "sameDay" boolean, "usualCare" boolean, probability float8, statistical float8)
    on conflict do nothing`.execute(db);
}

/** What is over, called off or moved away is not ahead any more; its last score stays. */
export async function takeOff({ db }: Scope, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('risk_scores')
    .set({ ahead: false })
    .where('appointment_id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('ahead', '=', true)
    .execute();
}

/** The same for all that has begun by then. */
export async function takeOffBegun({ db }: Scope, at: Temporal.Instant): Promise<void> {
  await db
    .updateTable('risk_scores')
    .set({ ahead: false })
    .where('ahead', '=', true)
    .where('starts_at', '<=', sql<Date>`${at.toString()}::timestamptz`)
    .execute();
}
