/**
 * What a replay can tell besides: how forecasts order the visits of one day, and what the highest are worth.
 *
 * Average precision: the mean, over misses, of the share of misses among those forecast at least as high.
 */
import { measure, type Measures, type Predicted } from './measures.ts';

export interface Forecast extends Predicted {
  /** Days since 1970. */
  readonly day: number;
}

export interface ReplayMeasures extends Measures {
  readonly noShowRate: number | null;
  /** As `auc`, of pairs of the same day only, all days together. */
  readonly aucWithinDays: number | null;
  readonly averagePrecision: number | null;
  /** The rate among the tenth that was forecast highest, over the rate of all. */
  readonly topTenthLift: number | null;
}

/** Null where there is nothing to tell: no visit, no miss, or nothing but misses. */
export function measureReplay(forecasts: readonly Forecast[]): ReplayMeasures {
  const measures = measure(forecasts);
  const { visits, noShows } = measures;
  const rate = visits === 0 ? null : noShows / visits;
  const highestFirst = forecasts.toSorted((a, b) => b.probability - a.probability);
  return {
    ...measures,
    noShowRate: rate,
    aucWithinDays: aucWithinDays(forecasts),
    averagePrecision: noShows === 0 ? null : averagePrecision(highestFirst, noShows),
    topTenthLift: rate === null || rate === 0 ? null : topTenthRate(highestFirst) / rate,
  };
}

function aucWithinDays(forecasts: readonly Forecast[]): number | null {
  let [right, all] = [0, 0];
  for (const ofDay of Map.groupBy(forecasts, ({ day }) => day).values()) {
    const { auc, noShows, visits } = measure(ofDay);
    const pairs = noShows * (visits - noShows);
    right += (auc ?? 0) * pairs;
    all += pairs;
  }
  return all === 0 ? null : right / all;
}

/** Those that were forecast alike are taken together. */
function averagePrecision(highestFirst: readonly Forecast[], noShows: number): number {
  let [seen, missed, total] = [0, 0, 0];
  for (const alike of Map.groupBy(highestFirst, ({ probability }) => probability).values()) {
    const missedAlike = alike.filter(({ noShow }) => noShow).length;
    seen += alike.length;
    missed += missedAlike;
    total += missedAlike * (missed / seen);
  }
  return total / noShows;
}

function topTenthRate(highestFirst: readonly Forecast[]): number {
  const top = highestFirst.slice(0, Math.ceil(highestFirst.length / 10));
  return top.filter(({ noShow }) => noShow).length / top.length;
}
