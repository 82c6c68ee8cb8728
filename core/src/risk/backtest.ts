/**
 * A replay: visits in the order of their days, as a clinic would have lived through them. Each night the models are
 * fitted to what was final by then; each visit is scored the evening before, or when it was booked if that was later.
 *
 * A forecast sees no outcome of its own day or of a later one, and no booking that was made after it.
 */
import { type Forecast, measureReplay, type ReplayMeasures } from './replay-measures.ts';
import { ageBand, type LabelledRow, type ModelKind, type PatientHistory, type RiskModel } from './model/model.ts';
import { legacyModel } from './model/legacy.ts';
import { fitScorecard, type ScorecardState } from './model/scorecard.ts';
import { builtIn, fitStatistical } from './model/statistical.ts';

/** A visit as it is on file, with its end. */
export interface PastVisit {
  readonly patient: string;
  readonly clinic: string;
  /** Local wall-clock time of the booking. */
  readonly bookedAt: Temporal.PlainDateTime;
  readonly day: Temporal.PlainDate;
  /** In whole years. */
  readonly age: number;
  /** For the groups of the report only. */
  readonly sex: string;
  /** A reminder was sent. */
  readonly reminded: boolean;
  readonly noShow: boolean;
}

export interface Replayed extends Forecast {
  readonly sameDay: boolean;
  readonly ageBand: string;
  readonly sex: string;
}

export interface ReplayOptions {
  /** Visits before this day are learnt from and not counted. */
  readonly countFrom?: Temporal.PlainDate | undefined;
  readonly onDay?: (done: number, total: number) => void;
}

export type Replay = Readonly<Record<ModelKind, readonly Replayed[]>>;

export function replay(visits: readonly PastVisit[], { countFrom, onDay }: ReplayOptions = {}): Replay {
  const days = [...Map.groupBy(visits, ({ day }) => dayNumber(day))].toSorted(([a], [b]) => a - b);
  const bookings = Map.groupBy(visits, ({ patient }) => patient);
  const pasts = new Map<string, Past>();
  const final: LabelledRow[] = [];
  const replayed: Record<ModelKind, Replayed[]> = { STATISTICAL: [], ADVANCED: [], LEGACY: [] };
  const first = countFrom === undefined ? Number.NEGATIVE_INFINITY : dayNumber(countFrom);
  let models: readonly RiskModel[] = [builtIn(), fitScorecard([]), legacyModel];
  for (const [i, [day, ofDay]] of days.entries()) {
    const rows = ofDay.map((visit) => rowOf(visit, pasts.get(visit.patient), bookings.get(visit.patient) ?? []));
    if (day >= first) {
      for (const model of models) replayed[model.kind].push(...rows.map((row, j) => forecast(model, row, ofDay[j])));
    }
    for (const row of rows) pasts.set(row.patient, withVisit(pasts.get(row.patient), row));
    final.push(...rows);
    const next = days[i + 1]?.[0];
    if (next !== undefined) models = [fitStatistical(final), refitted(models, final), legacyModel];
    onDay?.(i + 1, days.length);
  }
  return replayed;
}

function refitted(models: readonly RiskModel[], final: readonly LabelledRow[]): RiskModel {
  return fitScorecard(final, models.find(({ kind }) => kind === 'ADVANCED')?.toJSON() as ScorecardState);
}

function forecast(model: RiskModel, row: LabelledRow, visit: PastVisit | undefined): Replayed {
  const { probability } = model.score(row);
  const { day, noShow, leadDays } = row;
  return { probability, noShow, day, sameDay: leadDays === 0, ageBand: row.ageBand ?? '', sex: visit?.sex ?? '' };
}

interface Past extends PatientHistory {
  readonly lastDay: number;
}

const NO_PAST: PatientHistory = {
  visits: 0,
  noShows: 0,
  cancellations: 0,
  lateCancellations: 0,
  lastOutcomes: [],
  daysSinceLast: null,
};

function rowOf(visit: PastVisit, past: Past | undefined, ofPatient: readonly PastVisit[]): LabelledRow {
  const { patient, clinic, bookedAt, day, age, reminded, noShow } = visit;
  const leadDays = Math.max(0, bookedAt.toPlainDate().until(day).days);
  // What was booked by the time of the forecast.
  const evening = day.toPlainDateTime();
  const known = leadDays === 0 ? bookedAt : evening;
  const others = ofPatient.filter(
    (other) => other !== visit && other.day.equals(day) && Temporal.PlainDateTime.compare(other.bookedAt, known) < 0,
  );
  return {
    patient,
    clinic,
    provider: null,
    service: null,
    leadDays,
    weekday: day.dayOfWeek,
    hour: null,
    bookedHour: bookedAt.hour,
    ageBand: ageBand(age),
    past: past === undefined ? NO_PAST : { ...past, daysSinceLast: dayNumber(day) - past.lastDay },
    sameDayVisits: others.length,
    confirmed: null,
    message: reminded ? 'SENT' : 'NONE',
    day: dayNumber(day),
    noShow,
  };
}

const LAST_OUTCOMES = 5;

function withVisit(past: Past | undefined, { noShow, day }: LabelledRow): Past {
  const { visits, noShows, lastOutcomes } = past ?? NO_PAST;
  return {
    ...NO_PAST,
    visits: visits + 1,
    noShows: noShows + (noShow ? 1 : 0),
    lastOutcomes: [noShow, ...lastOutcomes].slice(0, LAST_OUTCOMES),
    lastDay: day,
  };
}

const EPOCH = Temporal.PlainDate.from('1970-01-01');

function dayNumber(day: Temporal.PlainDate): number {
  return EPOCH.until(day, { largestUnit: 'days' }).days;
}

export interface ReplayReport {
  readonly model: ModelKind;
  readonly all: ReplayMeasures;
  /** Booked a day ahead or more. */
  readonly advance: ReplayMeasures;
  readonly sameDay: ReplayMeasures;
  /** By age band and by sex. */
  readonly groups: readonly GroupMeasure[];
}

export interface GroupMeasure {
  readonly group: string;
  readonly visits: number;
  readonly observedOverExpected: number | null;
}

export function report(replayed: Replay): ReplayReport[] {
  return (Object.entries(replayed) as [ModelKind, readonly Replayed[]][]).map(([model, forecasts]) => ({
    model,
    all: measureReplay(forecasts),
    advance: measureReplay(forecasts.filter(({ sameDay }) => !sameDay)),
    sameDay: measureReplay(forecasts.filter(({ sameDay }) => sameDay)),
    groups: [
      ...groupsOf(forecasts, ({ ageBand }) => `age ${ageBand}`),
      ...groupsOf(forecasts, ({ sex }) => `sex ${sex}`),
    ],
  }));
}

function groupsOf(forecasts: readonly Replayed[], of: (forecast: Replayed) => string): GroupMeasure[] {
  return [...Map.groupBy(forecasts, of)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([group, members]) => {
      const { visits, observedOverExpected } = measureReplay(members);
      return { group, visits, observedOverExpected };
    });
}
