/** What a model learns from: what came of visits, and what was known of them before. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Scope } from '#platform/scope';
import * as risk from '#risk';
import * as scheduling from '#scheduling';
import { newPatient, newProvider, plain, TOMORROW_AT_TEN } from './support/appointments.ts';
import { as, sandboxed } from './support/testing.ts';

type Row = Awaited<ReturnType<typeof rowsOf>>[number];

async function rowsOf(scope: Scope) {
  const from = scope.now.subtract({ hours: 24 * 60 });
  const until = scope.now.add({ hours: 24 * 60 });
  const rows = [];
  for await (const batch of risk.history(as(scope, 'system'), { from, until })) rows.push(...batch);
  return rows;
}

const DAY = 24;
const at = (scope: Scope, now: Temporal.Instant): Scope => ({ ...scope, now });

interface Ago {
  readonly patientId: string;
  readonly providerId: string;
  readonly daysAgo: number;
  /** Before the visit. */
  readonly bookedHoursAhead?: number;
}

function startOf(daysAgo: number): Temporal.Instant {
  return TOMORROW_AT_TEN.subtract({ hours: DAY * daysAgo });
}

async function bookedAgo(scope: Scope, { daysAgo, bookedHoursAhead = 72, ...people }: Ago): Promise<string> {
  const startsAt = startOf(daysAgo);
  const then = at(scope, startsAt.subtract({ hours: bookedHoursAhead }));
  return (await scheduling.schedule(then, { ...people, service: 'TELEHEALTH', startsAt })).id;
}

async function missed(scope: Scope, ago: Ago): Promise<string> {
  const id = await bookedAgo(scope, ago);
  await scheduling.markNoShow(at(scope, startOf(ago.daysAgo).add({ minutes: 20 })), id, {});
  return id;
}

async function kept(scope: Scope, ago: Ago): Promise<string> {
  const id = await bookedAgo(scope, ago);
  const over = at(scope, startOf(ago.daysAgo).add({ minutes: 20 }));
  await scheduling.start(over, id, {});
  await scheduling.complete(over, id, {});
  return id;
}

async function people(scope: Scope) {
  return { patientId: await newPatient(scope), providerId: await newProvider(scope) };
}

const outcomes = (rows: readonly Row[]) => rows.map(({ noShow }) => noShow);

describe('history', () => {
  test(
    'has kept and missed visits in the order of time, and none that was called off',
    sandboxed(async (scope) => {
      const who = await people(scope);
      await missed(scope, { ...who, daysAgo: 7 });
      await kept(scope, { ...who, daysAgo: 14 });
      const off = await bookedAgo(scope, { ...who, daysAgo: 21 });
      await scheduling.cancel(at(scope, startOf(21).subtract({ hours: 2 })), off, { reason: 'PATIENT' });
      const rows = await rowsOf(scope);
      assert.deepEqual(outcomes(rows), [false, true]);
      assert.deepEqual(
        rows.map(({ day }) => Temporal.PlainDate.from('1970-01-01').add({ days: day }).toString()),
        ['2026-02-17', '2026-02-24'],
      );
      assert.deepEqual(
        rows.map(({ past }) => past.lateCancellations),
        [1, 1],
      );
    }),
  );

  test(
    'knows of each visit what was known the evening before, whatever came later',
    sandboxed(async (scope) => {
      const who = await people(scope);
      await kept(scope, { ...who, daysAgo: 21 });
      const [before] = await rowsOf(scope);
      const visit = await missed(scope, { ...who, daysAgo: 7 });
      const [, known] = await rowsOf(scope);

      // All of it after that evening: another visit kept, one called off, one booked, and the visit itself corrected.
      await kept(scope, { ...who, daysAgo: 0, bookedHoursAhead: 24 });
      const later = await bookedAgo(scope, { ...who, daysAgo: -2 });
      await scheduling.cancel(at(scope, startOf(1)), later, { reason: 'PATIENT' });
      const [first, second] = await rowsOf(scope);
      assert.deepEqual(plain(first), plain(before));
      assert.deepEqual(plain(second), plain(known));

      await scheduling.changeStatus(at(scope, startOf(5)), visit, { status: 'COMPLETED', reason: 'They were there' });
      const [, corrected] = await rowsOf(scope);
      assert.deepEqual(plain(corrected), { ...(plain(known) as object), noShow: false });
    }),
  );

  test(
    'does not know an outcome that was written down after that evening',
    sandboxed(async (scope) => {
      const who = await people(scope);
      const early = await bookedAgo(scope, { ...who, daysAgo: 14 });
      await kept(scope, { ...who, daysAgo: 12 });
      // A week late: after the visit two days later.
      await scheduling.markNoShow(at(scope, startOf(7)), early, {});
      const rows = await rowsOf(scope);
      assert.deepEqual(outcomes(rows), [true, false]);
      assert.deepEqual(
        rows.map(({ past }) => [past.visits, past.noShows]),
        [
          [0, 0],
          [0, 0],
        ],
      );
    }),
  );

  test(
    'knows a confirmation only where it came in time',
    sandboxed(async (scope) => {
      const who = await people(scope);
      const [early, late] = [
        await bookedAgo(scope, { ...who, daysAgo: 14 }),
        await bookedAgo(scope, { ...who, daysAgo: 7 }),
      ];
      await scheduling.confirm(at(scope, startOf(14).subtract({ hours: 40 })), early, {});
      await scheduling.confirm(at(scope, startOf(7).subtract({ hours: 2 })), late, {});
      for (const [id, daysAgo] of [
        [early, 14],
        [late, 7],
      ] as const) {
        await scheduling.markNoShow(at(scope, startOf(daysAgo).add({ minutes: 20 })), id, {});
      }
      const rows = await rowsOf(scope);
      assert.deepEqual(
        rows.map(({ confirmed }) => confirmed),
        [true, null],
      );
    }),
  );

  test(
    'takes a visit of the same day as it was when it was booked',
    sandboxed(async (scope) => {
      const who = await people(scope);
      await missed(scope, { ...who, daysAgo: 7, bookedHoursAhead: 1 });
      const [row] = await rowsOf(scope);
      assert.deepEqual([row?.leadDays, row?.bookedHour], [0, 9]);
    }),
  );
});
