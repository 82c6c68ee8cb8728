/**
 * The advanced model: a scorecard, that is a sum of what each fact of a visit adds to the log-odds (facts.ts), fitted to
 * the clinic's own visits (newton.ts) and brought to the rate of the last days by a rolling intercept.
 *
 * A fact's contribution is told against the average visit, so a term of 0 means "like others", and that is also what a
 * level counts as that was never seen.
 */
import { type Fact, FACTS } from './facts.ts';
import { PUBLISHED_BASE_RATE } from './lead-time.ts';
import {
  type LabelledRow,
  logistic,
  logit,
  type ModelState,
  type RiskModel,
  type RiskRow,
  type Score,
  scoreOf,
  type Term,
} from './model.ts';
import { fitWeights, type SparseRows } from './newton.ts';

export interface ScorecardState extends ModelState {
  readonly kind: 'ADVANCED';
  /** How many visits it was fitted to. */
  readonly visits: number;
  /** Log-odds of the average visit, as of the last days. */
  readonly base: number;
  /** By fact and level (`weekday`, `ahead 1`), or by fact and nothing for a number. */
  readonly weights: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By fact: what it adds on average. */
  readonly averages: Readonly<Record<string, number>>;
}

/** A level that fewer visits have is not learnt. */
const LEAST_VISITS = 5;
/** The intercept starts at the published rate, and is free to leave it. */
const SPREAD_OF_BASE = 3;
/** The intercept follows so many days, as if a hundred visits more had gone as predicted. */
const ROLLING_DAYS = 7;
const ROLLING_PRIOR = 100 * 0.16;
const NUMBER = '';

/** Fits to visits that are final; `before` is the state to start from, which saves most of the time. */
export function fitScorecard(rows: readonly LabelledRow[], before?: ScorecardState): RiskModel {
  const columns = columnsFor(rows);
  const sparse = toSparse(rows, columns);
  const prior = priorOf(columns);
  const weights = fitWeights(sparse, prior, startAt(columns, before) ?? prior.mean.slice());
  for (const [i, { fact }] of columns.list.entries()) {
    if (fact?.least !== undefined) weights[i] = Math.max(fact.least, weights[i] ?? 0);
  }
  const state = toState(columns, weights, sparse);
  const average = Object.values(state.averages).reduce((sum, of) => sum + of, 0);
  const base = (weights[0] ?? 0) + average;
  return scorecardModel({ ...state, base: base + rolling({ ...state, base }, rows) });
}

interface Column {
  /** Null is the intercept. */
  readonly fact: Fact | null;
  readonly level: string;
}

interface Columns {
  readonly list: readonly Column[];
  /** By fact, in the order of {@link FACTS}: the columns of its levels. */
  readonly byFact: readonly ReadonlyMap<string, number>[];
}

function columnsFor(rows: readonly LabelledRow[]): Columns {
  const list: Column[] = [{ fact: null, level: NUMBER }];
  const byFact = FACTS.map((fact) => {
    const levels = fact.level === undefined ? [NUMBER] : frequentLevels(rows, fact);
    return new Map(levels.map((level) => [level, list.push({ fact, level }) - 1]));
  });
  return { list, byFact };
}

function frequentLevels(rows: readonly LabelledRow[], { level, mostLevels = 200 }: Fact): string[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const of = level?.(row) ?? NUMBER;
    counts.set(of, (counts.get(of) ?? 0) + 1);
  }
  const frequent = [...counts].filter(([, count]) => count >= LEAST_VISITS);
  return frequent
    .toSorted(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, mostLevels)
    .map(([of]) => of);
}

function toSparse(rows: readonly LabelledRow[], { byFact }: Columns): SparseRows {
  const starts = new Int32Array(rows.length + 1);
  const columns = new Int32Array(rows.length * (FACTS.length + 1));
  const values = new Float64Array(columns.length);
  let used = 0;
  const add = (column: number, value: number) => {
    columns[used] = column;
    values[used++] = value;
  };
  for (const [i, row] of rows.entries()) {
    starts[i] = used;
    add(0, 1);
    for (const [f, fact] of FACTS.entries()) {
      const column = byFact[f]?.get(fact.level?.(row) ?? NUMBER);
      const value = fact.value?.(row) ?? 1;
      if (column !== undefined && value !== 0) add(column, value);
    }
  }
  starts[rows.length] = used;
  const outcomes = Uint8Array.from(rows, ({ noShow }) => (noShow ? 1 : 0));
  return { starts, columns, values, outcomes, weights: new Float64Array(rows.length).fill(1) };
}

