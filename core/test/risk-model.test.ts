/** The no-show models: what holds for each of them whatever they were fitted to, and whether they find a known truth. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FACTS } from '../src/risk/model/facts.ts';
import { type GeneratedVisit, generateHistory, randomFrom, TRUTH } from '../src/risk/model/generated-history.ts';
import { PUBLISHED_BASE_RATE } from '../src/risk/model/lead-time.ts';
import { legacyModel, legacyPoints } from '../src/risk/model/legacy.ts';
import { bandOf, type LabelledRow, logistic, logit, type RiskModel, type RiskRow } from '../src/risk/model/model.ts';
import { fitWeights } from '../src/risk/model/newton.ts';
import { restore } from '../src/risk/model/restore.ts';
import { fitScorecard, type ScorecardState } from '../src/risk/model/scorecard.ts';
import { builtIn, fitStatistical } from '../src/risk/model/statistical.ts';

const row = (more: Partial<RiskRow> = {}): RiskRow => ({
  patient: 'p',
  provider: null,
  clinic: null,
  service: null,
  leadDays: 5,
  weekday: 2,
  hour: 9,
  bookedHour: 10,
  ageBand: '30-39',
  past: past(0, 0),
  confirmed: null,
  message: 'NONE',
  ...more,
});

/** So many of the visits were missed, the last ones. */
function past(noShows: number, visits: number): RiskRow['past'] {
  const lastOutcomes = Array.from({ length: Math.min(visits, 5) }, (_, i) => i < noShows);
  const daysSinceLast = visits === 0 ? null : 10;
  return { visits, noShows, cancellations: 0, lateCancellations: 0, lastOutcomes, daysSinceLast };
}

const visits = [...generateHistory(7, 12_000)];
const few = visits.slice(0, 200);

/** Whoever came before is missed, and the other way round. */
const contrary = visits
  .slice(0, 6_000)
  .map(({ past, ...rest }): LabelledRow => Object.assign(rest, { past, noShow: past.noShows * 2 < past.visits }));

const MODELS: Readonly<Record<string, RiskModel>> = {
  'statistical, built in': builtIn(),
  'statistical, of 200 visits': fitStatistical(few),
  'statistical, of 12,000 visits': fitStatistical(visits),
  'advanced, of none': fitScorecard([]),
  'advanced, of 200 visits': fitScorecard(few),
  'advanced, of 12,000 visits': fitScorecard(visits),
  'statistical, of a contrary history': fitStatistical(contrary),
  'advanced, of a contrary history': fitScorecard(contrary),
  'v0-legacy': legacyModel,
};

