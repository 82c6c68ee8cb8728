import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as scheduling from '#scheduling';
import { eventsSoFar } from './support/patients.ts';
import { assertSame } from './support/same.ts';
import { aBooking, booked, newProvider, plain, TOMORROW_AT_TEN, undone } from './support/appointments.ts';
import { actor, as, committed, sandboxed } from './support/testing.ts';

describe('schedule', () => {
  test(
    'books a visit of the usual length, in the zone of the provider',
    sandboxed(async (scope) => {
      const booking = await aBooking(scope, { notes: ' Bring the scale. ' });
      const appointment = await scheduling.schedule(scope, booking);
      assert.deepEqual(
        plain(appointment),
        plain({
          id: appointment.id,
          patientId: booking.patientId,
          providerId: booking.providerId,
          service: 'TELEHEALTH',
          status: 'SCHEDULED',
          startsAt: TOMORROW_AT_TEN,
          endsAt: TOMORROW_AT_TEN.add({ minutes: 30 }),
          minutes: 30,
          timeZone: 'America/New_York',
          expiresAt: null,
          heldBy: null,
          notes: 'Bring the scale.',
          cancellationReason: null,
          overrides: [],
          seriesId: null,
          benefitId: null,
          benefitAmount: null,
          version: 1,
          revision: 1,
          createdAt: scope.now,
          updatedAt: scope.now,
        }),
      );
      const payload = { ...appointment, appointmentId: appointment.id };
      const told = (await eventsSoFar(scope)).at(-1);
      assert.equal(told?.topic, 'appointment.scheduled');
      const { appointmentId, patientId, providerId, version } = payload;
      assert.deepEqual(told?.payload, { appointmentId, patientId, providerId, version });
    }),
  );

  test(
    'answers what is stored, whatever the clock shows behind the millisecond',
    sandboxed(async (scope) => {
      const at = { ...scope, now: Temporal.Instant.from('2026-03-02T15:00:00.123999600Z') };
      const request = await aBooking(at, { startsAt: at.now.round('hour').add({ hours: 47 }) });
      for (const answered of [
        await scheduling.schedule(at, { ...request, notes: 'n' }),
        await scheduling.hold(at, { ...request, startsAt: request.startsAt?.add({ hours: 1 }) }),
      ])
        assertSame(answered, await scheduling.getAppointment(at, answered.id));
    }),
  );

  test(
    'refuses a time that the patient or the provider has not, and says whose',
    sandboxed(async (scope) => {
      const first = await booked(scope);
      const again = await aBooking(scope, { patientId: first.patientId, providerId: first.providerId });
      const conflict = await scheduling.schedule(scope, again).catch((thrown: unknown) => thrown);
      assert.ok(conflict instanceof scheduling.AppointmentConflict);
      const { startsAt, endsAt, id: appointmentId } = first;
      assert.deepEqual(
        plain(byRule(conflict)),
        plain([
          { rule: 'PATIENT_BUSY', resource: 'Patient', startsAt, endsAt, appointmentId },
          { rule: 'PROVIDER_BUSY', resource: 'Provider', startsAt, endsAt, appointmentId },
        ]),
      );
      assert.ok(conflict.alternatives.length >= 3);
      for (const { startsAt, endsAt } of conflict.alternatives) {
        await undone(scope, (scope) => scheduling.schedule(scope, { ...again, startsAt, minutes: 30 }));
        assert.equal(startsAt.until(endsAt).total('minutes'), 30);
      }
      await booked(scope, { patientId: first.patientId, providerId: first.providerId, startsAt: endsAt });
    }),
  );
});

describe('hold', () => {
  test(
    'keeps the time for three minutes, then for nobody',
    sandboxed(async (scope) => {
      const request = await aBooking(scope);
      const held = await scheduling.hold(scope, request);
      assert.equal(held.status, 'HELD');
      assert.equal(String(held.expiresAt), String(scope.now.add({ minutes: 3 })));
      const other = await aBooking(scope, { providerId: request.providerId });
      await assert.rejects(scheduling.schedule(scope, other), scheduling.AppointmentConflict);
      const later = { ...scope, now: scope.now.add({ minutes: 3 }) };
      assert.equal((await scheduling.schedule(later, other)).status, 'SCHEDULED');
      await assert.rejects(scheduling.schedule(later, { ...request, holdId: held.id }), scheduling.HoldExpired);
    }),
  );

  test(
    'becomes the visit',
    sandboxed(async (scope) => {
      const request = await aBooking(scope);
      const held = await scheduling.hold(scope, request);
      const visit = await scheduling.schedule(scope, { ...request, holdId: held.id, notes: 'n' });
      assert.deepEqual([visit.id, visit.status, visit.version, visit.notes], [held.id, 'SCHEDULED', 2, 'n']);
      const again = scheduling.schedule(scope, { ...request, holdId: held.id });
      await assert.rejects(again, scheduling.IllegalTransition);
    }),
  );

  const at = (i: number) => TOMORROW_AT_TEN.add({ minutes: 30 * i });

  test(
    'is for three times at once when a patient asks, for any number when staff do',
    sandboxed(async (scope) => {
      const request = await aBooking(scope);
      const own = as(scope, actor('patient', { patientId: request.patientId }));
      for (const i of [3, 4, 5, 6]) await scheduling.hold(scope, { ...request, startsAt: at(i) });
      const first = { ...request, idempotencyKey: randomUUID() };
      const { id: holdId } = await scheduling.hold(own, first);
      for (const i of [1, 2]) await scheduling.hold(own, { ...request, startsAt: at(i) });
      const more = { ...request, startsAt: at(7) };
      await undone(scope, () => assert.rejects(scheduling.hold(own, more), { code: 'TOO_MANY_HOLDS', limit: 3 }));
      assert.equal((await scheduling.hold(own, first)).id, holdId);
      const later = { ...own, now: own.now.add({ minutes: 3 }) };
      await undone(scope, () => scheduling.hold(later, more));
      await scheduling.schedule(own, { ...request, startsAt: at(0), holdId });
      assert.equal((await scheduling.hold(own, more)).status, 'HELD');
    }),
  );

  test(
    'is for three times also when a patient asks for many in the same instant',
    committed(async (scope) => {
      const request = await aBooking(as(scope, 'system'));
      const own = as(scope, actor('patient', { patientId: request.patientId }));
      const answers = await Promise.allSettled(
        Array.from({ length: 8 }, async (_, i) =>
          scheduling.hold(own, {
            ...request,
            startsAt: at(i),
            providerId: i % 2 === 0 ? request.providerId : await newProvider(scope),
          }),
        ),
      );
      assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 3);
      for (const answer of answers) {
        if (answer.status === 'rejected') assert.ok(answer.reason instanceof scheduling.TooManyHolds);
      }
    }),
  );
});

const byRule = ({ conflicts }: scheduling.AppointmentConflict) =>
  conflicts.toSorted((a, b) => a.rule.localeCompare(b.rule));
