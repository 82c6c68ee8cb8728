import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as notifications from '#notifications';
import { assertSame } from './support/same.ts';

const CLINIC = {
  timeZone: 'America/New_York',
  region: 'US',
  name: 'C',
  messageHours: { from: '08:00', until: '21:00' },
};
const QUIET = { from: '20:00', to: '09:00' };
const hoursWith = (quietHours: { from: string; to: string }) => notifications.allowedHours({ quietHours }, CLINIC);
const HOURS = hoursWith(QUIET);

const NEW_YORK = 'America/New_York';
const at = (local: string, timeZone = NEW_YORK) =>
  Temporal.PlainDateTime.from(local).toZonedDateTime(timeZone).toInstant();
const local = (instant: Temporal.Instant, timeZone = NEW_YORK) =>
  instant.toZonedDateTimeISO(timeZone).toPlainDateTime().toString({ smallestUnit: 'minute' });

interface Case {
  readonly visit: Temporal.Instant;
  readonly booked: Temporal.Instant;
  readonly now?: Temporal.Instant;
  readonly more?: Partial<notifications.PlannedVisit>;
  readonly recipient?: Partial<notifications.Recipient>;
}

function planned({ visit, booked, now = booked, more, recipient }: Case): notifications.Planned[] {
  return notifications.plan(
    { status: 'SCHEDULED', startsAt: visit, notice: 'CONFIRMATION', arrangedAt: booked, remindedAt: null, ...more },
    { timeZone: NEW_YORK, hours: HOURS, unreachable: null, ...recipient },
    now,
  );
}

/** `REMINDER_24H 2026-03-07T09:00`, or why not. */
const lines = (rows: readonly notifications.Planned[], timeZone = NEW_YORK) =>
  rows.map(({ kind, reason, dueAt }) => `${kind} ${reason ?? local(dueAt, timeZone)}`);

