/**
 * How good the forecasts were: of visits that came to an end, what was said a day before. Weekly it is looked at, and kept;
 * a model that does worse than the statistical one, or is far off, is taken out of use by itself.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { InvalidInput } from '#platform/errors';
import { emit } from '#platform/events';
import { parse } from '#platform/input';
import { asSystem, type Scope, SYSTEM, transact } from '#platform/scope';
import { changeTo } from './activation.ts';
import type { ModelFigures } from './fit-thread.ts';
import {
  calibration,
  type CalibrationBin,
  isWorse,
  measure,
  type Measures,
  probabilityRange,
  type Spread,
  spreadOf,
  stabilityIndex,
} from './measures.ts';
import { type Models, modelsInUse, newestActivation } from './models.ts';
import { permitAdmin, permitSystem } from './policy.ts';

declare module '#platform/events' {
  interface Events {
    'risk.alarmed': { reportId: string };
  }
}

export const RISK_ALARMS = ['WORSE_THAN_STATISTICAL', 'MISCALIBRATED', 'DRIFT'] as const;
export type RiskAlarm = (typeof RISK_ALARMS)[number];
export const RISK_GROUPS = ['AGE_BAND', 'SERVICE', 'PROVIDER', 'USUAL_CARE', 'SAME_DAY'] as const;
export type RiskGroupKind = (typeof RISK_GROUPS)[number];

export interface RiskGroup {
  readonly by: RiskGroupKind;
  /** `30-39`, `TELEHEALTH`, a provider's id, `true`. */
  readonly value: string;
  readonly visits: number;
  /** Means of what was said and of what happened. */
  readonly expected: number;
  readonly observed: number;
}

export interface RiskReport {
  readonly from: Temporal.Instant;
  readonly until: Temporal.Instant;
  /** In use now; the forecasts may be of others. */
  readonly model: string;
  readonly measures: Measures;
  /** Of the statistical model on the same visits. */
  readonly statistical: Measures;
  readonly calibration: readonly CalibrationBin[];
  readonly groups: readonly RiskGroup[];
  /** The population stability index by input: over 0.25 much has changed since the model learned. */
  readonly drift: readonly { readonly input: string; readonly index: number }[];
  readonly alarms: readonly RiskAlarm[];
}

interface Forecast {
  readonly service: string;
  readonly provider_id: string;
  readonly age_band: string | null;
  readonly same_day: boolean;
  readonly usual_care: boolean;
  readonly probability: number;
  readonly statistical: number;
  readonly no_show: boolean;
}

const MOST_DAYS = 366;
const DAYS = 28;
const instant = z.instanceof(Temporal.Instant).nullish();
const ReportInput = z.object({
  /** Visits from this instant on; four weeks before `to` unless given. */
  from: instant,
  /** Before this instant; now unless given. */
  to: instant,
});
export type ReportInput = z.input<typeof ReportInput>;

/** What was forecast beside what happened, of visits in a range of at most a year. Admins only. Throws InvalidInput, Forbidden. */
export async function riskReport(scope: Scope, input: ReportInput = {}): Promise<RiskReport> {
  const { from, to } = parse(ReportInput, input);
  const action = 'risk.report';
  await permitAdmin(scope, action);
  const until = to ?? scope.now;
  const span = { from: from ?? until.subtract({ hours: 24 * DAYS }), until };
  if (span.from.until(until).total('hours') > 24 * MOST_DAYS) {
    throw new InvalidInput([{ path: ['to'], message: `expected at most ${MOST_DAYS} days after the beginning` }]);
  }
  return transact(scope, async (scope) => {
    const report = await transact(asSystem(scope), (scope) => reportOf(scope, span));
    await audit.record(scope, { action, resourceType: 'RiskModel' });
    return report;
  });
}

interface Span {
  readonly from: Temporal.Instant;
  readonly until: Temporal.Instant;
}

async function reportOf(scope: Scope, { from, until }: Span): Promise<RiskReport> {
  const models = await modelsInUse(scope);
  const { rows } = await sql<Forecast>`
    select * from risk_forecast_outcomes(${from.toString()}::timestamptz, ${until.toString()}::timestamptz)`.execute(
    scope.db,
  );
  const said = rows.map(({ probability, no_show: noShow }) => ({ probability, noShow }));
  const measures = measure(said);
  const statistical = measure(rows.map((row) => ({ probability: row.statistical, noShow: row.no_show })));
  const drift = driftOf(rows, await spreadLearned(scope, models));
  return {
    from,
    until,
    model: models.inUse.version,
    measures,
    statistical,
    calibration: calibration(said),
    groups: groupsOf(rows),
    drift,
    alarms: alarmsOf({ measures, statistical, drift }),
  };
}

