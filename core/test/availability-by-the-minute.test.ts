import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Asking,
  type Calendar,
  CLINIC_HOURS,
  conflictsOf,
  freeStarts,
  type Hours,
  type Search,
  type ServiceRules,
  type WeeklyHours,
} from '../src/scheduling/availability.ts';
import type { ConflictRule } from '../src/scheduling/conflict.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const at = (text: string) => Temporal.Instant.from(text).epochMilliseconds;
const wallTime = (timeZone: string, local: string) =>
  Temporal.PlainDateTime.from(local).toZonedDateTime(timeZone).epochMilliseconds;

/** Days on which clocks are set somewhere, and the zones to try them in. */
const DATES = [
  '2026-03-08',
  '2026-11-01',
  '2027-03-14',
  '2027-11-07',
  // Lord Howe's own.
  '2026-04-05',
  '2026-10-04',
  '2027-04-04',
];
const ZONES = [
  'America/New_York',
  'America/Phoenix',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
];

const NEW_YORK: Calendar = {
  timeZone: 'America/New_York',
  weeklyHours: null,
  exceptions: new Map(),
  timeOff: [],
  taken: [],
};
const RULES: ServiceRules = {
  service: 'HOME_VISIT',
  minutes: 60,
  bufferBeforeMinutes: 0,
  bufferAfterMinutes: 0,
  minimumNoticeMinutes: 0,
  horizonDays: 365,
  dailyLimit: null,
};
const ASKING: Asking = { now: at('2026-03-02T05:00Z'), minutes: 60, patientTaken: [] };

const daily = (...hours: Hours[]): WeeklyHours[] =>
  [1, 2, 3, 4, 5, 6, 7].flatMap((weekday) => hours.map(({ from, to }) => ({ weekday, from, to })));

/** The free starts of one local day, on its wall clock with the offset. */
function startsOn(date: string, calendar: Partial<Calendar>, search: Partial<Search & ServiceRules> = {}): string[] {
  const full = { ...NEW_YORK, ...calendar };
  const day = Temporal.PlainDate.from(date);
  const [from, until] = [day, day.add({ days: 1 })].map(
    (date) => date.toZonedDateTime(full.timeZone).epochMilliseconds,
  ) as [number, number];
  const found = freeStarts(full, { ...RULES, ...search }, { ...ASKING, from, until, everyMinutes: 60, ...search });
  return [...found].map((start) =>
    Temporal.Instant.fromEpochMilliseconds(start)
      .toZonedDateTimeISO(full.timeZone)
      .toString({ smallestUnit: 'minute', timeZoneName: 'never' })
      .slice('2026-03-08T'.length),
  );
}

const rulesAgainst = (calendar: Partial<Calendar>, asking: Partial<Asking & ServiceRules> & { startsAt: number }) =>
  conflictsOf({ ...NEW_YORK, ...calendar }, { ...RULES, ...asking }, { ...ASKING, ...asking }).map(({ rule }) => rule);

