import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as care from '#care';
import { Forbidden, InvalidInput, NotFound } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, newPatient, newProvider, recordsOf, TOMORROW_AT_TEN } from './support/appointments.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const at = (text: string) => Temporal.Instant.from(text);
const local = (text: string) => Temporal.PlainDateTime.from(text);

async function refusal<E extends Error>(attempt: Promise<unknown>, type: new (...args: never[]) => E): Promise<E> {
  const thrown = await attempt.catch((thrown: unknown) => thrown);
  assert.ok(thrown instanceof type, String(thrown));
  return thrown;
}

const rulesBroken = async (attempt: Promise<unknown>) =>
  (await refusal(attempt, scheduling.AppointmentConflict)).conflicts.map(({ rule }) => rule).toSorted();

const timeOff = (scope: Scope, providerId: string, [from, to]: [string, string]) =>
  transact(asSystem(scope), ({ db }) =>
    db
      .insertInto('provider_time_off')
      .values({ id: randomUUID(), provider_id: providerId, starts_at: from, ends_at: to, note: null, created_at: from })
      .execute(),
  );

const rowsOf = (scope: Scope, providerId: string) =>
  transact(asSystem(scope), ({ db }) =>
    db.selectFrom('appointments').selectAll().where('provider_id', '=', providerId).execute(),
  );

/** An hour before the test's present stands for what can only be in the past. */
const TIMES: Record<string, string[]> = {
  '2026-03-02T14:00:00Z': ['IN_THE_PAST'],
  '2026-03-02T15:10:00Z': ['TOO_SOON'],
  '2026-03-03T23:00:00Z': ['OUTSIDE_HOURS'],
  '2026-03-07T15:00:00Z': ['OUTSIDE_HOURS'],
  '2026-03-04T15:00:00Z': ['TIME_OFF'],
  '2027-03-03T15:00:00Z': ['TOO_FAR_AHEAD'],
  '2027-03-06T15:00:00Z': ['OUTSIDE_HOURS', 'TOO_FAR_AHEAD'],
};