describe('plan', () => {
  test('tells of the visit at once, and reminds a day and two hours before', () => {
    const rows = planned({ visit: at('2026-03-05T14:00'), booked: at('2026-03-02T10:00') });
    assert.deepEqual(lines(rows), [
      'CONFIRMATION 2026-03-02T10:00',
      'REMINDER_24H 2026-03-04T14:00',
      'REMINDER_2H 2026-03-05T12:00',
    ]);
    assertSame(
      rows.map(({ expiresAt }) => local(expiresAt)),
      ['2026-03-05T14:00', '2026-03-05T13:30', '2026-03-05T12:30'],
    );
  });

  test('counts elapsed hours, also when the clocks change', () => {
    const spring = planned({ visit: at('2026-03-08T12:00'), booked: at('2026-03-01T10:00') });
    assert.deepEqual(lines(spring).slice(1), ['REMINDER_24H 2026-03-07T11:00', 'REMINDER_2H 2026-03-08T10:00']);
    const autumn = planned({ visit: at('2026-11-01T14:00'), booked: at('2026-10-20T10:00') });
    assert.equal(lines(autumn)[1], 'REMINDER_24H 2026-10-31T15:00');
  });

  test('of Sunday 9:00 after the clocks went forward, the day before is Saturday 8:00, which waits until 9:00', () => {
    const visit = at('2026-03-08T09:00');
    assert.equal(local(visit.subtract({ hours: 24 })), '2026-03-07T08:00');
    const rows = planned({ visit, booked: at('2026-03-02T10:00') });
    assert.deepEqual(lines(rows).slice(1), ['REMINDER_24H 2026-03-07T09:00', 'REMINDER_2H MERGED_WITH_24H']);
    const early = planned({
      visit,
      booked: at('2026-03-02T10:00'),
      recipient: { hours: hoursWith({ from: '20:00', to: '08:00' }) },
    });
    assert.equal(lines(early)[1], 'REMINDER_24H 2026-03-07T08:00');
  });

  test('moves the day-before reminder to an earlier moment when the next allowed one is under 6 hours before', () => {
    const evenings = hoursWith({ from: '20:00', to: '18:00' });
    const late = planned({
      visit: at('2026-03-05T20:30'),
      booked: at('2026-03-01T10:00'),
      recipient: { hours: evenings },
    });
    assert.deepEqual(lines(late).slice(1), ['REMINDER_24H 2026-03-04T19:30', 'REMINDER_2H 2026-03-05T18:30']);
    // 6 hours before, to the minute, is still in time.
    const until = hoursWith({ from: '20:00', to: '15:00' });
    const inTime = planned({
      visit: at('2026-03-05T21:00'),
      booked: at('2026-03-01T10:00'),
      recipient: { hours: until },
    });
    assert.equal(lines(inTime)[1], 'REMINDER_24H 2026-03-05T15:00');
    const tooLate = planned({
      visit: at('2026-03-05T20:59'),
      booked: at('2026-03-01T10:00'),
      recipient: { hours: until },
    });
    assert.equal(lines(tooLate)[1], 'REMINDER_24H 2026-03-04T19:30');
  });

  test('reminds of an early visit on the evening before', () => {
    const rows = planned({ visit: at('2026-03-05T08:00'), booked: at('2026-03-04T11:00') });
    assert.deepEqual(lines(rows), [
      'CONFIRMATION 2026-03-04T11:00',
      'REMINDER_24H BOOKED_TOO_LATE',
      'REMINDER_2H 2026-03-04T19:30',
    ]);
    assert.equal(local(rows[2]?.expiresAt ?? at('2026-01-01T00:00')), '2026-03-04T20:00');
  });

  test('sends one reminder where two would be under 12 hours apart, and both where they are not', () => {
    const early = planned({ visit: at('2026-03-05T08:00'), booked: at('2026-03-01T11:00') });
    assert.deepEqual(lines(early).slice(1), ['REMINDER_24H 2026-03-04T09:00', 'REMINDER_2H MERGED_WITH_24H']);
    const wide = { hours: hoursWith({ from: '21:00', to: '08:00' }) };
    const apart = planned({ visit: at('2026-03-05T08:00'), booked: at('2026-03-01T11:00'), recipient: wide });
    assert.deepEqual(lines(apart).slice(1), ['REMINDER_24H 2026-03-04T08:00', 'REMINDER_2H 2026-03-04T20:30']);
    const near = planned({ visit: at('2026-03-05T08:31'), booked: at('2026-03-01T11:00'), recipient: wide });
    assert.deepEqual(lines(near).slice(1), ['REMINDER_24H 2026-03-04T08:31', 'REMINDER_2H MERGED_WITH_24H']);
  });

  test('sends nothing late: under 24 hours ahead no day-before reminder, under 3 none at all', () => {
    const visit = at('2026-03-05T16:00');
    const reasons = (before: Temporal.DurationLike) =>
      planned({ visit, booked: visit.subtract(before) }).map(({ reason }) => reason);
    assert.deepEqual(reasons({ hours: 24 }), [null, null, null]);
    assert.deepEqual(reasons({ hours: 23, minutes: 59 }), [null, 'BOOKED_TOO_LATE', null]);
    assert.deepEqual(reasons({ hours: 3 }), [null, 'BOOKED_TOO_LATE', null]);
    assert.deepEqual(reasons({ hours: 2, minutes: 59 }), [null, 'BOOKED_TOO_LATE', 'BOOKED_TOO_LATE']);
    assert.deepEqual(reasons({ minutes: 20 }), [null, 'BOOKED_TOO_LATE', 'BOOKED_TOO_LATE']);
    assert.deepEqual(reasons({ minutes: 0 }), ['STALE', 'BOOKED_TOO_LATE', 'BOOKED_TOO_LATE']);
    const lateEvening = planned({ visit: at('2026-03-05T10:00'), booked: at('2026-03-04T22:00') });
    assert.deepEqual(lines(lateEvening), [
      'CONFIRMATION 2026-03-05T09:00',
      'REMINDER_24H BOOKED_TOO_LATE',
      'REMINDER_2H BOOKED_TOO_LATE',
    ]);
  });

  test('planned anew, it still has what was arranged in time', () => {
    const visit = at('2026-03-05T16:00');
    const rows = planned({
      visit,
      booked: at('2026-03-01T10:00'),
      now: visit.subtract({ hours: 2, minutes: 30 }),
      more: { notice: null },
    });
    assert.deepEqual(lines(rows), ['REMINDER_24H BOOKED_TOO_LATE', 'REMINDER_2H 2026-03-05T14:00']);
  });

  test('tells at once within the allowed hours only, and not once the visit has begun', () => {
    const night = (visit: string) => lines(planned({ visit: at(visit), booked: at('2026-03-04T22:00') }))[0];
    assert.equal(night('2026-03-05T09:01'), 'CONFIRMATION 2026-03-05T09:00');
    assert.equal(night('2026-03-05T09:00'), 'CONFIRMATION QUIET_HOURS');
    const missed = { status: 'NO_SHOW', notice: 'MISSED' } as const;
    const follow = (now: string) => lines(planned({ visit: at('2026-03-05T10:00'), booked: at(now), more: missed }));
    assert.deepEqual(follow('2026-03-05T10:20'), ['MISSED 2026-03-05T10:20']);
    assert.deepEqual(follow('2026-03-05T23:20'), ['MISSED 2026-03-06T09:00']);
    const cancelled = { status: 'CANCELLED', notice: 'CANCELLED' } as const;
    assert.deepEqual(
      lines(planned({ visit: at('2026-03-05T10:00'), booked: at('2026-03-05T10:00'), more: cancelled })),
      ['CANCELLED STALE'],
    );
  });

  test('reminds whoever has confirmed once more, late', () => {
    const confirmed = { status: 'CONFIRMED', notice: null } as const;
    const rows = planned({ visit: at('2026-03-05T14:00'), booked: at('2026-03-02T10:00'), more: confirmed });
    assert.deepEqual(lines(rows), ['REMINDER_2H 2026-03-05T12:00']);
    const early = { visit: at('2026-03-05T08:00'), booked: at('2026-03-02T10:00') };
    assert.deepEqual(lines(planned({ ...early, more: confirmed })), ['REMINDER_2H 2026-03-04T19:30']);
    // Not when the day-before reminder went out that very day.
    const reminded = { ...confirmed, remindedAt: at('2026-03-04T09:00') };
    assert.deepEqual(lines(planned({ ...early, more: reminded })), ['REMINDER_2H MERGED_WITH_24H']);
  });

  test('says why nobody is written to', () => {
    for (const unreachable of ['PATIENT_INACTIVE', 'NO_CHANNEL'] as const) {
      const rows = planned({
        visit: at('2026-03-05T14:00'),
        booked: at('2026-03-02T10:00'),
        recipient: { unreachable },
      });
      assert.deepEqual(
        lines(rows),
        ['CONFIRMATION', 'REMINDER_24H', 'REMINDER_2H'].map((kind) => `${kind} ${unreachable}`),
      );
    }
    const never = planned({
      visit: at('2026-03-05T14:00'),
      booked: at('2026-03-02T10:00'),
      recipient: { hours: hoursWith({ from: '00:00', to: '23:59' }) },
    });
    assert.deepEqual(new Set(never.map(({ reason }) => reason)), new Set(['QUIET_HOURS']));
  });
});

