/** The thread that a model learns in: it is given rows, and null when those are all; it answers with what it learned. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Measures, measure, probabilityRange, type Spread, spreadOf } from './measures.ts';
import type { LabelledRow, ModelKind, ModelState, RiskModel } from './model/model.ts';
import { fitScorecard, type ScorecardState } from './model/scorecard.ts';
import { fitStatistical } from './model/statistical.ts';

export interface Lesson {
  readonly kind: Exclude<ModelKind, 'LEGACY'>;
  /** What the last one of the kind had learned: to begin from. */
  readonly previous: ModelState | null;
}

export interface ModelFigures {
  /** On the last weeks, which neither had seen; null where they had too few visits. */
  readonly heldOut: { readonly model: Measures; readonly statistical: Measures } | null;
  /** How what it learned from is spread, to tell when that changes. */
  readonly spread: Readonly<Record<string, Spread>>;
}

export interface Learned {
  readonly state: ModelState;
  readonly figures: ModelFigures;
}

const HELD_OUT_DAYS = 28;
const LEAST_HELD_OUT = 50;

function learn({ kind, previous }: Lesson, rows: readonly LabelledRow[]): Learned {
  const model = fit(kind, rows, previous);
  return { state: model.toJSON(), figures: { heldOut: heldOut(kind, rows), spread: spreadsOf(rows, model) } };
}

function fit(kind: Lesson['kind'], rows: readonly LabelledRow[], previous: ModelState | null): RiskModel {
  if (kind === 'STATISTICAL') return fitStatistical(rows);
  return fitScorecard(rows, previous?.kind === 'ADVANCED' ? (previous as ScorecardState) : undefined);
}

/** From the beginning: what was learned before has seen those weeks. */
function heldOut(kind: Lesson['kind'], rows: readonly LabelledRow[]): ModelFigures['heldOut'] {
  const last = rows.reduce((newest, { day }) => Math.max(newest, day), Number.NEGATIVE_INFINITY);
  const { seen = [], unseen = [] } = Object.groupBy(rows, ({ day }) =>
    day > last - HELD_OUT_DAYS ? 'unseen' : 'seen',
  );
  if (unseen.length < LEAST_HELD_OUT || seen.length === 0) return null;
  return { model: measured(fit(kind, seen, null), unseen), statistical: measured(fitStatistical(seen), unseen) };
}

const measured = (model: RiskModel, rows: readonly LabelledRow[]): Measures =>
  measure(rows.map((row) => ({ probability: model.score(row).probability, noShow: row.noShow })));

function spreadsOf(rows: readonly LabelledRow[], model: RiskModel): ModelFigures['spread'] {
  return {
    probability: spreadOf(rows, (row) => probabilityRange(model.score(row).probability)),
    service: spreadOf(rows, ({ service }) => service),
    ageBand: spreadOf(rows, ({ ageBand }) => ageBand),
    sameDay: spreadOf(rows, ({ leadDays }) => String(leadDays === 0)),
  };
}

const all: LabelledRow[] = [];
// Where the file is imported for its types there is no parent.
parentPort?.on('message', (rows: readonly LabelledRow[] | null) => {
  if (rows !== null) for (const row of rows) all.push(row);
  else parentPort?.postMessage(learn(workerData as Lesson, all), []);
});
