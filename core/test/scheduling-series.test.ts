import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvalidInput } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { booked, newPatient, newProvider } from './support/appointments.ts';
import { as, sandboxed, testScope } from './support/testing.ts';
import { assertSame } from './support/same.ts';

/** Four Tuesdays at ten, over the night of 2026-03-08 on which the clocks of New York are set forward. */
async function aSeries(scope: Scope, more: Partial<scheduling.SeriesRequest> = {}): Promise<scheduling.SeriesRequest> {
  return {
    patientId: more.patientId ?? (await newPatient(scope)),
    providerId: more.providerId ?? (await newProvider(scope)),
    service: 'TELEHEALTH',
    localStart: Temporal.PlainDateTime.from('2026-03-03T10:00'),
    count: 4,
    ...more,
  };
}

const starts = (visits: readonly { startsAt: Temporal.Instant }[]) => visits.map(({ startsAt }) => startsAt.toString());

const TUESDAYS = ['2026-03-03T15:00:00Z', '2026-03-10T14:00:00Z', '2026-03-17T14:00:00Z', '2026-03-24T14:00:00Z'];

describe('scheduleSeries', () => {
  test(
    'books every visit at the same time on the wall, whatever the clocks do',
    sandboxed(async (scope) => {
      // Now is hardly ever a whole millisecond.
      const now = scope.now.add({ nanoseconds: 7 });
      const visits = await scheduling.scheduleSeries({ ...scope, now }, await aSeries(scope, { notes: 'Stairs.' }));
      assert.deepEqual(starts(visits), TUESDAYS);
      assert.equal(new Set(visits.map(({ seriesId }) => seriesId)).size, 1);
      assert.notEqual(visits[0]?.seriesId, null);
      assert.deepEqual([...new Set(visits.map(({ notes, status }) => `${notes} ${status}`))], ['Stairs. SCHEDULED']);
    }),
  );

  test(
    'books none when one cannot be, and tells of all that cannot',
    sandboxed(async (scope) => {
      const series = await aSeries(scope);
      const { patientId, providerId } = series;
      for (const startsAt of [TUESDAYS[1], TUESDAYS[3]].map((text) => Temporal.Instant.from(text ?? '')))
        await booked(scope, { providerId, startsAt });
      const thrown = await scheduling.scheduleSeries(scope, series).catch((thrown: unknown) => thrown);
      assert.ok(thrown instanceof scheduling.SeriesConflict);
      assert.deepEqual(starts(thrown.occurrences), [TUESDAYS[1], TUESDAYS[3]]);
      assert.deepEqual(
        thrown.occurrences[0]?.conflicts.map(({ rule }) => rule),
        ['PROVIDER_BUSY'],
      );
      const rows = await scope.db.selectFrom('appointments').select('id').where('patient_id', '=', patientId).execute();
      assert.deepEqual(rows, []);
      const preview = await scheduling.previewSeries(scope, series);
      assert.deepEqual(
        preview.map(({ conflicts }) => conflicts.length),
        [0, 1, 0, 1],
      );
      const except = ['2026-03-10', '2026-03-24'];
      const visits = await scheduling.scheduleSeries(scope, { ...series, except });
      assert.deepEqual(starts(visits), [TUESDAYS[0], TUESDAYS[2]]);
    }),
  );

  test(
    'refuses dates on which the clocks skip the time, each with its neighbours',
    sandboxed(async (scope) => {
      const localStart = Temporal.PlainDateTime.from('2027-03-07T02:30');
      const thrown = await scheduling
        .scheduleSeries(scope, await aSeries(scope, { localStart, count: 2 }))
        .catch((thrown: unknown) => thrown);
      assert.ok(thrown instanceof InvalidInput);
      assert.equal(thrown.issues.length, 1);
      assert.match(thrown.issues[0]?.message ?? '', /^2027-03-14: .* try 2027-03-14T01:30 or 2027-03-14T03:30$/);
    }),
  );

  test(
    'does it once per key',
    sandboxed(async (scope) => {
      const series = { ...(await aSeries(scope)), idempotencyKey: 'k' };
      const first = await scheduling.scheduleSeries(scope, series);
      assertSame(await scheduling.scheduleSeries(scope, series), first);
    }),
  );

  test(
    'is open to patients for themselves alone',
    sandboxed(async (scope) => {
      const series = await aSeries(scope);
      const own = as(scope, { ...testScope().actor, role: 'patient', patientId: series.patientId });
      assert.equal((await scheduling.scheduleSeries(own, series)).length, 4);
      const other = { ...series, patientId: await newPatient(scope), localStart: series.localStart.add({ hours: 2 }) };
      await assert.rejects(scheduling.scheduleSeries(own, other), { code: 'NOT_FOUND' });
    }),
  );

  test(
    'refuses no visits, too many, and none left',
    sandboxed(async (scope) => {
      const series = await aSeries(scope);
      for (const wrong of [
        { count: 0 },
        { count: 105 },
        { everyWeeks: 0 },
        { weekdays: [8] },
        { count: 1, except: ['2026-03-03'] },
      ])
        await assert.rejects(scheduling.scheduleSeries(scope, { ...series, ...wrong }), InvalidInput);
    }),
  );
});

