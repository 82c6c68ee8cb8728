import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import * as scheduling from '#scheduling';
import { aBooking, booked, newPatient, newProvider } from './support/appointments.ts';
import { as, sandboxed } from './support/testing.ts';
import { statementsOf } from './support/statements.ts';

const TUESDAY = '2026-03-03';
const at = (time: string) => Temporal.Instant.from(`2026-03-03T${time}:00Z`);
const texts = (ranges: readonly scheduling.TimeRange[]) =>
  ranges.map(({ startsAt, endsAt }) => `${startsAt.toString().slice(11, 16)}-${endsAt.toString().slice(11, 16)}`);

describe('dayBoard', () => {
  test(
    'shows visits, holds, hours, time off and what is free, provider by provider',
    sandboxed(async (scope) => {
      const [ana, ben] = [await newProvider(scope, { name: 'Ana' }), await newProvider(scope, { name: 'Ben' })];
      const visit = await booked(scope, { providerId: ana, startsAt: at('15:00'), notes: 'Door code' });
      const held = await scheduling.hold(scope, await aBooking(scope, { providerId: ana, startsAt: at('16:00') }));
      const cancelled = await booked(scope, { providerId: ana, startsAt: at('17:00') });
      await scheduling.cancel(scope, cancelled.id, { reason: 'PROVIDER' });
      await booked(scope, { providerId: ana, startsAt: at('15:00').add({ hours: 24 }) });
      await scheduling.addTimeOff(as(scope, 'admin'), ben, { startsAt: at('14:00'), endsAt: at('21:30') });
      const page = await scheduling.dayBoard(scope, { date: TUESDAY, service: 'TELEHEALTH' });
      const shown = page.items.map(({ node }) => [
        node.provider.id,
        node.appointments.map(({ id, notes }) => `${id} ${notes}`),
        ...[node.workingHours, node.timeOff, node.freeTime].map(texts),
      ]);
      const free = ['14:00-15:00', '15:30-16:00', '16:30-22:00'];
      assert.deepEqual(shown, [
        [ana, [`${visit.id} Door code`, `${held.id} null`], ['14:00-22:00'], [], free],
        [ben, [], ['14:00-22:00'], ['14:00-21:30'], ['21:30-22:00']],
      ]);
      assert.deepEqual(texts(page.items.at(-1)?.node.freeSlots ?? []), ['21:30-22:00']);
    }),
  );

  test(
    'needs as many statements for many providers as for one',
    sandboxed(async (scope) => {
      const count = async () => {
        const { result: page, statements } = await statementsOf(scope, (scope) =>
          scheduling.dayBoard(scope, { date: TUESDAY, service: 'TELEHEALTH' }),
        );
        return { statements: statements.length, providers: page.items.length };
      };
      await booked(scope, { providerId: await newProvider(scope), startsAt: at('15:00'), notes: 'n' });
      const one = await count();
      for (let i = 0; i < 6; i++) {
        const providerId = await newProvider(scope);
        for (const start of ['15:00', '16:00'])
          await booked(scope, { providerId, patientId: await newPatient(scope), startsAt: at(start), notes: 'n' });
      }
      const many = await count();
      assert.deepEqual([one.providers, many.providers], [1, 7]);
      assert.ok(one.statements > 3);
      assert.equal(many.statements, one.statements);
    }),
  );

  test(
    'is for staff, and leaves an entry that names whose visits were seen',
    sandboxed(async (scope) => {
      const visit = await booked(scope, { startsAt: at('15:00') });
      await assert.rejects(scheduling.dayBoard(as(scope, 'auditor'), { date: TUESDAY }), Forbidden);
      await scheduling.dayBoard(scope, { date: TUESDAY });
      const page = await audit.list(as(scope, 'admin'), { action: 'appointment.dayBoard' });
      const entries = page.items.map(({ node }) => node);
      assert.deepEqual(entries.map(({ outcome }) => outcome).toSorted(), ['DENIED', 'SUCCESS']);
      const seen = entries.find(({ outcome }) => outcome === 'SUCCESS');
      assert.deepEqual([seen?.resourceIds, seen?.patientIds], [[visit.id], [visit.patientId]]);
    }),
  );
});