const GROUPED: Readonly<Record<RiskGroupKind, (row: Forecast) => string>> = {
  AGE_BAND: ({ age_band }) => age_band ?? 'unknown',
  SERVICE: ({ service }) => service,
  PROVIDER: ({ provider_id }) => provider_id,
  USUAL_CARE: ({ usual_care }) => String(usual_care),
  SAME_DAY: ({ same_day }) => String(same_day),
};

function groupsOf(rows: readonly Forecast[]): RiskGroup[] {
  return RISK_GROUPS.flatMap((by) =>
    [...Map.groupBy(rows, GROUPED[by])]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([value, group]) => ({
        by,
        value,
        visits: group.length,
        expected: group.reduce((sum, { probability }) => sum + probability, 0) / group.length,
        observed: group.filter(({ no_show }) => no_show).length / group.length,
      })),
  );
}

async function spreadLearned({ db }: Scope, { inUse }: Models): Promise<Readonly<Record<string, Spread>>> {
  if (inUse.id === null) return {};
  const row = await db.selectFrom('risk_models').select('figures').where('id', '=', inUse.id).executeTakeFirstOrThrow();
  return (row.figures as ModelFigures).spread;
}

const INPUTS: Readonly<Record<string, (row: Forecast) => string | null>> = {
  probability: ({ probability }) => probabilityRange(probability),
  service: ({ service }) => service,
  ageBand: ({ age_band }) => age_band,
  sameDay: ({ same_day }) => String(same_day),
};

function driftOf(rows: readonly Forecast[], learned: Readonly<Record<string, Spread>>): RiskReport['drift'] {
  return Object.entries(INPUTS).flatMap(([input, of]) => {
    const then = learned[input];
    return then === undefined ? [] : [{ input, index: stabilityIndex(then, spreadOf(rows, of)) }];
  });
}

/** Fewer visits say too little. */
const LEAST_VISITS = 200;
const WORSE_BY = 0.002;
const OFF_BY = 0.2;
const MUCH_DRIFT = 0.25;

function alarmsOf({
  measures,
  statistical,
  drift,
}: Pick<RiskReport, 'measures' | 'statistical' | 'drift'>): RiskAlarm[] {
  if (measures.visits < LEAST_VISITS) return [];
  const alarms: RiskAlarm[] = [];
  if (isWorse(measures, statistical, WORSE_BY)) alarms.push('WORSE_THAN_STATISTICAL');
  if (Math.abs((measures.observedOverExpected ?? 1) - 1) > OFF_BY) alarms.push('MISCALIBRATED');
  if (drift.some(({ index }) => index > MUCH_DRIFT)) alarms.push('DRIFT');
  return alarms;
}

/** What takes a model out of use; inputs that have drifted may be predicted well all the same. */
const FATAL: ReadonlySet<RiskAlarm> = new Set(['WORSE_THAN_STATISTICAL', 'MISCALIBRATED']);

/**
 * Keeps the report of the last four weeks, tells of its alarms, and falls back to the statistical model where the one in
 * use is no good. For the system. Throws Forbidden.
 */
export async function keepReport(scope: Scope): Promise<RiskReport> {
  await permitSystem(scope, 'risk.keepReport');
  return transact(scope, async (scope) => {
    const until = scope.now;
    const report = await reportOf(scope, { from: until.subtract({ hours: 24 * DAYS }), until });
    const id = randomUUIDv7();
    const { from, model, alarms, ...figures } = report;
    await scope.db
      .insertInto('risk_reports')
      .values({
        id,
        from_at: from.toString(),
        until_at: until.toString(),
        model,
        figures: JSON.stringify(figures),
        alarms: [...alarms],
        created_at: until.toString(),
      })
      .execute();
    if (alarms.length > 0) await emit(scope, 'risk.alarmed', { reportId: id });
    if (alarms.some((alarm) => FATAL.has(alarm))) await fallBack(scope);
    await audit.record(scope, { action: 'risk.keepReport', resourceType: 'RiskModel' });
    return report;
  });
}

async function fallBack(scope: Scope): Promise<void> {
  const { inUse, statistical } = await modelsInUse(scope);
  if (inUse.model.kind === 'STATISTICAL') return;
  const before = await newestActivation(scope);
  const to = { modelId: statistical.id, cause: 'FALL_BACK', beforeId: before?.id ?? null } as const;
  await changeTo(scope, to, SYSTEM.id);
}

/** The alarms of the newest weekly report: for metrics. */
export async function newestAlarms(scope: Scope): Promise<ReadonlySet<RiskAlarm>> {
  return transact(asSystem(scope), async ({ db }) => {
    const row = await db.selectFrom('risk_reports').select('alarms').orderBy('id', 'desc').limit(1).executeTakeFirst();
    return new Set(row?.alarms as RiskAlarm[] | undefined);
  });
}