const anyRow = fc
  .record({
    leadDays: fc.integer({ min: 0, max: 400 }),
    weekday: fc.integer({ min: 1, max: 7 }),
    clinic: fc.constantFrom('clinic-1', 'clinic-2', 'unknown', null),
    provider: fc.constantFrom('provider-1', 'provider-2', 'unknown', null),
    ageBand: fc.constantFrom('0-9', '20-29', '80+', null),
    message: fc.constantFrom('NONE', 'PLANNED', 'SENT', 'DELIVERED', 'FAILED'),
    confirmed: fc.constantFrom(null, true, false),
    visits: fc.integer({ min: 0, max: 40 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ visits, share, ...rest }) => row({ ...rest, past: past(Math.round(share * visits), visits) }));

for (const [name, model] of Object.entries(MODELS)) {
  describe(name, () => {
    test('the base and the terms add up to the log-odds, in their order', () => {
      fc.assert(
        fc.property(anyRow, (each) => {
          const { base, terms, probability, band, reasons } = model.score(each);
          assert.equal(logistic(terms.reduce((sum, { logOdds }) => sum + logOdds, base)), probability);
          assert.ok(probability > 0 && probability < 1);
          assert.equal(band, bandOf(probability));
          assert.ok(reasons.length > 0 && reasons.length <= 3);
        }),
      );
    });

    test('one more miss never lowers the probability', () => {
      fc.assert(
        fc.property(anyRow, ({ past: { visits, noShows }, ...rest }) => {
          if (noShows >= visits) return;
          const before = model.score({ ...rest, past: past(noShows, visits) }).probability;
          const after = model.score({ ...rest, past: past(noShows + 1, visits) }).probability;
          assert.ok(after >= before - 1e-12, `${noShows} of ${visits}: ${before}, one more: ${after}`);
        }),
      );
    });

    test('scores alike after having been stored', () => {
      const again = restore(JSON.parse(JSON.stringify(model)));
      fc.assert(fc.property(anyRow, (each) => assert.deepEqual(again.score(each), model.score(each))));
    });
  });
}

describe('the words of the scorecard', () => {
  const often = (provider: string) =>
    visits.map((each, i) => ({ ...each, provider: i % 2 ? provider : 'another', noShow: i % 2 === 1 }));

  test('say whether a provider, a place or a service is missed more often, or less', () => {
    const model = fitScorecard(often('p'));
    const wordsOf = (provider: string) => {
      const { terms } = model.score(row({ provider, clinic: null, service: 'HOME_VISIT' }));
      return terms.find(({ feature }) => feature === 'provider')?.words;
    };
    assert.equal(wordsOf('p'), 'visits with this provider are missed more often than others');
    assert.equal(wordsOf('another'), 'visits with this provider are missed less often than others');
    const services = model.score(row({ service: 'TRANSPORTATION' })).terms.find(({ feature }) => feature === 'service');
    assert.match(services?.words ?? '', /^rides are missed (more|less) often than others$/);
  });
});

describe('statistical', () => {
  test('a clinic without a visit gets the published rates, and is told so', () => {
    const { base, reasons } = builtIn().score(row({ leadDays: 1 }));
    assert.ok(Math.abs(base - logit(PUBLISHED_BASE_RATE)) < 1e-12);
    assert.match(reasons.join(), /23 % is the published average: no visits here yet/);
    const rates = [0, 1, 4, 7, 13].map((leadDays) => builtIn().score(row({ leadDays })).probability);
    assert.deepEqual(rates, rising(rates));
  });

  test('a new patient is at the rate of the clinic, and the reasons say so', () => {
    const rate = mean(visits.map(({ noShow }) => Number(noShow)));
    const fitted = fitStatistical(visits);
    const { base, reasons } = fitted.score(row());
    assert.ok(Math.abs(logistic(base) - rate) < 0.01);
    assert.match(reasons.at(-1) ?? '', /no history of the patient: \d+ % are missed here/);
    const unknown = mean(visits.filter(({ past }) => past.visits === 0).map((each) => fitted.score(each).probability));
    assert.ok(Math.abs(unknown - rate) < 0.04);
  });

  test('history counts more as it grows', () => {
    const model = builtIn();
    const missedAll = [0, 1, 2, 5, 20].map((n) => model.score(row({ past: past(n, n) })).probability);
    const cameAlways = [20, 5, 2, 1, 0].map((n) => model.score(row({ past: past(0, n) })).probability);
    assert.deepEqual(missedAll, rising(missedAll));
    assert.deepEqual(cameAlways, rising(cameAlways));
  });
});

describe('v0-legacy', () => {
  const points = (visits: number, noShows: number, more: { cancellations?: number; weekday?: number } = {}) => {
    const { cancellations = 0, weekday = 1 } = more;
    return legacyPoints({ past: { ...past(noShows, visits), cancellations }, weekday });
  };

  test('is the rule of the earlier system', () => {
    assert.equal(points(0, 0), 50);
    assert.equal(points(0, 0, { weekday: 6 }), 60);
    assert.equal(points(3, 1), 33);
    assert.equal(points(3, 1, { cancellations: 1 }), 50);
    assert.equal(points(4, 4, { cancellations: 2 }), 100);
    assert.equal(points(4, 4, { weekday: 7 }), 100);
    assert.equal(points(4, 0), 0);
  });
});

describe('fitWeights', () => {
  test('finds the weights that the outcomes were drawn by', () => {
    const truth = [-0.5, 2, -1];
    const random = randomFrom(3);
    const size = 20_000;
    const values = Float64Array.from({ length: size * 3 }, (_, i) => (i % 3 === 0 ? 1 : 2 * random() - 1));
    const columns = Int32Array.from(values, (_, i) => i % 3);
    const outcomes = Uint8Array.from({ length: size }, (_, r) => {
      const logOdds = truth.reduce((sum, weight, c) => sum + weight * (values[r * 3 + c] ?? 0), 0);
      return random() < logistic(logOdds) ? 1 : 0;
    });
    const starts = Int32Array.from({ length: size + 1 }, (_, r) => r * 3);
    const rows = { starts, columns, values, outcomes, weights: new Float64Array(size).fill(1) };
    const prior = { mean: new Float64Array(3), precision: new Float64Array(3).fill(0.01) };
    const weights = fitWeights(rows, prior, new Float64Array(3));
    for (const [i, weight] of weights.entries())
      assert.ok(Math.abs(weight - (truth[i] ?? 0)) < 0.12, `${i}: ${weight}`);

    const far = fitWeights(rows, prior, Float64Array.of(8, -8, 8));
    for (const [i, weight] of far.entries()) assert.ok(Math.abs(weight - (weights[i] ?? 0)) < 1e-3);
  });

  test('answers the prior where nothing was seen', () => {
    const none = new Float64Array(0);
    const rows = { starts: new Int32Array(1), columns: new Int32Array(0), values: none, outcomes: new Uint8Array(0) };
    const prior = { mean: Float64Array.of(0.7, -2), precision: Float64Array.of(1, 4) };
    const weights = fitWeights({ ...rows, weights: none }, prior, new Float64Array(2));
    assert.ok(Math.abs((weights[0] ?? 0) - 0.7) < 1e-9 && Math.abs((weights[1] ?? 0) + 2) < 1e-9);
  });
});

describe('advanced', () => {
  const model = fitScorecard(visits);

  test('finds what the outcomes were drawn by', () => {
    const state = model.toJSON() as ScorecardState;
    const confirmed = state.weights['confirmed'] ?? {};
    assert.ok(Math.abs((confirmed['true'] ?? 0) - (confirmed['null'] ?? 0) - TRUTH.confirmed) < 0.35);
    const lead = (leadDays: number) => model.score(row({ leadDays, message: 'SENT', past: past(1, 4) })).probability;
    assert.ok(lead(0) < lead(1) && lead(1) < lead(12) && lead(12) < lead(60));
    const provider = (of: string) => logit(model.score(row({ provider: of })).probability);
    assert.ok(Math.abs(provider('provider-1') - provider('unknown')) < 3 * TRUTH.providers, 'shrunk');
  });

  test('is nearer to the truth on later visits than the statistical model', () => {
    const [statistical, late] = [fitStatistical(visits.slice(0, 9_000)), visits.slice(9_000)];
    const advanced = fitScorecard(visits.slice(0, 9_000));
    assert.ok(error(advanced, late) < error(statistical, late));
    const observed = late.filter(({ noShow }) => noShow).length;
    const expected = late.reduce((sum, each) => sum + advanced.score(each).probability, 0);
    assert.ok(observed / expected > 0.9 && observed / expected < 1.1);
  });

  test('a level that nobody has seen is neutral', () => {
    const terms = model.score(row({ clinic: 'never seen', provider: 'never seen', service: 'never seen' })).terms;
    for (const feature of ['clinic', 'provider', 'service']) {
      assert.equal(terms.find((term) => term.feature === feature)?.logOdds, 0);
    }
  });

  test('the intercept follows a leap of the base rate', () => {
    const leap = { fromDay: 20_030, logOdds: 0.8 };
    const after = [...generateHistory(7, 13_500, { drift: leap })];
    const [before, later] = [after.slice(0, 12_000), after.slice(12_000)];
    const still = fitScorecard(before.filter(({ day }) => day < leap.fromDay));
    const ratio = (of: RiskModel) =>
      later.filter(({ noShow }) => noShow).length / later.reduce((sum, each) => sum + of.score(each).probability, 0);
    assert.ok(ratio(still) > 1.2, `without the days after it: ${ratio(still)}`);
    assert.ok(Math.abs(ratio(fitScorecard(before)) - 1) < 0.1, `with them: ${ratio(fitScorecard(before))}`);
  });

  test('a warm refit comes to the same scores', () => {
    const warm = fitScorecard(visits, fitScorecard(visits.slice(0, 11_000)).toJSON() as ScorecardState);
    for (const each of visits.slice(-200)) {
      assert.ok(Math.abs(warm.score(each).probability - model.score(each).probability) < 1e-3);
    }
  });

  test('looks at nothing that groups people by a protected trait but age', () => {
    const looked = FACTS.map(({ name }) => name).join(' ');
    assert.doesNotMatch(looked, /sex|gender|welfare|disab|diagnos|hypert|diabet|alcohol|race|ethnic|language/i);
  });
});

describe('generateHistory', () => {
  test('gives the same visits for the same seed, in the order of their days', () => {
    const again = [...generateHistory(7, 12_000)];
    assert.deepEqual(again.at(-1), visits.at(-1));
    const days = visits.map(({ day }) => day);
    assert.deepEqual(days, rising(days));
  });

  test('what a row tells of the past is of earlier days', () => {
    const seen = new Map<string, LabelledRow[]>();
    for (const visit of visits.slice(0, 4_000)) {
      const earlier = (seen.get(visit.patient) ?? []).filter(({ day }) => day < visit.day);
      assert.equal(visit.past.visits, earlier.length);
      assert.equal(visit.past.noShows, earlier.filter(({ noShow }) => noShow).length);
      seen.set(visit.patient, [...(seen.get(visit.patient) ?? []), visit]);
    }
  });
});

/** The mean squared distance from the probability that the outcome was drawn by. */
function error(model: RiskModel, of: readonly GeneratedVisit[]): number {
  return mean(of.map((each) => (model.score(each).probability - each.truth) ** 2));
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

function rising(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((a, b) => a - b);
}
