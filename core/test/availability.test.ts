import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Asking,
  type Calendar,
  CLINIC_HOURS,
  conflictsOf,
  freeStarts,
  type ServiceRules,
} from '../src/scheduling/availability.ts';

const ms = (text: string) => Temporal.Instant.from(text).epochMilliseconds;
const MINUTE = 60_000;
const NOW = ms('2026-03-02T15:00:00Z');

const RULES: ServiceRules = {
  service: 'TELEHEALTH',
  minutes: 30,
  bufferBeforeMinutes: 0,
  bufferAfterMinutes: 0,
  minimumNoticeMinutes: 0,
  horizonDays: 1_000,
  dailyLimit: null,
};
const CALENDAR: Calendar = {
  timeZone: 'America/New_York',
  weeklyHours: CLINIC_HOURS,
  exceptions: new Map(),
  timeOff: [],
  taken: [],
};
const ASKING: Asking = { now: NOW, minutes: 30, patientTaken: [] };

const everyDay = (from: string, to: string) => [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from, to }));

function starts(
  calendar: Partial<Calendar>,
  range: { from: string; until: string; everyMinutes?: number; minutes?: number },
) {
  const { everyMinutes = 30, minutes = 30 } = range;
  const search = { ...ASKING, minutes, everyMinutes, from: ms(range.from), until: ms(range.until) };
  return [...freeStarts({ ...CALENDAR, ...calendar }, RULES, search)].map((at) =>
    new Date(at).toISOString().slice(5, 16),
  );
}

const rulesBrokenAt = (startsAt: string, calendar: Partial<Calendar> = {}, rules: Partial<ServiceRules> = {}) =>
  conflictsOf({ ...CALENDAR, ...calendar }, { ...RULES, ...rules }, { ...ASKING, startsAt: ms(startsAt) })
    .map(({ rule }) => rule)
    .toSorted();

describe('conflictsOf', () => {
  const at = '2026-03-03T15:00:00Z';
  const visit = (startsAt: string, endsAt: string, more: { service?: 'TELEHEALTH' | 'HOME_VISIT' } = {}) => ({
    appointmentId: 'a',
    service: more.service ?? ('TELEHEALTH' as const),
    startsAt: ms(startsAt),
    blocks: { from: ms(startsAt), until: ms(endsAt) },
  });

  test('finds nothing against a free time at work', () => assert.deepEqual(rulesBrokenAt(at), []));

  test('tells all rules that are broken, not the first', () => {
    const taken = [visit('2026-03-01T11:00:00Z', '2026-03-01T11:20:00Z')];
    const timeOff = [{ from: ms('2026-03-01T11:10:00Z'), until: ms('2026-03-01T12:00:00Z') }];
    assert.deepEqual(rulesBrokenAt('2026-03-01T11:00:00Z', { taken, timeOff }, { dailyLimit: 1 }), [
      'DAILY_LIMIT',
      'IN_THE_PAST',
      'OUTSIDE_HOURS',
      'PROVIDER_BUSY',
      'TIME_OFF',
    ]);
  });

  test('lets visits be back to back, and keeps the buffers around one', () => {
    const taken = [visit('2026-03-03T15:30:00Z', '2026-03-03T16:00:00Z')];
    assert.deepEqual(rulesBrokenAt(at, { taken }), []);
    assert.deepEqual(rulesBrokenAt(at, { taken }, { bufferAfterMinutes: 1 }), ['PROVIDER_BUSY']);
    assert.deepEqual(rulesBrokenAt('2026-03-03T16:00:00Z', { taken }), []);
    assert.deepEqual(rulesBrokenAt('2026-03-03T16:00:00Z', { taken }, { bufferBeforeMinutes: 1 }), ['PROVIDER_BUSY']);
  });

  test('knows notice and horizon to the minute', () => {
    const rules = { minimumNoticeMinutes: 24 * 60, horizonDays: 2 };
    assert.deepEqual(rulesBrokenAt('2026-03-03T14:59:00Z', {}, rules), ['TOO_SOON']);
    assert.deepEqual(rulesBrokenAt('2026-03-03T15:00:00Z', {}, rules), []);
    assert.deepEqual(rulesBrokenAt('2026-03-04T15:00:00Z', {}, rules), []);
    assert.deepEqual(rulesBrokenAt('2026-03-04T15:01:00Z', {}, rules), ['TOO_FAR_AHEAD']);
  });

  test('counts the visits of the service on the local day', () => {
    // 04:30 UTC is still the evening before in New York.
    const taken = [visit('2026-03-04T04:30:00Z', '2026-03-04T04:45:00Z')];
    assert.deepEqual(rulesBrokenAt(at, { taken }, { dailyLimit: 1 }), ['DAILY_LIMIT']);
    assert.deepEqual(rulesBrokenAt('2026-03-04T15:00:00Z', { taken }, { dailyLimit: 1 }), []);
    assert.deepEqual(rulesBrokenAt(at, { taken }, { dailyLimit: 1, service: 'HOME_VISIT' }), []);
  });

  test('puts time off over a dated exception, and that over the weekly hours', () => {
    const exceptions = new Map([
      ['2026-03-03', []],
      ['2026-03-07', [{ from: '10:00', to: '12:00' }]],
    ]);
    const timeOff = [{ from: ms('2026-03-07T16:00:00Z'), until: ms('2026-03-07T17:00:00Z') }];
    assert.deepEqual(rulesBrokenAt(at, { exceptions }), ['OUTSIDE_HOURS']);
    assert.deepEqual(rulesBrokenAt('2026-03-07T15:00:00Z'), ['OUTSIDE_HOURS']);
    assert.deepEqual(rulesBrokenAt('2026-03-07T15:00:00Z', { exceptions, timeOff }), []);
    assert.deepEqual(rulesBrokenAt('2026-03-07T16:00:00Z', { exceptions, timeOff }), ['TIME_OFF']);
  });
});

