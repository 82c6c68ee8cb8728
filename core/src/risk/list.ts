/** Reading scores: of visits that are at hand, and the list of those to come by risk. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { InvalidInput } from '#platform/errors';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { asSystem, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { RISK_BANDS, type RiskBand } from './model/model.ts';
import { permitStaff } from './policy.ts';

/** How likely it is that the patient does not come, for helping them to. */
export interface NoShowRisk {
  /** Above 0, below 1. */
  readonly probability: number;
  readonly band: RiskBand;
  /** At most three, in words, the weightiest first. */
  readonly reasons: readonly string[];
  /** The version of the model that said so. */
  readonly model: string;
  readonly scoredAt: Temporal.Instant;
}

const COLUMNS = ['appointment_id', 'probability', 'band', 'reasons', 'model', 'scored_at'] as const;

interface ScoreRow {
  readonly appointment_id: string;
  readonly probability: number;
  readonly band: RiskBand;
  readonly reasons: string[];
  readonly model: string;
  readonly scored_at: Date;
}

const toRisk = (row: ScoreRow): NoShowRisk => ({
  probability: row.probability,
  band: row.band,
  reasons: row.reasons,
  model: row.model,
  scoredAt: row.scored_at.toTemporalInstant(),
});

/** The scores of those of the visits that have one, by id: for loaders. Staff only. Throws Forbidden. */
export async function risksOf(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, NoShowRisk>> {
  const action = 'risk.read';
  await permitStaff(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('risk_scores')
      .select(COLUMNS)
      .where('appointment_id', '=', sql<string>`any(${ids.filter(isUuid)}::uuid[])`)
      .execute();
    await audit.record(scope, {
      action,
      resourceType: 'Appointment',
      resourceIds: rows.map(({ appointment_id }) => appointment_id),
    });
    return new Map(rows.map((row) => [row.appointment_id, toRisk(row)]));
  });
}

const MOST_DAYS = 92;

const instant = z.instanceof(Temporal.Instant);
const RiskList = PageInput.extend({
  /** Starts from this instant on; now unless given. */
  from: instant.nullish(),
  /** Starts before this instant; a week after `from` unless given. */
  to: instant.nullish(),
  band: z.array(z.enum(RISK_BANDS)).nullish(),
});
export type RiskList = z.input<typeof RiskList>;

/**
 * Visits to come, the riskiest first, without those of the comparison group. Staff only. Throws InvalidInput, Forbidden.
 */
export async function appointmentsByRisk(scope: Scope, input: RiskList = {}): Promise<Page<scheduling.Appointment>> {
  const { first, after, band, ...range } = parse(RiskList, input);
  await permitStaff(scope, 'risk.list');
  const [from, to] = spanOf(scope, range);
  return transact(scope, async (scope) => {
    const rows = await transact(asSystem(scope), (scope) => rowsByRisk(scope, { from, to, first, after, band }));
    const ids = rows.slice(0, first).map(({ appointment_id }) => appointment_id);
    const appointments = await scheduling.appointmentsByIds(scope, ids);
    await audit.record(scope, { action: 'risk.list', resourceType: 'Appointment', resourceIds: ids });
    return toPage(rows, first, {
      // Nobody deletes a visit.
      node: ({ appointment_id }) => appointments.get(appointment_id) as scheduling.Appointment,
      key: ({ probability, appointment_id }) => [probability, appointment_id],
    });
  });
}

interface Range {
  readonly from?: Temporal.Instant | null | undefined;
  readonly to?: Temporal.Instant | null | undefined;
}

function spanOf({ now }: Scope, range: Range): [Temporal.Instant, Temporal.Instant] {
  const from = range.from ?? now;
  const to = range.to ?? from.add({ hours: 24 * 7 });
  if (to.epochMilliseconds - from.epochMilliseconds > MOST_DAYS * 24 * 3_600_000) {
    throw new InvalidInput([{ path: ['to'], message: `expected at most ${MOST_DAYS} days after the beginning` }]);
  }
  return [from, to];
}

const Cursor = z.tuple([z.number(), z.uuid()]);

interface Wanted {
  readonly from: Temporal.Instant;
  readonly to: Temporal.Instant;
  readonly first: number;
  readonly after: string | null;
  readonly band: readonly RiskBand[] | null | undefined;
}

function rowsByRisk(
  { db }: Scope,
  { from, to, first, after, band }: Wanted,
): Promise<Pick<ScoreRow, 'appointment_id' | 'probability'>[]> {
  const place = after === null ? null : decodeCursor(after, Cursor);
  return db
    .selectFrom('risk_scores')
    .select(['appointment_id', 'probability'])
    .where('ahead', '=', true)
    .where('usual_care', '=', false)
    .where('starts_at', '>=', sql<Date>`${from.toString()}::timestamptz`)
    .where('starts_at', '<', sql<Date>`${to.toString()}::timestamptz`)
    .$if(Boolean(band), (query) => query.where('band', 'in', [...(band ?? [])]))
    .$if(place !== null, (query) =>
      query.where(
        sql<boolean>`(-probability, appointment_id) > (${-(place?.[0] ?? 0)}::float8, ${place?.[1] ?? ''}::uuid)`,
      ),
    )
    .orderBy(sql`-probability`)
    .orderBy('appointment_id')
    .limit(first + 1)
    .execute();
}