/** Minute by minute with Temporal, as one would say it: the rules that a visit breaks. */
function broken(calendar: Calendar, rules: ServiceRules, asking: Asking & { startsAt: number }): Set<ConflictRule> {
  const { startsAt, minutes, now, ignoring = [] } = asking;
  const endsAt = startsAt + minutes * MINUTE;
  const zoned = (instant: number) =>
    Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(calendar.timeZone);
  const isAtWork = (instant: number) => {
    const local = zoned(instant);
    const time = local.toPlainTime().toString({ smallestUnit: 'minute' });
    const weekly = (calendar.weeklyHours ?? CLINIC_HOURS).filter(({ weekday }) => weekday === local.dayOfWeek);
    const hours = calendar.exceptions.get(local.toPlainDate().toString()) ?? weekly;
    const covers = calendar.directory?.covers;
    if (covers && !calendar.exceptions.has(local.toPlainDate().toString()) && covers.from <= instant) {
      if (instant < covers.until) {
        return (calendar.directory?.hours ?? []).some(({ from, until }) => from <= instant && instant < until);
      }
    }
    return hours.some(({ from, to }) => from <= time && time < to);
  };
  const others = <T extends { appointmentId: string | null }>(all: readonly T[]) =>
    all.filter(({ appointmentId }) => appointmentId === null || !ignoring.includes(appointmentId));
  const overlap = (a: { from: number; until: number }, b: { from: number; until: number }) =>
    a.from < b.until && a.until > b.from;
  const visit = { from: startsAt, until: endsAt };
  const blocked = {
    from: startsAt - rules.bufferBeforeMinutes * MINUTE,
    until: endsAt + rules.bufferAfterMinutes * MINUTE,
  };
  const onDay = others(calendar.taken).filter(
    (taken) =>
      taken.service === rules.service && zoned(taken.startsAt).toPlainDate().equals(zoned(startsAt).toPlainDate()),
  );
  const verdicts: Record<ConflictRule, boolean> = {
    PATIENT_BUSY: others(asking.patientTaken).some((range) => overlap(range, visit)),
    PROVIDER_BUSY: others(calendar.taken).some(({ blocks }) => overlap(blocks, blocked)),
    OUTSIDE_HOURS: Array.from({ length: minutes }, (_, i) => startsAt + i * MINUTE).some((at) => !isAtWork(at)),
    TIME_OFF: calendar.timeOff.some((range) => overlap(range, visit)),
    TOO_SOON: startsAt >= now && startsAt < now + rules.minimumNoticeMinutes * MINUTE,
    TOO_FAR_AHEAD: startsAt > now + rules.horizonDays * DAY,
    DAILY_LIMIT: rules.dailyLimit !== null && onDay.length >= rules.dailyLimit,
    IN_THE_PAST: startsAt < now,
  };
  return new Set((Object.keys(verdicts) as ConflictRule[]).filter((rule) => verdicts[rule]));
}

const time = fc.integer({ min: 0, max: 96 }).map((quarter) => quarter * 15);
const text = (minutes: number) =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
/** Up to three ranges of a day, none of which overlap; some touch. */
const hoursOfADay: fc.Arbitrary<Hours[]> = fc
  .uniqueArray(time, { minLength: 2, maxLength: 6 })
  .map((times) => times.toSorted((a, b) => a - b))
  .chain((times) =>
    fc.constantFrom(0, 1).map((gaps) =>
      times
        .slice(1)
        .map((to, i) => ({ from: text(times[i] ?? 0), to: text(to) }))
        .filter((_, i) => gaps === 0 || i % 2 === 0),
    ),
  );
const allDay = fc.constant([{ from: '00:00', to: '24:00' }]);

/** Hours within what is covered, apart from each other or one after the other. */
function directoryAt(
  midnight: number,
  { from, length, hours, touching }: { from: number; length: number; hours: readonly number[]; touching: boolean },
): NonNullable<Calendar['directory']> {
  const covers = { from: midnight + from * MINUTE, until: midnight + (from + length) * MINUTE };
  const ends = hours.map((minute) => Math.min(Math.max(midnight + minute * MINUTE, covers.from), covers.until));
  const ranges = ends.slice(1).map((until, i) => ({ from: ends[i] ?? until, until }));
  return { covers, hours: ranges.filter((range, i) => range.from < range.until && (touching || i % 2 === 0)) };
}