describe('schedule', () => {
  for (const [time, rules] of Object.entries(TIMES)) {
    test(
      `refuses ${time}, and names all of ${rules.join(' and ')}`,
      sandboxed(async (scope) => {
        const booking = await aBooking(scope, { startsAt: at(time) });
        await timeOff(scope, booking.providerId, ['2026-03-04T05:00:00Z', '2026-03-05T05:00:00Z']);
        assert.deepEqual(await rulesBroken(scheduling.schedule(scope, booking)), rules);
        assert.deepEqual(await rulesBroken(scheduling.hold(scope, booking)), rules);
        assert.deepEqual(await rowsOf(scope, booking.providerId), []);
      }),
    );
  }

  test(
    'keeps the buffers of the provider free, and no more',
    sandboxed(async (scope) => {
      const { providerId, endsAt } = await booked(scope, { service: 'HOME_VISIT' });
      const next = await aBooking(scope, { providerId, startsAt: endsAt.add({ minutes: 10 }) });
      assert.deepEqual(await rulesBroken(scheduling.schedule(scope, next)), ['PROVIDER_BUSY']);
      await scheduling.schedule(scope, { ...next, startsAt: endsAt.add({ minutes: 15 }) });
    }),
  );

  test(
    'books no more visits of a provider and local day than the service allows',
    sandboxed(async (scope) => {
      const day = Array.from({ length: 6 }, (_, i) => TOMORROW_AT_TEN.add({ minutes: 75 * i - 60 }));
      await transact(asSystem(scope), ({ db }) => sql`update care_services set daily_limit = 5`.execute(db));
      const providerId = await newProvider(scope);
      for (const startsAt of day.slice(0, 5)) await booked(scope, { providerId, startsAt, service: 'HOME_VISIT' });
      const sixth = await aBooking(scope, { providerId, startsAt: day[5] as Temporal.Instant, service: 'HOME_VISIT' });
      assert.deepEqual(await rulesBroken(scheduling.schedule(scope, sixth)), ['DAILY_LIMIT']);
      await scheduling.schedule(scope, { ...sixth, startsAt: sixth.startsAt.add({ hours: 24 }) });
    }),
  );

  test(
    'reads a wall clock in its zone; of an hour that there is twice it takes the earlier, unless told',
    sandboxed(async (scope) => {
      const night = { ...(await aBooking(scope)), override: { rules: ['OUTSIDE_HOURS'] as const, reason: 'by night' } };
      const admin = as(scope, 'admin');
      const { startsAt: _, ...visit } = { ...night, override: { ...night.override, rules: [...night.override.rules] } };
      const twice = { ...visit, localStart: local('2026-11-01T01:30') };
      const earlier = await scheduling.schedule(admin, twice);
      const later = await scheduling.schedule(admin, { ...twice, disambiguation: 'LATER' });
      assert.deepEqual(
        [String(earlier.startsAt), String(later.startsAt)],
        ['2026-11-01T05:30:00Z', '2026-11-01T06:30:00Z'],
      );
      assert.ok(scheduling.isAmbiguous(later.startsAt, later.timeZone));
      const there = await scheduling.schedule(admin, {
        ...visit,
        localStart: local('2026-03-10T19:30'),
        timeZone: 'Asia/Kolkata',
      });
      assert.equal(
        String(there.startsAt.toZonedDateTimeISO(there.timeZone)),
        '2026-03-10T19:30:00+05:30[Asia/Kolkata]',
      );
      assert.equal(scheduling.isAmbiguous(there.startsAt, there.timeZone), false);
    }),
  );

  test(
    'refuses a time that clocks skip, with its neighbours',
    sandboxed(async (scope) => {
      const { startsAt: _, ...visit } = await aBooking(scope);
      const skipped: [string, string, RegExp][] = [
        ['2026-03-08T02:30', 'America/New_York', /T01:30 or 2026-03-08T03:30/],
        ['2026-10-04T02:15', 'Australia/Lord_Howe', /T01:45 or 2026-10-04T02:45/],
      ];
      for (const [text, timeZone, neighbours] of skipped) {
        const attempt = scheduling.schedule(scope, { ...visit, localStart: local(text), timeZone });
        const { issues } = await refusal(attempt, InvalidInput);
        assert.deepEqual(issues[0]?.path, ['localStart']);
        assert.match(issues[0]?.message ?? '', neighbours);
      }
    }),
  );

  test(
    'refuses each bad input by its path',
    sandboxed(async (scope) => {
      const good = await aBooking(scope);
      const bad: [string, Partial<scheduling.Booking>][] = [
        ['minutes', { minutes: 0 }],
        ['minutes', { minutes: 10_000 }],
        ['minutes', { minutes: 1.5 }],
        ['timeZone', { timeZone: 'Mars/Olympus' }],
        ['startsAt', { localStart: local('2026-03-03T10:00') }],
        ['startsAt', { startsAt: null }],
        ['startsAt', { startsAt: good.startsAt.add({ seconds: 1 }) }],
        ['notes', { notes: 'x'.repeat(5_001) }],
        ['notes', { notes: 'a\u0000b' }],
        ['notes', { notes: 'a\uD800b' }],
        ['override.reason', { override: { rules: ['TOO_SOON'], reason: ' ' } }],
      ];
      for (const [path, more] of bad) {
        const { issues } = await refusal(scheduling.schedule(scope, { ...good, ...more }), InvalidInput);
        assert.deepEqual(
          issues.map((issue) => issue.path.join('.')),
          [path],
        );
      }
      assert.deepEqual(await rowsOf(scope, good.providerId), []);
    }),
  );

  test(
    'books nobody who is deceased, suspended or deleted, and with nobody who is gone or does something else',
    sandboxed(async (scope) => {
      for (const status of ['DECEASED', 'SUSPENDED', 'INACTIVE'] as const) {
        const booking = await aBooking(scope, { patientId: await newPatient(scope, { status }) });
        const { status: told } = await refusal(scheduling.schedule(scope, booking), scheduling.PatientNotBookable);
        assert.equal(told, status);
      }
      const deleted = await aBooking(scope);
      await care.deletePatient(scope, deleted.patientId);
      await refusal(scheduling.schedule(scope, deleted), NotFound);
      const booking = await aBooking(scope);
      const away = { ...booking, providerId: await newProvider(scope, { active: false }) };
      assert.equal(
        (await refusal(scheduling.schedule(scope, away), scheduling.ProviderUnavailable)).reason,
        'INACTIVE',
      );
      const meals = scheduling.schedule(scope, { ...booking, service: 'MEAL_DELIVERY' });
      assert.equal((await refusal(meals, scheduling.ProviderUnavailable)).reason, 'SERVICE_NOT_OFFERED');
      await refusal(scheduling.schedule(scope, { ...booking, providerId: randomUUID() }), NotFound);
    }),
  );

  test(
    'does it once per idempotency key',
    sandboxed(async (scope) => {
      const booking = { ...(await aBooking(scope)), idempotencyKey: 'k' };
      const { id } = await scheduling.schedule(scope, booking);
      assert.equal((await scheduling.schedule(scope, booking)).id, id);
      const other = scheduling.schedule(scope, { ...booking, minutes: 20 });
      await assert.rejects(other, { code: 'IDEMPOTENCY_MISMATCH' });
      assert.equal((await rowsOf(scope, booking.providerId)).length, 1);
    }),
  );
});

