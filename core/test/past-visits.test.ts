/** Visits that are over, taken from another system. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Forbidden, InvalidInput } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as risk from '#risk';
import * as scheduling from '#scheduling';
import { newPatient, newProvider, recordsOf } from './support/appointments.ts';
import { as, sandboxed } from './support/testing.ts';

async function aPast(scope: Scope, more: Partial<scheduling.PastVisits[number]> = {}) {
  const startsAt = scope.now.subtract({ hours: 24 * 7 });
  return {
    patientId: more.patientId ?? (await newPatient(scope)),
    providerId: more.providerId ?? (await newProvider(scope)),
    service: 'TELEHEALTH' as const,
    startsAt,
    minutes: 30,
    bookedAt: startsAt.subtract({ hours: 24 * 10 }),
    confirmedAt: startsAt.subtract({ hours: 30 }),
    missed: true,
    ...more,
  };
}

describe('importPastVisits', () => {
  test(
    'adds each with its history, on record, and tells nobody',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const past = await aPast(scope);
      const kept = await aPast(scope, { missed: false, confirmedAt: null });
      assert.equal(await scheduling.importPastVisits(system, [past, kept]), 2);
      const { items } = await scheduling.appointments(scope, { patientId: past.patientId });
      const [visit] = items.map(({ node }) => node);
      assert.deepEqual([visit?.status, visit?.version], ['NO_SHOW', 3]);
      const { history, events } = await recordsOf(scope, visit?.id ?? '');
      assert.deepEqual(
        history.map(({ from_status: from, to_status: to }) => [from, to]),
        [
          [null, 'SCHEDULED'],
          ['SCHEDULED', 'CONFIRMED'],
          ['CONFIRMED', 'NO_SHOW'],
        ],
      );
      assert.deepEqual(events, []);
    }),
  );

  test(
    'leaves out what overlaps, and refuses what is still to come, or who may not',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const past = await aPast(scope);
      assert.equal(await scheduling.importPastVisits(system, [past, past]), 1);
      assert.equal(await scheduling.importPastVisits(system, [past]), 0);
      const ahead = await aPast(scope, { startsAt: scope.now.subtract({ minutes: 29 }) });
      await assert.rejects(scheduling.importPastVisits(system, [ahead]), InvalidInput);
      await assert.rejects(scheduling.importPastVisits(as(scope, 'agent'), [past]), Forbidden);
    }),
  );

  test(
    'is what a model can learn from: what was known the evening before, and no later',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      await scheduling.importPastVisits(system, [await aPast(scope)]);
      const [row] = await risk.readLessons(system);
      assert.deepEqual([row?.noShow, row?.confirmed, row?.leadDays], [true, true, 10]);
    }),
  );
});
