/**
 * The statistical model: a table of lead times times the patient's own past, both shrunk toward the clinic's base rate.
 *
 * It needs no training: it begins from published figures (lead-time.ts) and moves to the clinic's own as they come, each
 * as if the published ones were some visits already seen (beta-binomial).
 */
import { HISTORY_CLASSES, historyClass, historyEffect, historyWords } from './history.ts';
import { LEAD_BANDS, leadBand, leadWords, PUBLISHED_BASE_RATE, PUBLISHED_LEAD_EFFECTS } from './lead-time.ts';
import {
  type LabelledRow,
  logistic,
  logit,
  type ModelState,
  type PatientHistory,
  type RiskModel,
  type Score,
  scoreOf,
  type Term,
} from './model.ts';
import type { RiskRow } from './model.ts';

/** The published base rate counts as so many visits of the clinic. */
const PRIOR_OF_BASE = 50;
/** What the base rate and the published shape say of a lead time counts as so many visits with it. */
const PRIOR_OF_LEAD = 20;
/** What the patient's own past says by itself counts as so many visits of patients with a past like that. */
const PRIOR_OF_HISTORY = 50;

export interface StatisticalState extends ModelState {
  readonly kind: 'STATISTICAL';
  /** Of the clinic. */
  readonly visits: number;
  readonly baseRate: number;
  /** By lead band: what it adds to the log-odds of the base rate. */
  readonly leadEffects: readonly number[];
  /** By class of the patient's past; of those that the clinic has not seen, the past speaks by itself. */
  readonly historyEffects: Readonly<Record<string, number>>;
}

/** Of nobody's visits. */
const PUBLISHED: StatisticalState = {
  kind: 'STATISTICAL',
  visits: 0,
  baseRate: PUBLISHED_BASE_RATE,
  leadEffects: PUBLISHED_LEAD_EFFECTS,
  historyEffects: {},
};

/** The model of a clinic that has seen nobody yet. */
export const builtIn = (): RiskModel => statisticalModel(PUBLISHED);

/** From the clinic's own visits, in any order; none is enough. */
export function fitStatistical(rows: readonly LabelledRow[]): RiskModel {
  const visits = rows.length;
  const missed = rows.filter(({ noShow }) => noShow).length;
  const baseRate = (missed + PRIOR_OF_BASE * PUBLISHED_BASE_RATE) / (visits + PRIOR_OF_BASE);
  const base = logit(baseRate);
  const byLead = countBy(rows, ({ leadDays }) => leadBand(leadDays));
  const leadEffects = LEAD_BANDS.map((_, band) => {
    const expected = logistic(base + (PUBLISHED_LEAD_EFFECTS[band] ?? 0));
    return logit(shrunk(byLead.get(band), expected, PRIOR_OF_LEAD)) - base;
  });
  return statisticalModel({
    kind: 'STATISTICAL',
    visits,
    baseRate,
    leadEffects,
    historyEffects: historyTable(rows, { baseRate, leadEffects }),
  });
}

/** What a past adds to what the lead time says already: patients differ in how far ahead they book. */
function historyTable(
  rows: readonly LabelledRow[],
  { baseRate, leadEffects }: Pick<StatisticalState, 'baseRate' | 'leadEffects'>,
): Record<string, number> {
  const byClass = Map.groupBy(rows, ({ past }) => historyClass(past));
  const effectOf = (of: Pick<PatientHistory, 'visits' | 'noShows'>): Weighed => {
    const members = byClass.get(historyClass(of)) ?? [];
    const seen = count(members);
    const ofLead =
      members.length === 0
        ? baseRate
        : mean(members, ({ leadDays }) => logistic(logit(baseRate) + (leadEffects[leadBand(leadDays)] ?? 0)));
    const own =
      members.length === 0 ? historyEffect(of, baseRate) : mean(members, ({ past }) => historyEffect(past, baseRate));
    const rate = shrunk(seen, logistic(logit(ofLead) + own), PRIOR_OF_HISTORY);
    return { value: logit(rate) - logit(ofLead), weight: seen.visits + PRIOR_OF_HISTORY };
  };
  const classes = rows.length === 0 ? [] : [NO_PAST, ...HISTORY_CLASSES];
  return Object.fromEntries(
    classes.flatMap((alike) => {
      const effects = rising(alike.map(effectOf));
      return alike.map((of, i) => [historyClass(of), effects[i] ?? 0] as const);
    }),
  );
}

const NO_PAST = [{ visits: 0, noShows: 0 }] as const;

interface Weighed {
  readonly value: number;
  readonly weight: number;
}

/** The nearest values that never fall: neighbours that do are both their mean (pool adjacent violators). */
function rising(values: readonly Weighed[]): number[] {
  const pools: { value: number; weight: number; size: number }[] = [];
  for (const { value, weight } of values) {
    let pool = { value, weight, size: 1 };
    for (let before = pools.at(-1); before !== undefined && before.value > pool.value; before = pools.at(-1)) {
      pools.pop();
      const both = before.weight + pool.weight;
      const middle = (before.value * before.weight + pool.value * pool.weight) / both;
      pool = { value: middle, weight: both, size: before.size + pool.size };
    }
    pools.push(pool);
  }
  return pools.flatMap(({ value, size }) => Array.from({ length: size }, () => value));
}

interface Seen {
  visits: number;
  missed: number;
}

function countBy(rows: readonly LabelledRow[], of: (row: LabelledRow) => number): Map<number, Seen> {
  return new Map([...Map.groupBy(rows, of)].map(([key, members]) => [key, count(members)]));
}

function count(rows: readonly LabelledRow[]): Seen {
  return { visits: rows.length, missed: rows.filter(({ noShow }) => noShow).length };
}

function mean<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0) / items.length;
}

/** The mean of the beta posterior whose prior is `prior` visits at the expected rate. */
function shrunk({ visits, missed }: Seen = { visits: 0, missed: 0 }, expected: number, prior: number): number {
  return (missed + prior * expected) / (visits + prior);
}

export function statisticalModel(state: StatisticalState): RiskModel {
  return {
    kind: 'STATISTICAL',
    version: 'statistical-1',
    score: (row) => score(state, row),
    toJSON: () => state,
  };
}

function score(state: StatisticalState, { leadDays, past }: RiskRow): Score {
  const { visits, baseRate, leadEffects, historyEffects } = state;
  const ofHistory = historyEffects[historyClass(past)] ?? historyEffect(past, baseRate);
  const terms: Term[] = [
    { feature: 'lead time', words: leadWords(leadDays), logOdds: leadEffects[leadBand(leadDays)] ?? 0 },
    { feature: 'patient history', words: historyWords(past), logOdds: ofHistory },
  ];
  const scored = scoreOf(logit(baseRate), terms, 'like most visits here');
  if (past.visits > 0) return scored;
  // Nothing is known of the patient, and perhaps of the clinic: say what stands in for it.
  const percent = `${Math.round(baseRate * 100)} %`;
  const standsIn =
    visits === 0 ? `${percent} is the published average: no visits here yet` : `${percent} are missed here`;
  return { ...scored, reasons: [...scored.reasons, `no history of the patient: ${standsIn}`] };
}
