/**
 * No-show models: the first fit to 60,000 visits, a nightly refit to 100,000 that starts from the last weights, and scores
 * of a million rows as a nightly run needs them, with the memory after. Visits are made by a rule (generated-history.ts).
 *
 *   node bench/src/risk.ts 60000 100000 1000000
 */
import { type GeneratedVisit, generateHistory } from '@careflex/core/risk/model/generated-history';
import { fitScorecard, type ScorecardState } from '@careflex/core/risk/model/scorecard';

export interface RiskFigures {
  readonly fitSeconds: number;
  readonly refitSeconds: number;
  readonly scoreSeconds: number;
  /** What a run over all rows adds to the heap. */
  readonly heapMegabytes: number;
}

export interface RiskSizes {
  readonly fit: number;
  readonly refit: number;
  readonly scores: number;
}

export function measureRisk({ fit, refit, scores }: RiskSizes): RiskFigures {
  const visits = [...generateHistory(11, refit, { visitsPerDay: 1_000 })];
  const first = timed(() => fitScorecard(visits.slice(0, fit)));
  const state = first.result.toJSON() as ScorecardState;
  const again = timed(() => fitScorecard(visits, state));

  const heapBefore = heapMegabytes();
  const scored = timed(() => {
    let sum = 0;
    for (let i = 0; i < scores; i++) sum += again.result.score(visits[i % visits.length] as GeneratedVisit).probability;
    return sum;
  });
  if (!(scored.result > 0)) throw new Error('Nothing was scored.');
  return {
    fitSeconds: first.seconds,
    refitSeconds: again.seconds,
    scoreSeconds: scored.seconds,
    heapMegabytes: heapMegabytes() - heapBefore,
  };
}

function timed<T>(work: () => T): { readonly result: T; readonly seconds: number } {
  const start = performance.now();
  const result = work();
  return { result, seconds: (performance.now() - start) / 1_000 };
}

const heapMegabytes = (): number => process.memoryUsage().heapUsed / 2 ** 20;

if (import.meta.main) {
  const [fit = 60_000, refit = 100_000, scores = 1_000_000] = process.argv.slice(2).map(Number);
  const figures = measureRisk({ fit, refit, scores });
  console.log(`fit to ${fit} visits: ${figures.fitSeconds.toFixed(1)} s`);
  console.log(`warm refit to ${refit} visits: ${figures.refitSeconds.toFixed(1)} s`);
  console.log(
    `${scores} scores: ${figures.scoreSeconds.toFixed(1)} s, heap ${figures.heapMegabytes.toFixed(0)} MB more`,
  );
}