describe('allowedHours', () => {
  const clock = (quietHours: { from: string; to: string }) =>
    hoursWith(quietHours).map((span) => span.map((at) => `${Math.floor(at / 60)}:${String(at % 60).padStart(2, '0')}`));

  test('are the law’s without the quiet ones, across midnight or within a day', () => {
    assert.deepEqual(clock(QUIET), [['9:00', '20:00']]);
    assert.deepEqual(clock({ from: '23:00', to: '06:00' }), [['8:00', '21:00']]);
    assert.deepEqual(clock({ from: '12:00', to: '14:30' }), [
      ['8:00', '12:00'],
      ['14:30', '21:00'],
    ]);
    assert.deepEqual(clock({ from: '07:00', to: '22:00' }), []);
    assert.deepEqual(clock({ from: '13:00', to: '13:00' }), [
      ['8:00', '13:00'],
      ['13:00', '21:00'],
    ]);
  });

  test('leave the next and the last allowed moment', () => {
    const next = (time: string, quiet = QUIET) => notifications.nextAllowed(at(time), NEW_YORK, hoursWith(quiet));
    assertSame(next('2026-03-07T12:00'), at('2026-03-07T12:00'));
    assertSame(next('2026-03-07T20:00'), at('2026-03-08T09:00'));
    assertSame(next('2026-03-07T13:00', { from: '12:00', to: '14:30' }), at('2026-03-07T14:30'));
    assert.equal(next('2026-03-07T13:00', { from: '07:00', to: '22:00' }), null);
    const last = (time: string) => notifications.lastAllowedBefore(at(time), NEW_YORK, HOURS);
    assertSame(last('2026-03-07T12:00'), at('2026-03-07T12:00'));
    assertSame(last('2026-03-08T06:00'), at('2026-03-07T19:30'));
    assertSame(last('2026-03-08T20:10'), at('2026-03-08T19:30'));
  });
});

const ZONES = [
  NEW_YORK,
  'America/Phoenix',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
];
const CHANGES = ['2026-03-08', '2026-11-01', '2027-03-14', '2027-11-07', '2026-04-05', '2026-10-04', '2026-06-30'];

const time = fc.integer({ min: 0, max: 1439 }).map((minute) => {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
});

