/**
 * The statistical model: a table of lead times times the patient's own past, both shrunk toward the clinic's base rate.
 *
 * It needs no training: it begins from published figures (lead-time.ts) and moves to the clinic's own as they come, each
 * as if the published ones were some visits already seen (beta-binomial).
 */
import { historyEffect, historyWords } from './history.ts';
import { LEAD_BANDS, leadBand, leadWords, PUBLISHED_BASE_RATE, PUBLISHED_LEAD_EFFECTS } from './lead-time.ts';
import {
  type LabelledRow,
  logistic,
  logit,
  type ModelState,
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

export interface StatisticalState extends ModelState {
  readonly kind: 'STATISTICAL';
  /** Of the clinic. */
  readonly visits: number;
  readonly baseRate: number;
  /** By lead band: what it adds to the log-odds of the base rate. */
  readonly leadEffects: readonly number[];
}

/** Of nobody's visits. */
const PUBLISHED: StatisticalState = {
  kind: 'STATISTICAL',
  visits: 0,
  baseRate: PUBLISHED_BASE_RATE,
  leadEffects: PUBLISHED_LEAD_EFFECTS,
};

/** The model of a clinic that has seen nobody yet. */
export const builtIn = (): RiskModel => statisticalModel(PUBLISHED);

/** From the clinic's own visits, in any order; none is enough. */
export function fitStatistical(rows: Iterable<LabelledRow>): RiskModel {
  const seen = LEAD_BANDS.map(() => ({ visits: 0, missed: 0 }));
  for (const { leadDays, noShow } of rows) {
    const band = seen[leadBand(leadDays)] as (typeof seen)[number];
    band.visits++;
    if (noShow) band.missed++;
  }
  const visits = seen.reduce((sum, band) => sum + band.visits, 0);
  const missed = seen.reduce((sum, band) => sum + band.missed, 0);
  const baseRate = (missed + PRIOR_OF_BASE * PUBLISHED_BASE_RATE) / (visits + PRIOR_OF_BASE);
  const leadEffects = seen.map((band, i) => {
    const expected = logistic(logit(baseRate) + (PUBLISHED_LEAD_EFFECTS[i] ?? 0));
    const rate = (band.missed + PRIOR_OF_LEAD * expected) / (band.visits + PRIOR_OF_LEAD);
    return logit(rate) - logit(baseRate);
  });
  return statisticalModel({ kind: 'STATISTICAL', visits, baseRate, leadEffects });
}

export function statisticalModel(state: StatisticalState): RiskModel {
  return {
    kind: 'STATISTICAL',
    version: 'statistical-1',
    score: (row) => score(state, row),
    toJSON: () => state,
  };
}

function score({ visits, baseRate, leadEffects }: StatisticalState, { leadDays, past }: RiskRow): Score {
  const terms: Term[] = [
    { feature: 'lead time', words: leadWords(leadDays), logOdds: leadEffects[leadBand(leadDays)] ?? 0 },
    { feature: 'patient history', words: historyWords(past), logOdds: historyEffect(past, baseRate) },
  ];
  const scored = scoreOf(logit(baseRate), terms, 'like most visits here');
  if (past.visits > 0) return scored;
  // Nothing is known of the patient, and perhaps of the clinic: say what stands in for it.
  const percent = `${Math.round(baseRate * 100)} %`;
  const standsIn =
    visits === 0 ? `${percent} is the published average: no visits here yet` : `${percent} are missed here`;
  return { ...scored, reasons: [...scored.reasons, `no history of the patient: ${standsIn}`] };
}