/** A calendar around a day on which clocks are set, what is asked for, and the stretch that is looked at. */
const situation = fc
  .record({
    timeZone: fc.constantFrom(...ZONES),
    date: fc.constantFrom(...DATES),
    weekly: fc.oneof(fc.constant(null), fc.tuple(...Array.from({ length: 7 }, () => fc.oneof(hoursOfADay, allDay)))),
    exceptions: fc.dictionary(fc.constantFrom(...DATES), fc.oneof(fc.constant([]), hoursOfADay), { maxKeys: 7 }),
    directory: fc.option(
      fc.record({
        from: fc.integer({ min: -600, max: 900 }),
        length: fc.integer({ min: 1, max: 3_000 }),
        hours: fc
          .uniqueArray(fc.integer({ min: -600, max: 2_400 }), { maxLength: 8 })
          .map((times) => times.toSorted((a, b) => a - b)),
        touching: fc.boolean(),
      }),
    ),
    timeOff: fc.array(fc.tuple(fc.integer({ min: -600, max: 1800 }), fc.integer({ min: 1, max: 400 })), {
      maxLength: 2,
    }),
    taken: fc.array(
      fc.record({
        startsIn: fc.integer({ min: -600, max: 1800 }),
        minutes: fc.integer({ min: 1, max: 120 }),
        buffer: fc.constantFrom(0, 15),
        service: fc.constantFrom('HOME_VISIT', 'TELEHEALTH'),
        mine: fc.boolean(),
        told: fc.boolean(),
      }),
      { maxLength: 6 },
    ),
    nowIn: fc.constantFrom(-400 * 24 * 60, -3000, -90, 200),
    rules: fc.record({
      bufferBeforeMinutes: fc.constantFrom(0, 10),
      bufferAfterMinutes: fc.constantFrom(0, 15),
      minimumNoticeMinutes: fc.constantFrom(0, 120),
      horizonDays: fc.constantFrom(1, 365),
      dailyLimit: fc.constantFrom(null, 1, 2),
    }),
    minutes: fc.constantFrom(1, 30, 60, 137, 600, 1440),
    startsIn: fc.integer({ min: -180, max: 1500 }),
    ignoring: fc.boolean(),
  })
  .map((it) => {
    const midnight = wallTime(it.timeZone, `${it.date}T00:00`);
    const visits = it.taken.map((visit, i) => {
      const startsAt = midnight + visit.startsIn * MINUTE;
      const endsAt = startsAt + visit.minutes * MINUTE;
      return { ...visit, startsAt, endsAt, appointmentId: visit.told ? `a${i}` : null };
    });
    const weeklyHours = it.weekly?.flatMap((hours, i) => hours.map((range) => ({ weekday: i + 1, ...range }))) ?? null;
    const calendar: Calendar = {
      timeZone: it.timeZone,
      weeklyHours,
      exceptions: new Map(Object.entries(it.exceptions)),
      directory: it.directory && directoryAt(midnight, it.directory),
      timeOff: it.timeOff.map(([from, length]) => ({
        from: midnight + from * MINUTE,
        until: midnight + (from + length) * MINUTE,
      })),
      taken: visits.map(({ appointmentId, service, startsAt, endsAt, buffer }) => ({
        appointmentId,
        service: service as Calendar['taken'][number]['service'],
        startsAt,
        blocks: { from: startsAt - buffer * MINUTE, until: endsAt + buffer * MINUTE },
      })),
    };
    const rules: ServiceRules = { ...RULES, ...it.rules };
    const asking: Asking = {
      now: midnight + it.nowIn * MINUTE,
      minutes: it.minutes,
      patientTaken: visits
        .filter(({ mine }) => mine)
        .map(({ appointmentId, startsAt, endsAt }) => ({ appointmentId, from: startsAt, until: endsAt })),
      ignoring: it.ignoring ? ['a0', 'a1'] : [],
    };
    return { calendar, rules, asking, from: midnight + it.startsIn * MINUTE };
  });