describe('freeStarts', () => {
  test('joins hours over midnight', () => {
    const weeklyHours = everyDay('00:00', '24:00');
    const range = { from: '2026-03-04T04:00:00Z', until: '2026-03-04T06:00:00Z', minutes: 60 };
    assert.deepEqual(starts({ weeklyHours }, range), ['03-04T04:00', '03-04T04:30', '03-04T05:00', '03-04T05:30']);
  });

  /** Hours of 00:00 to 04:00 on the night that the clock changes: how long they are, and the grid of half hours. */
  const NIGHTS: readonly [zone: string, date: string, free: readonly string[]][] = [
    // From 01:59 to 03:00: one hour less.
    ['America/New_York', '2026-03-08', ['05:00', '05:30', '06:00', '06:30', '07:00', '07:30']],
    ['America/New_York', '2027-03-14', ['05:00', '05:30', '06:00', '06:30', '07:00', '07:30']],
    // 01:00 to 02:00 twice.
    [
      'America/New_York',
      '2026-11-01',
      ['04:00', '04:30', '05:00', '05:30', '06:00', '06:30', '07:00', '07:30', '08:00', '08:30'],
    ],
    [
      'America/New_York',
      '2027-11-07',
      ['04:00', '04:30', '05:00', '05:30', '06:00', '06:30', '07:00', '07:30', '08:00', '08:30'],
    ],
    ['America/Phoenix', '2026-03-08', ['07:00', '07:30', '08:00', '08:30', '09:00', '09:30', '10:00', '10:30']],
    ['Asia/Kolkata', '2026-03-08', ['18:30', '19:00', '19:30', '20:00', '20:30', '21:00', '21:30', '22:00']],
    // Half an hour back: 01:30 to 02:00 twice. Half an hour forward: 02:00 to 02:30 never.
    [
      'Australia/Lord_Howe',
      '2026-04-05',
      ['13:00', '13:30', '14:00', '14:30', '15:00', '15:30', '16:00', '16:30', '17:00'],
    ],
    ['Australia/Lord_Howe', '2026-10-04', ['13:30', '14:00', '14:30', '15:00', '15:30', '16:00', '16:30']],
    ['Pacific/Apia', '2026-03-08', ['11:00', '11:30', '12:00', '12:30', '13:00', '13:30', '14:00', '14:30']],
    ['Pacific/Kiritimati', '2026-03-08', ['10:00', '10:30', '11:00', '11:30', '12:00', '12:30', '13:00', '13:30']],
  ];
  for (const [timeZone, date, free] of NIGHTS) {
    test(`counts the hours that there are: ${timeZone}, ${date}`, () => {
      const exceptions = new Map([[date, [{ from: '00:00', to: '04:00' }]]]);
      const midnight = Temporal.PlainDate.from(date).toZonedDateTime(timeZone).toInstant();
      const range = { from: midnight.toString(), until: midnight.add({ hours: 20 }).toString() };
      const found = starts({ timeZone, weeklyHours: [], exceptions }, range);
      assert.deepEqual(
        found.map((at) => at.slice(6)),
        free,
      );
    });
  }

  const ZONES = [
    'America/New_York',
    'America/Phoenix',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'Pacific/Kiritimati',
  ];
  const DATES = ['2026-03-08', '2026-11-01', '2027-03-14', '2027-11-07', '2026-04-05', '2026-10-04'];

  const time = fc.integer({ min: 0, max: 96 }).map((quarter) => {
    const minutes = quarter * 15;
    return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  });
  const hours = fc.tuple(time, time).map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a }));
  const scene = fc.record({
    timeZone: fc.constantFrom(...ZONES),
    date: fc.constantFrom(...DATES),
    weekly: fc.array(fc.record({ weekday: fc.integer({ min: 1, max: 7 }), hours }), { minLength: 1, maxLength: 14 }),
    exception: fc.option(fc.array(hours, { maxLength: 2 })),
    timeOff: fc.array(fc.tuple(fc.integer({ min: -600, max: 2_400 }), fc.integer({ min: 1, max: 600 })), {
      maxLength: 3,
    }),
    taken: fc.array(fc.tuple(fc.integer({ min: -600, max: 2_400 }), fc.integer({ min: 1, max: 240 })), {
      maxLength: 6,
    }),
    patientTaken: fc.array(fc.tuple(fc.integer({ min: -600, max: 2_400 }), fc.integer({ min: 1, max: 240 })), {
      maxLength: 3,
    }),
    minutes: fc.integer({ min: 1, max: 300 }),
    buffers: fc.tuple(fc.integer({ min: 0, max: 45 }), fc.integer({ min: 0, max: 45 })),
    notice: fc.integer({ min: 0, max: 600 }),
    horizonDays: fc.integer({ min: 1, max: 3 }),
    dailyLimit: fc.option(fc.integer({ min: 1, max: 3 })),
    now: fc.integer({ min: -2_880, max: 600 }),
  });

  test('offers exactly the minutes that can be booked, whatever the rules, the zone and the night', () => {
    let offered = 0;
    fc.assert(
      fc.property(scene, (scene) => {
        const noon = Temporal.PlainDate.from(scene.date).toZonedDateTime(scene.timeZone).epochMilliseconds;
        const ranges = (all: [number, number][]) =>
          all.map(([from, length]) => ({ from: noon + from * MINUTE, until: noon + (from + length) * MINUTE }));
        const calendar: Calendar = {
          timeZone: scene.timeZone,
          weeklyHours: scene.weekly.map(({ weekday, hours }) => ({ weekday, ...hours })),
          exceptions: new Map(scene.exception === null ? [] : [[scene.date, scene.exception]]),
          timeOff: ranges(scene.timeOff),
          taken: ranges(scene.taken).map((blocks, i) => ({
            appointmentId: String(i),
            service: 'TELEHEALTH',
            startsAt: blocks.from,
            blocks,
          })),
        };
        const rules: ServiceRules = {
          service: 'TELEHEALTH',
          minutes: scene.minutes,
          bufferBeforeMinutes: scene.buffers[0],
          bufferAfterMinutes: scene.buffers[1],
          minimumNoticeMinutes: scene.notice,
          horizonDays: scene.horizonDays,
          dailyLimit: scene.dailyLimit,
        };
        const asking: Asking = {
          now: noon + scene.now * MINUTE,
          minutes: scene.minutes,
          patientTaken: ranges(scene.patientTaken).map(({ from, until }) => ({ appointmentId: null, from, until })),
        };
        const [from, until] = [noon - 120 * MINUTE, noon + 30 * 60 * MINUTE];
        const free = [...freeStarts(calendar, rules, { ...asking, from, until, everyMinutes: 1 })];
        const bookable: number[] = [];
        for (let startsAt = from; startsAt < until; startsAt += MINUTE) {
          if (conflictsOf(calendar, rules, { ...asking, startsAt }).length === 0) bookable.push(startsAt);
        }
        assert.deepEqual(free, bookable);
        offered += free.length;
        const grid = [...freeStarts(calendar, rules, { ...asking, from, until, everyMinutes: 20 })];
        const onGrid = (at: number) => {
          const { hour, minute } = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(scene.timeZone);
          return (hour * 60 + minute) % 20 === 0;
        };
        assert.deepEqual(grid, free.filter(onGrid));
      }),
      { numRuns: 60 },
    );
    assert.ok(offered > 1_000, 'the rules left hardly anything free');
  });
});
