import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import { Forbidden, InvalidInput, NotFound } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { booked, newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { actor, as, sandboxed } from './support/testing.ts';
import { statementsOf } from './support/statements.ts';

/** Tomorrow, Tuesday, in New York. */
const TOMORROW = { from: Temporal.Instant.from('2026-03-03T05:00Z'), to: Temporal.Instant.from('2026-03-04T05:00Z') };
const search = (more: Partial<scheduling.SlotSearch> = {}): scheduling.SlotSearch => ({
  service: 'TELEHEALTH',
  ...TOMORROW,
  everyMinutes: 60,
  ...more,
});

const timesOf = (slots: readonly scheduling.Slot[]) =>
  slots.map(({ startsAt, timeZone }) => startsAt.toZonedDateTimeISO(timeZone).toPlainTime().toString().slice(0, 5));
const times = async (scope: Scope, more?: Partial<scheduling.SlotSearch>) =>
  timesOf(await scheduling.availableSlots(scope, search(more)));

const WORKING_DAY = ['09:00', '10:00', '11:00', '12:00', '13:00', '14:00', '15:00', '16:00'];

describe('availableSlots', () => {
  test(
    'come in the order of time, then of providers, as many as are asked for',
    sandboxed(async (scope) => {
      const ids = [await newProvider(scope), await newProvider(scope)].toSorted();
      const slots = await scheduling.availableSlots(scope, search({ first: 3 }));
      assert.deepEqual(timesOf(slots), ['09:00', '09:00', '10:00']);
      assert.deepEqual(
        slots.map(({ providerId }) => providerId),
        [ids[0], ids[1], ids[0]],
      );
      assert.ok(slots.every(({ startsAt, endsAt }) => startsAt.until(endsAt).total('minutes') === 30));
      assert.equal((await scheduling.availableSlots(scope, search({ everyMinutes: 1 }))).length, 100);
    }),
  );

  test(
    'are of active providers who offer the service, or of the named ones among them',
    sandboxed(async (scope) => {
      const one = await newProvider(scope);
      await newProvider(scope, { active: false });
      await newProvider(scope, { services: ['MEAL_DELIVERY'] });
      assert.deepEqual(await times(scope), WORKING_DAY);
      assert.deepEqual(await times(scope, { providerIds: [one.toUpperCase(), randomUUID(), 'no id'] }), WORKING_DAY);
      assert.deepEqual(await times(scope, { providerIds: [] }), []);
    }),
  );

  test(
    'leave out what is taken, with its buffers, and what a hold keeps until it lapses',
    sandboxed(async (scope) => {
      const providerId = await newProvider(scope);
      await booked(scope, { providerId });
      const homeVisit = { providerId, service: 'HOME_VISIT' as const, startsAt: TOMORROW_AT_TEN.add({ hours: 2 }) };
      await booked(scope, homeVisit);
      const startsAt = TOMORROW_AT_TEN.add({ hours: 5 });
      await scheduling.hold(scope, { providerId, service: 'TELEHEALTH', patientId: await newPatient(scope), startsAt });
      assert.deepEqual(await times(scope), ['09:00', '11:00', '14:00', '16:00']);
      const quarters = await times(scope, { everyMinutes: 15, minutes: 15, first: 18 });
      assert.deepEqual(quarters.slice(10), ['13:15', '13:30', '13:45', '14:00', '14:15', '14:30', '14:45', '15:30']);
      const later = { ...scope, now: scope.now.add({ minutes: 3 }) };
      assert.deepEqual(await times(later), ['09:00', '11:00', '14:00', '15:00', '16:00']);
    }),
  );

  test(
    'for a patient are free for them too, whoever else has their time',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope);
      await booked(scope, { patientId });
      const providerIds = [await newProvider(scope)];
      const rest = WORKING_DAY.filter((time) => time !== '10:00');
      assert.deepEqual(await times(scope, { providerIds }), WORKING_DAY);
      assert.deepEqual(await times(scope, { providerIds, patientId }), rest);
      const patient = as(scope, actor('patient', { patientId }));
      assert.deepEqual(await times(patient, { providerIds, patientId }), rest);
      assert.deepEqual(await times(patient, { providerIds }), rest);
    }),
  );

  test(
    'show a patient what others have taken, and nothing of who',
    sandboxed(async (scope) => {
      const { providerId } = await booked(scope);
      const patient = as(scope, actor('patient', { patientId: await newPatient(scope) }));
      assert.ok(!(await times(patient, { providerIds: [providerId] })).includes('10:00'));
      await assert.rejects(times(patient, { patientId: randomUUID() }), NotFound);
      await assert.rejects(times(as(scope, 'auditor')), Forbidden);
    }),
  );

  test(
    'are none for a patient who cannot be booked, and NotFound for one who is deleted',
    sandboxed(async (scope) => {
      await newProvider(scope);
      const staff = as(scope, 'agent');
      for (const status of ['DECEASED', 'SUSPENDED', 'INACTIVE'] as const) {
        assert.deepEqual(await times(staff, { patientId: await newPatient(scope, { status }) }), []);
      }
      const patientId = await newPatient(scope);
      assert.deepEqual(await times(staff, { patientId }), WORKING_DAY);
      await care.deletePatient(scope, patientId);
      await assert.rejects(times(staff, { patientId }), NotFound);
    }),
  );

  test(
    'stay between the notice and the horizon of the service, however far the search goes',
    sandboxed(async (scope) => {
      await newProvider(scope);
      // The present is 10:00; TELEHEALTH wants 15 minutes.
      const today = { from: scope.now.subtract({ hours: 24 * 30 }), to: scope.now.add({ hours: 2 }) };
      assert.deepEqual(await times(scope, { ...today, everyMinutes: 15 }), [
        '10:15',
        '10:30',
        '10:45',
        '11:00',
        '11:15',
        '11:30',
        '11:45',
      ]);
      const farthest = scope.now.add({ hours: 365 * 24 });
      const atTheEnd = await times(scope, { from: farthest.subtract({ hours: 4 }), to: farthest.add({ hours: 24 }) });
      assert.deepEqual(atTheEnd, ['09:00', '10:00']);
      assert.deepEqual(await times(scope, { from: farthest.add({ hours: 1 }), to: farthest.add({ hours: 99 }) }), []);
    }),
  );

  test(
    'refuse what makes no sense, with every issue',
    sandboxed(async (scope) => {
      const issuesOf = async (more: Partial<scheduling.SlotSearch>) => {
        const refused = await scheduling.availableSlots(scope, search(more)).catch((thrown: unknown) => thrown);
        assert.ok(refused instanceof InvalidInput);
        return refused.issues.map(({ path }) => path.join('.'));
      };
      const wrong = { minutes: 0, everyMinutes: 1441, first: 1001, service: 'SURGERY' as 'TELEHEALTH' };
      assert.deepEqual((await issuesOf(wrong)).toSorted(), ['everyMinutes', 'first', 'minutes', 'service']);
      assert.deepEqual(await issuesOf({ to: TOMORROW.from }), ['to']);
      assert.deepEqual(await issuesOf({ to: TOMORROW.from.add({ hours: 62 * 24, minutes: 1 }) }), ['to']);
      await assert.rejects(times(scope, { patientId: randomUUID() }), NotFound);
    }),
  );

  test(
    'take as many statements for many providers and visits as for one',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope);
      const count = async () => {
        const { result: slots, statements } = await statementsOf(scope, (scope) =>
          scheduling.availableSlots(scope, search({ patientId })),
        );
        return { statements: statements.length, slots: slots.length };
      };
      await newProvider(scope);
      const one = await count();
      for (let i = 0; i < 5; i++) {
        const providerId = await newProvider(scope);
        for (const hours of [0, 2]) await booked(scope, { providerId, startsAt: TOMORROW_AT_TEN.add({ hours }) });
      }
      const many = await count();
      assert.deepEqual([one.slots, many.slots], [8, 38]);
      assert.ok(one.statements > 3);
      assert.equal(many.statements, one.statements);
    }),
  );
});
