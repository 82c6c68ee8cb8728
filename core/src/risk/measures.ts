/** How good predictions were, beside what happened. */

export interface Predicted {
  readonly probability: number;
  readonly noShow: boolean;
}

export interface Measures {
  readonly visits: number;
  readonly noShows: number;
  /** How often the one who misses had the higher score; null where nobody or everybody did. */
  readonly auc: number | null;
  /** The mean of squared errors: smaller is better. Null without visits, like the other means. */
  readonly brier: number | null;
  /** Above 0: better than to say the base rate of everybody. */
  readonly brierSkill: number | null;
  readonly logLoss: number | null;
  /** How far tenths of the visits are from what was said of them, on average. */
  readonly calibrationError: number | null;
  readonly observedOverExpected: number | null;
}

export function measure(all: readonly Predicted[]): Measures {
  const visits = all.length;
  const noShows = all.filter(({ noShow }) => noShow).length;
  const brier = mean(all, ({ probability, noShow }) => (probability - Number(noShow)) ** 2);
  const rate = noShows / visits;
  const expected = all.reduce((sum, { probability }) => sum + probability, 0);
  return {
    visits,
    noShows,
    auc: auc(all),
    brier,
    brierSkill: brier === null || rate === 0 || rate === 1 ? null : 1 - brier / (rate * (1 - rate)),
    logLoss: mean(all, ({ probability, noShow }) => -Math.log(noShow ? probability : 1 - probability)),
    calibrationError: mean(
      calibration(all).flatMap((bin) => Array<CalibrationBin>(bin.visits).fill(bin)),
      ({ expected, observed }) => Math.abs(expected - observed),
    ),
    observedOverExpected: expected === 0 ? null : noShows / expected,
  };
}

/** Whether its squared errors are larger, by more than that on average. */
export function isWorse(measures: Measures, than: Measures, by = 0): boolean {
  return measures.brier !== null && than.brier !== null && measures.brier > than.brier + by;
}

function mean<T>(items: readonly T[], of: (item: T) => number): number | null {
  return items.length === 0 ? null : items.reduce((sum, item) => sum + of(item), 0) / items.length;
}

/** By ranks; equal scores share theirs. */
function auc(all: readonly Predicted[]): number | null {
  const sorted = all.toSorted((a, b) => a.probability - b.probability);
  const missed = sorted.filter(({ noShow }) => noShow).length;
  const kept = sorted.length - missed;
  if (missed === 0 || kept === 0) return null;
  let ranks = 0;
  for (let from = 0; from < sorted.length;) {
    let until = from;
    while (until < sorted.length && sorted[until]?.probability === sorted[from]?.probability) until++;
    const tied = sorted.slice(from, until).filter(({ noShow }) => noShow).length;
    ranks += tied * ((from + 1 + until) / 2);
    from = until;
  }
  return (ranks - (missed * (missed + 1)) / 2) / (missed * kept);
}

export interface CalibrationBin {
  readonly visits: number;
  /** The mean of what was said. */
  readonly expected: number;
  /** The share that did not come. */
  readonly observed: number;
}

const TENTHS = 10;

/** Tenths of the visits by their score, the lowest first. */
export function calibration(all: readonly Predicted[]): CalibrationBin[] {
  const sorted = all.toSorted((a, b) => a.probability - b.probability);
  return Array.from({ length: TENTHS }, (_, i) => {
    const [from, until] = [i, i + 1].map((n) => Math.round((n * sorted.length) / TENTHS));
    return sorted.slice(from, until);
  }).flatMap((bin) => {
    const expected = mean(bin, ({ probability }) => probability);
    const observed = mean(bin, ({ noShow }) => Number(noShow));
    return expected === null || observed === null ? [] : [{ visits: bin.length, expected, observed }];
  });
}

/** How many there are of each value. */
export type Spread = Readonly<Record<string, number>>;

export function spreadOf<T>(items: readonly T[], of: (item: T) => string | null): Spread {
  const counts = Map.groupBy(items, (item) => of(item) ?? 'unknown');
  return Object.fromEntries([...counts].map(([value, of]) => [value, of.length]));
}

const EDGES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5] as const;

/** The range that a probability falls in: its upper edge. */
export const probabilityRange = (probability: number): string => String(EDGES.find((edge) => probability < edge) ?? 1);

/**
 * The population stability index of now against then: under 0.1 nothing has changed, over 0.25 much has. Values that one of
 * them lacks count as half a visit.
 */
export function stabilityIndex(then: Spread, now: Spread): number {
  const values = new Set([...Object.keys(then), ...Object.keys(now)]);
  const [thens, nows] = [then, now].map((spread) => Object.values(spread).reduce((sum, n) => sum + n, 0));
  if (!thens || !nows) return 0;
  return [...values].reduce((sum, value) => {
    const [p, q] = [(then[value] ?? 0.5) / thens, (now[value] ?? 0.5) / nows];
    return sum + (q - p) * Math.log(q / p);
  }, 0);
}
