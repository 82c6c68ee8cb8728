/** What an admin may say about when a provider works. */
import { z } from 'zod';
import { isTimeZone } from '#platform/config';
import { isPrintable, NOT_PRINTABLE } from '#platform/input';
import type { Hours } from './availability.ts';
import { sinceMidnight } from './zone.ts';

const idempotencyKey = z.string().nullish();
const version = z.int('expected a whole number').nullish();

const from = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time of day such as 09:00');
const to = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'expected a time of day such as 17:00, at most 24:00');

const beginsBeforeItEnds = ({ from, to }: Hours) => sinceMidnight(from) < sinceMidnight(to);
const order = { path: ['to'], message: 'expected a time after `from`' };

const hours = z.object({ from, to }).refine(beginsBeforeItEnds, order);
const weeklyHours = z
  .object({ weekday: z.int().min(1, 'expected 1 to 7 from Monday').max(7, 'expected 1 to 7 from Monday'), from, to })
  .refine(beginsBeforeItEnds, order);

const MAX_A_DAY = 12;

/** Names each of the hours of a day that begins before another one of that day has ended. */
function apart(all: readonly (Hours & { readonly weekday?: number })[], context: z.core.$RefinementCtx): void {
  for (const [i, { weekday, from, to }] of all.entries()) {
    const overlaps = all.some((other, j) => j < i && other.weekday === weekday && other.from < to && from < other.to);
    if (overlaps) context.addIssue({ code: 'custom', path: [i], message: 'expected hours that do not overlap' });
  }
}

export const WeeklyHoursChange = z.object({
  hours: z
    .array(weeklyHours)
    .max(7 * MAX_A_DAY, `expected at most ${7 * MAX_A_DAY} hours`)
    .superRefine(apart)
    .nullable(),
  version,
  idempotencyKey,
});
/** Null: the clinic's usual hours. None: nothing but dated exceptions. */
export type WeeklyHoursChange = z.input<typeof WeeklyHoursChange>;

export const TimeZoneChange = z.object({
  timeZone: z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York').nullable(),
  version,
  idempotencyKey,
});
/** Null: the zone that the directory has. */
export type TimeZoneChange = z.input<typeof TimeZoneChange>;

const note = z
  .string()
  .trim()
  .max(200, 'expected at most 200 characters')
  .refine(isPrintable, NOT_PRINTABLE)
  .nullish()
  .transform((note) => note || null);

const FIRST_YEAR = 2000;
const LAST_YEAR = 2200;
const IN_SIGHT = `between ${FIRST_YEAR} and ${LAST_YEAR}`;
const isInSight = (year: number) => year >= FIRST_YEAR && year <= LAST_YEAR;

const date = z.iso
  .date('expected a date such as 2026-03-08')
  .refine((date) => isInSight(Number(date.slice(0, 4))), `expected a date ${IN_SIGHT}`);
const instant = z
  .instanceof(Temporal.Instant)
  .refine((at) => isInSight(at.toZonedDateTimeISO('UTC').year), `expected a time ${IN_SIGHT}`);

export const NewException = z.object({
  date,
  hours: z.array(hours).max(MAX_A_DAY, `expected at most ${MAX_A_DAY} hours`).superRefine(apart),
  note,
  idempotencyKey,
});
/** The hours of one local day instead of the weekly ones; none is a day off. */
export type NewException = z.input<typeof NewException>;

export const RemovedException = z.object({ date, idempotencyKey });
export type RemovedException = z.input<typeof RemovedException>;

const MAX_DAYS_OFF = 1_095;
export const NewTimeOff = z
  .object({ startsAt: instant, endsAt: instant, note, idempotencyKey })
  .refine(({ startsAt, endsAt }) => Temporal.Instant.compare(startsAt, endsAt) < 0, {
    path: ['endsAt'],
    message: 'expected a time after `startsAt`',
  })
  .refine(({ startsAt, endsAt }) => startsAt.until(endsAt).total('hours') <= MAX_DAYS_OFF * 24, {
    path: ['endsAt'],
    message: `expected a time at most ${MAX_DAYS_OFF} days after \`startsAt\``,
  });
export type NewTimeOff = z.input<typeof NewTimeOff>;

const MAX_YEARS_SHOWN = 3;

export const DateRange = z
  .object({ from: date, to: date })
  .refine(({ from, to }) => from <= to, { path: ['to'], message: 'expected a date that is not before `from`' })
  .refine(({ from, to }) => to <= Temporal.PlainDate.from(from).add({ years: MAX_YEARS_SHOWN }).toString(), {
    path: ['to'],
    message: `expected a date at most ${MAX_YEARS_SHOWN} years after \`from\``,
  });
/** Local days, the last one included. */
export type DateRange = z.input<typeof DateRange>;

export const TimeSpan = z
  .object({ from: instant, to: instant })
  .refine(({ from, to }) => Temporal.Instant.compare(from, to) <= 0, {
    path: ['to'],
    message: 'expected a time that is not before `from`',
  });
export type TimeSpan = z.input<typeof TimeSpan>;