/** A visit around a day on which clocks change somewhere, booked up to four days ahead. */
const cases = fc
  .record({
    date: fc.constantFrom(...CHANGES),
    minutes: fc.integer({ min: -2 * 1440, max: 2 * 1440 }),
    ahead: fc.oneof(fc.integer({ min: 0, max: 4 * 1440 }), fc.integer({ min: 0, max: 240 })),
    timeZone: fc.constantFrom(...ZONES),
    quietHours: fc.oneof(fc.constant(QUIET), fc.record({ from: time, to: time })),
    status: fc.constantFrom('SCHEDULED', 'CONFIRMED', 'CANCELLED', 'NO_SHOW'),
  })
  .map(({ date, minutes, ahead, timeZone, quietHours, status }) => {
    const visit = at(`${date}T12:00`, timeZone).add({ minutes });
    const booked = visit.subtract({ minutes: ahead });
    const notice = { SCHEDULED: 'CONFIRMATION', CONFIRMED: null, CANCELLED: 'CANCELLED', NO_SHOW: 'MISSED' }[status];
    const more = { status, notice } as Pick<notifications.PlannedVisit, 'status' | 'notice'>;
    const rows = planned({ visit, booked, more, recipient: { timeZone, hours: hoursWith(quietHours) } });
    return { visit, booked, timeZone, quietHours, rows, sent: rows.filter((row) => row.status === 'PLANNED') };
  });
type Sample = typeof cases extends fc.Arbitrary<infer T> ? T : never;

const always = (property: (sample: Sample) => void) => fc.assert(fc.property(cases, property), { numRuns: 2_000 });
const minutesUntil = (from: Temporal.Instant, to: Temporal.Instant) => from.until(to).total('minutes');

describe('plan, for any visit, zone and quiet hours', () => {
  test('nothing is due in quiet hours', () =>
    always(({ sent, timeZone, quietHours: { from, to } }) => {
      for (const { dueAt } of sent) {
        const clock = dueAt.toZonedDateTimeISO(timeZone).toPlainTime().toString().slice(0, 5);
        assert.ok('08:00' <= clock && clock < '21:00', clock);
        const quiet = from <= to ? from <= clock && clock < to : from <= clock || clock < to;
        assert.ok(!quiet, `${clock} lies in ${from}–${to}`);
      }
    }));

  test('nothing is due before it is planned, or once the visit has begun, except what follows a missed one', () =>
    always(({ sent, booked, visit }) => {
      for (const { kind, dueAt, expiresAt } of sent) {
        assert.ok(minutesUntil(booked, dueAt) >= 0);
        assert.ok(minutesUntil(dueAt, expiresAt) > 0, 'it can be sent at all');
        if (kind === 'MISSED') continue;
        assert.ok(minutesUntil(dueAt, visit) > 0);
        assert.ok(minutesUntil(expiresAt, visit) >= 0);
        if (kind === 'REMINDER_24H') assert.ok(minutesUntil(dueAt, visit) >= 6 * 60);
        if (kind === 'REMINDER_2H') assert.ok(minutesUntil(dueAt, visit) >= 120);
        if (kind === 'REMINDER_2H') assert.ok(minutesUntil(dueAt, expiresAt) <= 30);
      }
    }));

  test('no kind is planned twice, and what is not sent says why', () =>
    always(({ rows }) => {
      assert.equal(new Set(rows.map(({ kind }) => kind)).size, rows.length);
      for (const { status, reason } of rows) assert.equal(status === 'SKIPPED', reason !== null);
    }));

  test('a reminder is due when its hours have elapsed, unless that is in quiet hours', () =>
    always(({ sent, visit, timeZone, quietHours }) => {
      for (const { kind, dueAt } of sent) {
        if (kind !== 'REMINDER_24H' && kind !== 'REMINDER_2H') continue;
        const nominal = visit.subtract({ hours: kind === 'REMINDER_24H' ? 24 : 2 });
        assert.equal(dueAt.equals(nominal), notifications.isAllowed(nominal, timeZone, hoursWith(quietHours)));
      }
    }));

  test('who books under 24 hours ahead gets no day-before reminder, under 3 no reminder', () =>
    always(({ sent, booked, visit }) => {
      const hours = booked.until(visit).total('hours');
      const kinds = new Set(sent.map(({ kind }) => kind));
      if (hours < 24) assert.ok(!kinds.has('REMINDER_24H'));
      if (hours < 3) assert.ok(!kinds.has('REMINDER_2H'));
    }));

  test('two reminders are 12 hours apart', () =>
    always(({ sent }) => {
      const [one, other] = sent.filter(({ kind }) => kind.startsWith('REMINDER'));
      if (one && other) assert.ok(Math.abs(minutesUntil(one.dueAt, other.dueAt)) >= 12 * 60);
    }));
});