function priorOf({ list }: Columns) {
  return {
    mean: Float64Array.from(list, ({ fact, level }) =>
      fact === null ? logit(PUBLISHED_BASE_RATE) : (fact.prior?.(level) ?? 0),
    ),
    precision: Float64Array.from(list, ({ fact }) => (fact?.spread ?? SPREAD_OF_BASE) ** -2),
  };
}

function startAt({ list }: Columns, before: ScorecardState | undefined): Float64Array | undefined {
  if (before === undefined) return undefined;
  const averages = Object.values(before.averages).reduce((sum, average) => sum + average, 0);
  return Float64Array.from(list, ({ fact, level }) =>
    fact === null ? before.base - averages : (before.weights[fact.name]?.[level] ?? fact.prior?.(level) ?? 0),
  );
}

function toState({ byFact }: Columns, weights: Float64Array, sparse: SparseRows): Omit<ScorecardState, 'base'> {
  const visits = sparse.outcomes.length;
  const sums = new Float64Array(weights.length);
  for (let i = 0; i < (sparse.starts[visits] ?? 0); i++) {
    const column = sparse.columns[i] ?? 0;
    sums[column] = (sums[column] ?? 0) + (sparse.values[i] ?? 0);
  }
  const averages: Record<string, number> = {};
  const named: Record<string, Record<string, number>> = {};
  for (const [f, { name }] of FACTS.entries()) {
    const columns = [...(byFact[f] ?? [])];
    named[name] = Object.fromEntries(columns.map(([level, column]) => [level, weights[column] ?? 0]));
    const sum = columns.reduce((all, [, column]) => all + (sums[column] ?? 0) * (weights[column] ?? 0), 0);
    averages[name] = visits === 0 ? 0 : sum / visits;
  }
  return { kind: 'ADVANCED', visits, weights: named, averages };
}

/** What the last days say the intercept is off by: one step of Newton's, held back by the prior. */
function rolling(state: ScorecardState, rows: readonly LabelledRow[]): number {
  const newest = rows.reduce((day, row) => Math.max(day, row.day), Number.NEGATIVE_INFINITY);
  let [error, variance] = [0, ROLLING_PRIOR];
  for (const row of rows) {
    if (row.day <= newest - ROLLING_DAYS) continue;
    const probability = logistic(logOddsOf(state, row));
    error += (row.noShow ? 1 : 0) - probability;
    variance += probability * (1 - probability);
  }
  return error / variance;
}

export function scorecardModel(state: ScorecardState): RiskModel {
  return {
    kind: 'ADVANCED',
    version: 'advanced-1',
    score: (row) => score(state, row),
    toJSON: () => state,
  };
}

const FEATURES = [...Map.groupBy(FACTS, ({ feature }) => feature)] as [string, [Fact, ...Fact[]]][];

function score(state: ScorecardState, row: RiskRow): Score {
  const terms = FEATURES.map(([feature, facts]): Term => {
    const logOdds = facts.reduce((sum, fact) => sum + contribution(state, fact, row), 0);
    return { feature, words: facts[0].words(row, logOdds > 0), logOdds };
  });
  return scoreOf(state.base, terms, 'like most visits here');
}

function logOddsOf(state: ScorecardState, row: RiskRow): number {
  return FACTS.reduce((sum, fact) => sum + contribution(state, fact, row), state.base);
}

/** Against the average visit. */
function contribution({ weights, averages }: ScorecardState, fact: Fact, row: RiskRow): number {
  const average = averages[fact.name];
  const weight = weights[fact.name]?.[fact.level?.(row) ?? NUMBER];
  // A fact or a level that it has not learnt.
  if (average === undefined || weight === undefined) return 0;
  return weight * (fact.value?.(row) ?? 1) - average;
}
