/**
 * The rule of the earlier system, for comparison and never the default: misses, and half of the cancellations, as
 * percent of past visits; 50 without any; 10 more at weekends.
 */
import { bandOf, logistic, logit, type ModelState, type RiskModel, type RiskRow, type Score } from './model.ts';

export const legacyModel: RiskModel = {
  kind: 'LEGACY',
  version: 'v0-legacy',
  score,
  toJSON: (): ModelState => ({ kind: 'LEGACY' }),
};

const SATURDAY = 6;
const WEEKEND_POINTS = 10;
const UNKNOWN_POINTS = 50;
/** 0 and 100 have no odds. */
const CERTAIN = 0.001;

/** What it calls a score: whole percent, 0 to 100. */
export function legacyPoints({ past, weekday }: Pick<RiskRow, 'past' | 'weekday'>): number {
  const own =
    past.visits === 0
      ? UNKNOWN_POINTS
      : Math.min(Math.round(((past.noShows + 0.5 * past.cancellations) / past.visits) * 100), 100);
  return Math.min(own + (weekday >= SATURDAY ? WEEKEND_POINTS : 0), 100);
}

function score(row: RiskRow): Score {
  const percent = legacyPoints(row);
  const base = logit(Math.min(1 - CERTAIN, Math.max(CERTAIN, percent / 100)));
  const probability = logistic(base);
  return {
    probability,
    band: bandOf(probability),
    base,
    terms: [],
    reasons: [`${percent} by the rule of the earlier system`],
  };
}
