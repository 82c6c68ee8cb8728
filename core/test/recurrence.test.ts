import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { occurrencesOf, type Recurrence } from '../src/scheduling/recurrence.ts';

const first = Temporal.PlainDateTime.from('2026-02-22T09:00');
const weekly: Recurrence = {
  firstOn: first,
  timeZone: 'America/New_York',
  everyWeeks: 1,
  weekdays: [],
  count: 4,
  except: [],
};
const dates = (recurrence: Partial<Recurrence>) =>
  occurrencesOf({ ...weekly, ...recurrence }).map((at) => at.toPlainDate().toString());

describe('occurrencesOf', () => {
  test('repeats on the first visit’s own day', () => {
    assert.deepEqual(dates({}), ['2026-02-22', '2026-03-01', '2026-03-08', '2026-03-15']);
  });

  test('skips weeks, and begins with the first visit among several days', () => {
    // A Wednesday; Mondays count from the next week on.
    const firstOn = Temporal.PlainDateTime.from('2026-03-04T09:00');
    assert.deepEqual(dates({ firstOn, weekdays: [3, 1], everyWeeks: 2, count: 5 }), [
      '2026-03-04',
      '2026-03-16',
      '2026-03-18',
      '2026-03-30',
      '2026-04-01',
    ]);
  });

  test('leaves out dates without putting others in their place', () => {
    assert.deepEqual(dates({ except: [Temporal.PlainDate.from('2026-03-01')] }), [
      '2026-02-22',
      '2026-03-08',
      '2026-03-15',
    ]);
  });

  test('keeps the time on the wall and the distance in weeks, whatever the rule', () => {
    const rule = fc.record({
      day: fc.integer({ min: 0, max: 800 }),
      hour: fc.integer({ min: 0, max: 23 }),
      everyWeeks: fc.integer({ min: 1, max: 52 }),
      weekdays: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 7 }),
      count: fc.integer({ min: 1, max: 104 }),
    });
    fc.assert(
      fc.property(rule, ({ day, hour, ...rest }) => {
        const firstOn = first.add({ days: day }).with({ hour });
        const all = occurrencesOf({ ...weekly, ...rest, firstOn });
        assert.equal(all.length, rest.count);
        const monday = firstOn.toPlainDate().subtract({ days: firstOn.dayOfWeek - 1 });
        for (const [i, at] of all.entries()) {
          assert.ok(at.toPlainTime().equals(firstOn.toPlainTime()));
          assert.ok(i === 0 || Temporal.PlainDateTime.compare(all[i - 1] as Temporal.PlainDateTime, at) < 0);
          const week = Math.floor(monday.until(at.toPlainDate(), { largestUnit: 'days' }).days / 7);
          assert.equal(week % rest.everyWeeks, 0);
          assert.ok((rest.weekdays.length > 0 ? rest.weekdays : [firstOn.dayOfWeek]).includes(at.dayOfWeek));
        }
      }),
    );
  });
});
