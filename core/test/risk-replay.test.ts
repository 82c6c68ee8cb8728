/** The replay of past visits: no forecast knows what came after it, and its measures are those of the textbooks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type PastVisit, type Replay, replay, report } from '../src/risk/backtest.ts';
import { randomFrom } from '../src/risk/model/generated-history.ts';
import { type Forecast, measureReplay } from '../src/risk/replay-measures.ts';

const FIRST = Temporal.PlainDate.from('2026-03-02');
const DAYS = 12;
const A_DAY = 60;

/** Every second visit is booked for its own day; whoever is odd misses more. */
const visits: readonly PastVisit[] = (() => {
  const random = randomFrom(5);
  return Array.from({ length: DAYS * A_DAY }, (_, i): PastVisit => {
    const day = FIRST.add({ days: Math.floor(i / A_DAY) });
    const leadDays = i % 2 === 0 ? 0 : 1 + Math.floor(random() * 20);
    const patient = Math.floor(random() * 150);
    return {
      patient: String(patient),
      clinic: `C${i % 3}`,
      bookedAt: day.subtract({ days: leadDays }).toPlainDateTime({ hour: 8 + (i % 9) }),
      day,
      age: patient % 90,
      sex: patient % 2 === 0 ? 'F' : 'M',
      reminded: leadDays > 2,
      noShow: random() < (leadDays === 0 ? 0.05 : 0.25) + (patient % 2) * 0.15,
    };
  });
})();

const MIDDLE = FIRST.add({ days: 6 });
const isLater = ({ day }: PastVisit) => Temporal.PlainDate.compare(day, MIDDLE) >= 0;
const EPOCH = Temporal.PlainDate.from('1970-01-01');

/** By model: what was forecast up to the middle day, that one with it. */
function upToMiddle(of: Replay): number[][] {
  const last = EPOCH.until(MIDDLE).days;
  return Object.values(of).map((forecasts) =>
    forecasts.filter(({ day }) => day <= last).map(({ probability }) => probability),
  );
}

describe('replay', () => {
  const asItWas = upToMiddle(replay(visits));

  test('a forecast sees no outcome of its own day or of a later one', () => {
    const turned = visits.map((visit) => (isLater(visit) ? { ...visit, noShow: !visit.noShow } : visit));
    assert.deepEqual(upToMiddle(replay(turned)), asItWas);
    const earlier = visits.map((visit) => (isLater(visit) ? visit : { ...visit, noShow: !visit.noShow }));
    assert.notDeepEqual(upToMiddle(replay(earlier)), asItWas);
  });

  test('a forecast sees no visit of a later day', () => {
    assert.deepEqual(
      upToMiddle(replay(visits.filter(({ day }) => Temporal.PlainDate.compare(day, MIDDLE) <= 0))),
      asItWas,
    );
  });

  test('a forecast sees no booking that was made after it', () => {
    const ahead = visits.find((visit) => visit.day.equals(MIDDLE) && !visit.reminded) as PastVisit;
    const another = (bookedAt: Temporal.PlainDateTime): PastVisit => ({ ...ahead, bookedAt, clinic: 'C9' });
    const forecast = (more: readonly PastVisit[]) =>
      replay([...visits, ...more])
        .ADVANCED.filter(({ day }) => day === EPOCH.until(MIDDLE).days)
        .slice(0, A_DAY)
        .map(({ probability }) => probability);
    const later = another(MIDDLE.toPlainDateTime({ hour: 23 }));
    assert.deepEqual(forecast([later]), forecast([]));
  });

  test('counts from the day it is told to', () => {
    const counted = replay(visits, { countFrom: MIDDLE });
    for (const forecasts of Object.values(counted)) assert.equal(forecasts.length, visits.filter(isLater).length);
    const middle = asItWas.map((all) => all.slice(-A_DAY));
    assert.deepEqual(upToMiddle(counted), middle);
  });

  test('reports each model by kind of visit, by age and by sex', () => {
    const reports = report(replay(visits));
    assert.deepEqual(reports.map(({ model }) => model).toSorted(), ['ADVANCED', 'LEGACY', 'STATISTICAL']);
    for (const { all, advance, sameDay, groups } of reports) {
      assert.equal(all.visits, visits.length);
      assert.equal(advance.visits + sameDay.visits, all.visits);
      const sexes = groups.filter(({ group }) => group.startsWith('sex '));
      assert.equal(
        sexes.reduce((sum, { visits }) => sum + visits, 0),
        all.visits,
      );
      assert.ok(groups.some(({ group }) => group === 'age 80+'));
    }
  });
});

describe('measure', () => {
  const forecast = (probability: number, noShow: boolean, day: number): Forecast => ({ probability, noShow, day });
  const near = (actual: number | null, expected: number) =>
    assert.ok(Math.abs((actual ?? Number.NaN) - expected) < 1e-12, `${actual}`);

  test('is what a pencil says', () => {
    const of = measureReplay([
      forecast(0.2, false, 2),
      forecast(0.9, true, 1),
      forecast(0.4, true, 2),
      forecast(0.8, false, 1),
    ]);
    assert.equal(of.visits, 4);
    near(of.noShowRate, 1 / 2);
    // 0.9 is above both that were kept, 0.4 above one of them.
    near(of.auc, 3 / 4);
    near(of.aucWithinDays, 1);
    near(of.averagePrecision, (1 + 2 / 3) / 2);
    near(of.brier, (0.04 + 0.01 + 0.36 + 0.64) / 4);
    near(of.brierSkill, 1 - 0.2625 / 0.25);
    near(of.logLoss, -(Math.log(0.8) + Math.log(0.9) + Math.log(0.4) + Math.log(0.2)) / 4);
    near(of.observedOverExpected, 2 / 2.3);
    near(of.calibrationError, (0.2 + 0.1 + 0.6 + 0.8) / 4);
    near(of.topTenthLift, 2);
  });

  test('of no visit there is none', () => {
    const of = measureReplay([]);
    assert.equal(of.visits, 0);
    assert.deepEqual(
      [of.auc, of.brier, of.brierSkill, of.logLoss, of.calibrationError, of.observedOverExpected],
      Array(6).fill(null),
    );
  });

  test('the same forecast for everybody tells nobody from another', () => {
    const of = measureReplay([true, false, false, false].map((noShow) => forecast(0.25, noShow, 1)));
    near(of.auc, 1 / 2);
    near(of.averagePrecision, 1 / 4);
    near(of.brierSkill, 0);
    near(of.observedOverExpected, 1);
  });
});
