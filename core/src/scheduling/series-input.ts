/** What callers may send about a series of visits. */
import { z } from 'zod';
import { acceptUncovered, Cancellation, date, id, local, minutes, notes, reason, zone } from './booking-input.ts';
import { CARE_SERVICES } from './speciality.ts';

const MOST_VISITS = 104;

export const SeriesRequest = z.object({
  patientId: id,
  providerId: id,
  service: z.enum(CARE_SERVICES),
  /** Of the first visit. */
  localStart: local,
  /** The provider's unless given. */
  timeZone: zone.nullish(),
  minutes: minutes.nullish(),
  everyWeeks: z
    .int('expected whole weeks')
    .min(1, 'expected at least 1 week')
    .max(52, 'expected at most 52 weeks')
    .nullish()
    .transform((weeks) => weeks ?? 1),
  /** 1 to 7 from Monday. The first visit's own day unless given. */
  weekdays: z
    .array(z.int().min(1, 'expected 1 to 7').max(7, 'expected 1 to 7'))
    .max(7, 'expected at most 7 days')
    .nullish()
    .transform((days) => days ?? []),
  count: z
    .int('expected a whole number')
    .min(1, 'expected at least 1 visit')
    .max(MOST_VISITS, `expected at most ${MOST_VISITS} visits`),
  /** Local dates to leave out. They count as visits of the series. */
  except: z
    .array(date)
    .max(MOST_VISITS, `expected at most ${MOST_VISITS} dates`)
    .nullish()
    .transform((dates) => dates ?? []),
  notes,
  acceptUncovered,
  idempotencyKey: z.string().nullish(),
});
export type SeriesRequest = z.input<typeof SeriesRequest>;
export type ParsedSeries = z.output<typeof SeriesRequest>;

export const SERIES_PARTS = ['THIS', 'FOLLOWING', 'ALL'] as const;
/** Which visits of a series: this one, this and those after it, or all. Those that have begun stay as they are. */
export type SeriesPart = (typeof SERIES_PARTS)[number];
const part = z.enum(SERIES_PARTS);

export const SeriesMove = z
  .object({
    part,
    /** Of the visit that is named; the others move by as many days, to the same time on the wall. */
    localStart: local.nullish(),
    timeZone: zone.nullish(),
    providerId: id.nullish(),
    minutes: minutes.nullish(),
    reason,
    acceptUncovered,
    idempotencyKey: z.string().nullish(),
  })
  .refine(({ localStart, providerId, minutes }) => localStart || providerId || minutes, {
    path: ['localStart'],
    message: 'expected another time, length or provider',
  });
export type SeriesMove = z.input<typeof SeriesMove>;

export const SeriesCancellation = Cancellation.omit({ version: true }).extend({ part });
export type SeriesCancellation = z.input<typeof SeriesCancellation>;