describe('conflictsOf, of any situation,', () => {
  test('finds those rules broken that a reading minute by minute finds broken, and no other', () => {
    fc.assert(
      fc.property(situation, ({ calendar, rules, asking, from }) => {
        const wanted = { ...asking, startsAt: from };
        const conflicts = conflictsOf(calendar, rules, wanted);
        assert.deepEqual(new Set(conflicts.map(({ rule }) => rule)), broken(calendar, rules, wanted));
        for (const { rule, startsAt, endsAt } of conflicts) {
          assert.ok(Temporal.Instant.compare(startsAt, endsAt) < 0, rule);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('freeStarts', () => {
  test('are from Monday to Friday, nine to five, for a provider without hours of their own', () => {
    const all = ['09', '10', '11', '12', '13', '14', '15', '16'].map((hour) => `${hour}:00-05:00`);
    assert.deepEqual(startsOn('2026-03-06', {}), all);
    assert.deepEqual(startsOn('2026-03-07', {}), []);
    assert.deepEqual(startsOn('2026-03-06', { weeklyHours: [] }), []);
  });

  const GOLDEN: [string, string, string, string[]][] = [
    // An hour is skipped: three starts in four hours.
    ['America/New_York', '2026-03-08', '00:00-04:00', ['00:00-05:00', '01:00-05:00', '03:00-04:00']],
    ['America/New_York', '2027-03-14', '01:30-03:30', ['01:30-05:00']],
    ['America/New_York', '2026-03-08', '02:00-03:00', []],
    // An hour comes twice.
    ['America/New_York', '2026-11-01', '00:00-02:00', ['00:00-04:00', '01:00-04:00', '01:00-05:00']],
    ['America/New_York', '2027-11-07', '01:00-02:00', ['01:00-04:00', '01:00-05:00']],
    ['America/Phoenix', '2026-03-08', '01:00-04:00', ['01:00-07:00', '02:00-07:00', '03:00-07:00']],
    ['America/Phoenix', '2026-11-01', '01:00-03:00', ['01:00-07:00', '02:00-07:00']],
    ['Asia/Kolkata', '2026-11-01', '09:30-11:30', ['10:00+05:30']],
    // Half an hour is skipped at 02:00, and comes twice before it.
    ['Australia/Lord_Howe', '2026-10-04', '01:00-04:00', ['01:00+10:30', '03:00+11:00']],
    ['Australia/Lord_Howe', '2026-04-05', '01:00-03:00', ['01:00+11:00', '02:00+10:30']],
    ['Australia/Lord_Howe', '2026-04-05', '01:30-02:00', ['01:30+11:00']],
    ['Pacific/Apia', '2026-03-08', '22:00-24:00', ['22:00+13:00', '23:00+13:00']],
    ['Pacific/Kiritimati', '2026-03-08', '00:00-02:00', ['00:00+14:00', '01:00+14:00']],
  ];
  for (const [timeZone, date, hours, expected] of GOLDEN) {
    test(`of ${hours} on ${date} in ${timeZone} are ${expected.join(', ') || 'none'}`, () => {
      const [from = '', to = ''] = hours.split('-');
      const everyMinutes = from.endsWith('30') && to !== '11:30' ? 30 : 60;
      const calendar = { timeZone, weeklyHours: daily({ from, to }) };
      assert.deepEqual(
        startsOn(date, calendar, { everyMinutes, now: at('2026-03-01T00:00Z'), horizonDays: 1_000 }),
        expected,
      );
    });
  }

  test('go on over midnight where hours touch there', () => {
    const weeklyHours = [
      { weekday: 5, from: '22:00', to: '24:00' },
      { weekday: 6, from: '00:00', to: '01:00' },
    ];
    const starts = (minutes: number) => startsOn('2026-03-06', { weeklyHours }, { minutes });
    assert.deepEqual(
      [starts(60), starts(120), starts(180), starts(181)],
      [['22:00-05:00', '23:00-05:00'], ['22:00-05:00', '23:00-05:00'], ['22:00-05:00'], []],
    );
  });
});

describe('conflictsOf', () => {
  const friday = wallTime('America/New_York', '2026-03-06T09:00');

  test('is told of every rule that it breaks, whose it is, what blocks it and until when', () => {
    const busy = { from: friday - HOUR, until: friday + HOUR };
    const calendar: Calendar = {
      ...NEW_YORK,
      exceptions: new Map([['2026-03-06', []]]),
      timeOff: [busy],
      taken: [{ appointmentId: 'a', service: 'HOME_VISIT', startsAt: friday - HOUR, blocks: busy }],
    };
    const patientTaken = [{ ...busy, appointmentId: 'b' }];
    const rules = { ...RULES, minimumNoticeMinutes: 120, dailyLimit: 1 };
    const conflicts = conflictsOf(calendar, rules, { now: friday - HOUR, minutes: 60, patientTaken, startsAt: friday });
    assert.deepEqual(
      conflicts.map(({ rule, resource, startsAt, endsAt, appointmentId }) =>
        [rule, resource, appointmentId, startsAt.toString(), endsAt.toString()].join(' '),
      ),
      [
        'TOO_SOON Service  2026-03-06T13:00:00Z 2026-03-06T15:00:00Z',
        'TIME_OFF Provider  2026-03-06T13:00:00Z 2026-03-06T15:00:00Z',
        'PROVIDER_BUSY Provider a 2026-03-06T13:00:00Z 2026-03-06T15:00:00Z',
        'PATIENT_BUSY Patient b 2026-03-06T13:00:00Z 2026-03-06T15:00:00Z',
        'OUTSIDE_HOURS Provider  2026-03-06T14:00:00Z 2026-03-06T15:00:00Z',
        'DAILY_LIMIT Service  2026-03-06T05:00:00Z 2026-03-07T05:00:00Z',
      ],
    );
  });

  test('that begins this very moment is too soon, not in the past', () => {
    assert.deepEqual(rulesAgainst({}, { startsAt: friday, now: friday, minimumNoticeMinutes: 1 }), ['TOO_SOON']);
    assert.deepEqual(rulesAgainst({}, { startsAt: friday, now: friday }), []);
  });

  test('fits to the minute between two others', () => {
    const taken = [friday, friday + 2 * HOUR].map((startsAt, i): Calendar['taken'][number] => ({
      appointmentId: `a${i}`,
      service: 'HOME_VISIT',
      startsAt,
      blocks: { from: startsAt, until: startsAt + HOUR },
    }));
    const calendar = { taken, weeklyHours: daily({ from: '09:00', to: '12:00' }) };
    assert.deepEqual(startsOn('2026-03-06', calendar, { everyMinutes: 1 }), ['10:00-05:00']);
    assert.deepEqual(startsOn('2026-03-06', calendar, { everyMinutes: 1, minutes: 61 }), []);
  });

  test('counts the visits of its service on the local day alone, however long that day is', () => {
    const taken = ['2026-11-01T00:30', '2026-11-01T23:30'].map((local, i) => {
      const startsAt = wallTime('America/New_York', local);
      return {
        appointmentId: `a${i}`,
        service: 'HOME_VISIT' as const,
        startsAt,
        blocks: { from: startsAt, until: startsAt + MINUTE },
      };
    });
    const calendar = { weeklyHours: daily({ from: '00:00', to: '24:00' }), taken };
    const wanted = (local: string, dailyLimit: number) =>
      rulesAgainst(calendar, { startsAt: wallTime('America/New_York', local), dailyLimit });
    assert.deepEqual(wanted('2026-11-01T12:00', 2), ['DAILY_LIMIT']);
    assert.deepEqual(wanted('2026-11-01T12:00', 3), []);
    assert.deepEqual(wanted('2026-11-02T12:00', 1), []);
    assert.deepEqual(wanted('2026-10-31T12:00', 1), []);
  });

  test('that is moved is not in its own way', () => {
    const busy = { from: friday, until: friday + HOUR };
    const taken: Calendar['taken'] = [{ appointmentId: 'a', service: 'HOME_VISIT', startsAt: friday, blocks: busy }];
    const patientTaken = [{ ...busy, appointmentId: 'a' }];
    const wanted = { startsAt: friday + HOUR / 2, patientTaken, dailyLimit: 1 };
    assert.deepEqual(rulesAgainst({ taken }, wanted), ['PROVIDER_BUSY', 'PATIENT_BUSY', 'DAILY_LIMIT']);
    assert.deepEqual(rulesAgainst({ taken }, { ...wanted, ignoring: ['a'] }), []);
  });
});