describe('an override', () => {
  const override = { rules: ['PROVIDER_BUSY', 'TOO_SOON'] as scheduling.ConflictRule[], reason: 'The driver waits' };
  const granted = (scope: Scope) => as(scope, actor('agent', { mayOverride: true }));

  test(
    'double-books for admins and whom it is granted to; the row says so, and keeps everybody else off its time',
    sandboxed(async (scope) => {
      const first = await booked(scope);
      for (const [i, who] of [as(scope, 'admin'), granted(scope)].entries()) {
        const patientId = await newPatient(scope);
        const over = await scheduling.schedule(
          who,
          await aBooking(scope, { ...first, patientId, notes: null, override }),
        );
        assert.deepEqual(over.overrides, ['PROVIDER_BUSY'], `${i}`);
        const [history] = [...(await scheduling.historiesOf(scope, [over.id])).values()];
        assert.equal(history?.[0]?.reason, override.reason);
        const { audit } = await recordsOf(scope, over.id);
        assert.ok(audit[0]?.changed_fields.includes('overrides.PROVIDER_BUSY'));
        await scheduling.cancel(scope, first.id, { reason: 'ERROR' }).catch(() => null);
        const next = await aBooking(scope, { providerId: first.providerId });
        assert.deepEqual(new Set(await rulesBroken(scheduling.schedule(scope, next))), new Set(['PROVIDER_BUSY']));
      }
    }),
  );

  test(
    'is refused to everybody else, on record; and nothing overrides the past',
    sandboxed(async (scope) => {
      const booking = { ...(await aBooking(scope)), override };
      const plain = as(scope, 'agent');
      await refusal(scheduling.schedule(plain, booking), Forbidden);
      const denied = await transact(asSystem(scope), ({ db }) =>
        sql<{ action: string }>`select action from audit_entries where user_id = ${plain.actor.id}`.execute(db),
      );
      assert.deepEqual(denied.rows, [{ action: 'appointment.override' }]);
      const rules = [...scheduling.CONFLICT_RULES];
      const past = { ...booking, startsAt: at('2026-03-02T14:30:00Z'), override: { rules, reason: 'r' } };
      assert.deepEqual(await rulesBroken(scheduling.schedule(as(scope, 'admin'), past)), ['IN_THE_PAST']);
    }),
  );
});

describe('a patient', () => {
  const self = (scope: Scope, patientId: string): Scope => as(scope, actor('patient', { patientId }));

  test(
    'books, confirms, moves and cancels their own, up to a day before; then is told whom to call',
    sandboxed(async (scope) => {
      const startsAt = at('2026-03-05T15:00:00Z');
      const booking = await aBooking(scope, { startsAt });
      const own = self(scope, booking.patientId);
      const { id } = await scheduling.schedule(own, booking);
      await scheduling.confirm(own, id);
      const lastMoment = { ...own, now: startsAt.subtract({ hours: 24 }) };
      assert.equal((await scheduling.reschedule(lastMoment, id, { minutes: 20 })).status, 'SCHEDULED');
      const late = {
        ...own,
        now: startsAt.subtract({ hours: 23, minutes: 59 }),
        clinic: { ...own.clinic, phone: '+12125550100' },
      };
      for (const attempt of [
        () => scheduling.reschedule(late, id, { minutes: 30 }),
        () => scheduling.cancel(late, id, { reason: 'PATIENT' }),
      ]) {
        const told = await refusal(attempt(), scheduling.TooLateToChange);
        assert.equal(told.phone, '+12125550100');
        assert.match(told.message, /call the clinic at \+12125550100/);
      }
      assert.equal((await scheduling.cancel(lastMoment, id, { reason: 'PATIENT' })).status, 'CANCELLED');
    }),
  );

  test(
    'reaches nobody else’s, does not run the day, and reads no words of staff',
    sandboxed(async (scope) => {
      const foreign = await booked(scope);
      const mine = await booked(scope);
      const own = self(scope, mine.patientId);
      for (const attempt of [
        () => scheduling.getAppointment(own, foreign.id),
        () => scheduling.cancel(own, foreign.id, { reason: 'PATIENT' }),
        () => scheduling.reschedule(own, foreign.id, { minutes: 20 }),
        async () => scheduling.schedule(own, await aBooking(scope, { patientId: foreign.patientId })),
      ]) {
        await refusal(attempt(), NotFound);
      }
      for (const step of [scheduling.checkIn, scheduling.start, scheduling.complete, scheduling.markNoShow]) {
        await refusal(step(own, mine.id), Forbidden);
      }
      assert.equal((await scheduling.appointments(own, { patientId: foreign.patientId })).items.length, 0);
      assert.equal((await scheduling.appointments(own)).items.length, 1);
      const { rows } = await transact(asSystem(scope), ({ db }) =>
        sql`select from audit_entries where user_id = ${own.actor.id} and outcome = 'DENIED'`.execute(db),
      );
      assert.equal(rows.length, 9);
      await scheduling.reschedule(scope, mine.id, { minutes: 20, reason: 'after Mrs. X' });
      const changes = (await scheduling.historiesOf(own, [mine.id, foreign.id])).get(mine.id);
      assert.deepEqual(
        changes?.map(({ reason }) => reason),
        [null, null],
      );
      const conflict = await refusal(
        scheduling.schedule(own, {
          ...(await aBooking(scope, mine as never)),
          patientId: mine.patientId,
          providerId: foreign.providerId,
        }),
        scheduling.AppointmentConflict,
      );
      assert.deepEqual(Object.fromEntries(conflict.conflicts.map(({ rule, appointmentId }) => [rule, appointmentId])), {
        PATIENT_BUSY: mine.id,
        PROVIDER_BUSY: null,
      });
    }),
  );
});