describe('rescheduleSeries', () => {
  const third = Temporal.PlainDateTime.from('2026-03-17T11:30');

  test(
    'moves this and those after it by days and time on the wall, onto each other’s times too',
    sandboxed(async (scope) => {
      const visits = await scheduling.scheduleSeries(scope, await aSeries(scope));
      const moved = await scheduling.rescheduleSeries(scope, visits[1]?.id ?? '', {
        part: 'FOLLOWING',
        localStart: third,
      });
      assert.deepEqual(starts(moved), [
        TUESDAYS[0],
        '2026-03-17T15:30:00Z',
        '2026-03-24T15:30:00Z',
        '2026-03-31T15:30:00Z',
      ]);
      assert.deepEqual(
        moved.map(({ revision }) => revision),
        [1, 2, 2, 2],
      );
      // And back again, in the other direction.
      const localStart = Temporal.PlainDateTime.from('2026-03-10T10:00');
      const back = await scheduling.rescheduleSeries(scope, visits[1]?.id ?? '', { part: 'FOLLOWING', localStart });
      assert.deepEqual(starts(back), TUESDAYS);
    }),
  );

  test(
    'moves one alone, or all, and keeps the time on the wall over the night that clocks change',
    sandboxed(async (scope) => {
      const visits = await scheduling.scheduleSeries(scope, await aSeries(scope));
      const one = await scheduling.rescheduleSeries(scope, visits[2]?.id ?? '', { part: 'THIS', localStart: third });
      assert.deepEqual(starts(one), [TUESDAYS[0], TUESDAYS[1], '2026-03-17T15:30:00Z', TUESDAYS[3]]);
      const localStart = Temporal.PlainDateTime.from('2026-03-25T09:00');
      const all = await scheduling.rescheduleSeries(scope, visits[3]?.id ?? '', { part: 'ALL', localStart });
      assert.deepEqual(starts(all), [
        '2026-03-04T14:00:00Z',
        '2026-03-11T13:00:00Z',
        '2026-03-18T13:00:00Z',
        '2026-03-25T13:00:00Z',
      ]);
    }),
  );

  test(
    'changes nothing when one of them has no place, and tells of each that has none',
    sandboxed(async (scope) => {
      const series = await aSeries(scope);
      const visits = await scheduling.scheduleSeries(scope, series);
      for (const at of ['2026-03-10T15:30:00Z', '2026-03-24T15:30:00Z'])
        await booked(scope, { providerId: series.providerId, startsAt: Temporal.Instant.from(at) });
      const localStart = Temporal.PlainDateTime.from('2026-03-03T11:30');
      const thrown = await scheduling
        .rescheduleSeries(scope, visits[0]?.id ?? '', { part: 'ALL', localStart })
        .catch((thrown: unknown) => thrown);
      assert.ok(thrown instanceof scheduling.SeriesConflict);
      assert.deepEqual(starts(thrown.occurrences).toSorted(), ['2026-03-10T15:30:00Z', '2026-03-24T15:30:00Z']);
      const preview = await scheduling.previewSeries(scope, { ...series, patientId: await newPatient(scope) });
      assert.ok(
        preview.every(({ conflicts }) => conflicts.length > 0),
        'the visits have left their times',
      );
    }),
  );

  test(
    'asks for a series, and for something to change',
    sandboxed(async (scope) => {
      const { id } = await booked(scope);
      await assert.rejects(scheduling.rescheduleSeries(scope, id, { part: 'ALL', localStart: third }), InvalidInput);
      await assert.rejects(scheduling.rescheduleSeries(scope, id, { part: 'THIS' }), InvalidInput);
      const [visit] = await scheduling.rescheduleSeries(scope, id, { part: 'THIS', localStart: third });
      assert.equal(visit?.startsAt.toString(), '2026-03-17T15:30:00Z');
    }),
  );
});

describe('cancelSeries', () => {
  test(
    'calls off this and those after it, once per key',
    sandboxed(async (scope) => {
      const visits = await scheduling.scheduleSeries(scope, await aSeries(scope));
      const request = { part: 'FOLLOWING', reason: 'PROVIDER', idempotencyKey: 'k' } as const;
      const left = await scheduling.cancelSeries(scope, visits[2]?.id ?? '', request);
      assert.deepEqual(
        left.map(({ status }) => status),
        ['SCHEDULED', 'SCHEDULED', 'CANCELLED', 'CANCELLED'],
      );
      const again = await scheduling.cancelSeries(scope, visits[2]?.id ?? '', request);
      assert.deepEqual(
        again.map(({ version }) => version),
        [1, 1, 2, 2],
      );
    }),
  );

  test(
    'refuses a patient who is late for one of them, and calls none off',
    sandboxed(async (scope) => {
      const series = await aSeries(scope);
      const visits = await scheduling.scheduleSeries(scope, series);
      const own = as(scope, { ...testScope().actor, role: 'patient', patientId: series.patientId });
      const late = { ...own, now: Temporal.Instant.from('2026-03-02T16:00:00Z') };
      const request = { part: 'ALL', reason: 'PATIENT' } as const;
      await assert.rejects(scheduling.cancelSeries(late, visits[1]?.id ?? '', request), scheduling.TooLateToChange);
      const after = await scheduling.cancelSeries(own, visits[1]?.id ?? '', { ...request, part: 'FOLLOWING' });
      assert.deepEqual(
        after.map(({ status }) => status),
        ['SCHEDULED', 'CANCELLED', 'CANCELLED', 'CANCELLED'],
      );
    }),
  );
});
