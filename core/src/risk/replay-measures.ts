/**
 * How good forecasts were, against what came of them. Pure.
 *
 * AUC: the share of pairs of a miss and a visit in which the miss had the higher forecast (Mann–Whitney, ties count
 * half). Brier score: the mean squared error; its skill is against forecasting the observed rate for everybody.
 * Calibration error: the mean gap between forecast and observed rate in ten groups of equal size. Average precision: the
 * mean, over misses, of the share of misses among those forecast at least as high. PSI: Σ (a − b) ln(a / b) over groups.
 */

export interface Forecast {
  readonly probability: number;
  readonly missed: boolean;
  /** Days since 1970. */
  readonly day: number;
}

export interface Measures {
  readonly visits: number;
  readonly observedRate: number;
  readonly auc: number;
  /** Of pairs of the same day only, all days together. */
  readonly aucWithinDays: number;
  readonly averagePrecision: number;
  readonly brier: number;
  readonly brierSkill: number;
  readonly logLoss: number;
  readonly calibrationError: number;
  readonly observedOverExpected: number;
  /** The rate among the tenth that was forecast highest, over the rate of all. */
  readonly topTenthLift: number;
}

/** NaN where there is nothing to tell: no visit, no miss, or nothing but misses. */
export function measure(forecasts: readonly Forecast[]): Measures {
  const visits = forecasts.length;
  const missed = forecasts.filter((forecast) => forecast.missed).length;
  const expected = sum(forecasts, ({ probability }) => probability);
  const rate = missed / visits;
  const brier = sum(forecasts, (of) => (of.probability - outcome(of)) ** 2) / visits;
  const pairs = countPairs(forecasts);
  const ofDays = [...Map.groupBy(forecasts, ({ day }) => day).values()].map(countPairs);
  return {
    visits,
    observedRate: rate,
    auc: pairs.right / pairs.all,
    aucWithinDays: sum(ofDays, ({ right }) => right) / sum(ofDays, ({ all }) => all),
    averagePrecision: averagePrecision(forecasts),
    brier,
    brierSkill: 1 - brier / (rate * (1 - rate)),
    logLoss: sum(forecasts, (of) => -Math.log(of.missed ? of.probability : 1 - of.probability)) / visits,
    calibrationError: calibrationError(forecasts),
    observedOverExpected: missed / expected,
    topTenthLift: topTenthRate(forecasts) / rate,
  };
}

export interface CalibrationGroup {
  readonly visits: number;
  /** Means of the group. */
  readonly forecast: number;
  readonly observed: number;
}

const GROUPS = 10;

/** Tenths of the forecasts, lowest first. */
export function calibration(forecasts: readonly Forecast[]): CalibrationGroup[] {
  const inOrder = forecasts.toSorted((a, b) => a.probability - b.probability);
  const groups = Array.from({ length: GROUPS }, (_, i) =>
    inOrder.slice(Math.floor((i * inOrder.length) / GROUPS), Math.floor(((i + 1) * inOrder.length) / GROUPS)),
  );
  return groups
    .filter((group) => group.length > 0)
    .map((group) => ({
      visits: group.length,
      forecast: sum(group, ({ probability }) => probability) / group.length,
      observed: sum(group, outcome) / group.length,
    }));
}

/** How far two shares of the same groups are apart: under 0.1 is alike, from 0.25 on is another population. */
export function populationStability(before: readonly number[], now: readonly number[]): number {
  const [all, allNow] = [sum(before, itself), sum(now, itself)];
  // An empty group has no logarithm; half a visit stands for it.
  const share = (count: number | undefined, of: number) => Math.max(count ?? 0, 0.5) / Math.max(of, 0.5);
  return sum(before, (count, i) => {
    const [a, b] = [share(count, all), share(now[i], allNow)];
    return (b - a) * Math.log(b / a);
  });
}

const itself = (value: number): number => value;
const outcome = ({ missed }: Forecast): number => (missed ? 1 : 0);

function sum<T>(items: readonly T[], of: (item: T, i: number) => number): number {
  return items.reduce((total, item, i) => total + of(item, i), 0);
}

function calibrationError(forecasts: readonly Forecast[]): number {
  const groups = calibration(forecasts);
  return sum(groups, ({ visits, forecast, observed }) => visits * Math.abs(forecast - observed)) / forecasts.length;
}

/** Of a miss and a visit that was kept: how many there are, and in how many the miss was forecast higher. */
function countPairs(forecasts: readonly Forecast[]): { readonly all: number; readonly right: number } {
  const inOrder = forecasts.toSorted((a, b) => a.probability - b.probability);
  let [kept, missed, right] = [0, 0, 0];
  for (let i = 0; i < inOrder.length;) {
    let [tiedKept, tiedMissed] = [0, 0];
    const probability = inOrder[i]?.probability;
    for (; inOrder[i]?.probability === probability && i < inOrder.length; i++) {
      if (inOrder[i]?.missed) tiedMissed++;
      else tiedKept++;
    }
    right += tiedMissed * (kept + tiedKept / 2);
    kept += tiedKept;
    missed += tiedMissed;
  }
  return { all: kept * missed, right };
}

function averagePrecision(forecasts: readonly Forecast[]): number {
  const inOrder = forecasts.toSorted((a, b) => b.probability - a.probability);
  let [seen, missed, total] = [0, 0, 0];
  for (let i = 0; i < inOrder.length;) {
    let tied = 0;
    const probability = inOrder[i]?.probability;
    for (; inOrder[i]?.probability === probability && i < inOrder.length; i++) {
      seen++;
      if (inOrder[i]?.missed) tied++;
    }
    missed += tied;
    total += tied * (missed / seen);
  }
  return total / missed;
}

function topTenthRate(forecasts: readonly Forecast[]): number {
  const top = forecasts
    .toSorted((a, b) => b.probability - a.probability)
    .slice(0, Math.ceil(forecasts.length / GROUPS));
  return sum(top, outcome) / top.length;
}
