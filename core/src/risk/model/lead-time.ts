/**
 * How much the time between booking and visit counts, before a clinic has seen any visit of its own.
 *
 * Shares of initial appointments that were not kept, by days of waiting: Gallucci, Swartz, Hackerman, "Impact of the
 * Wait for an Initial Appointment on the Rate of Kept Appointments at a Mental Health Center", Psychiatric Services 56(3),
 * 2005, doi 10.1176/appi.ps.56.3.344: steep in the first week, level after it. Only the shape is taken from there. The level is
 * the mean of 105 studies: Dantas, Fleck, Cyrino Oliveira, Hamacher, "No-shows in appointment scheduling – a systematic
 * literature review", Health Policy 122(4), 2018, doi 10.1016/j.healthpol.2018.02.002.
 */
import { logit } from './model.ts';

const NOT_KEPT: readonly (readonly [days: number, share: number])[] = [
  [0, 0.12],
  [1, 0.23],
  [7, 0.42],
  [13, 0.44],
];

/** The no-show rate of a clinic of which nothing is known. */
export const PUBLISHED_BASE_RATE = 0.23;

/** First day of each band; a band ends where the next one begins. */
const FROM_DAYS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 29, 43, 71] as const;

export const LEAD_BANDS = FROM_DAYS.map((from, i) => {
  const next = FROM_DAYS[i + 1];
  if (next === undefined) return `${from}+`;
  return next === from + 1 ? String(from) : `${from}-${next - 1}`;
});

/** The place in {@link LEAD_BANDS} of so many days ahead. */
export function leadBand(days: number): number {
  const next = FROM_DAYS.findIndex((from) => from > days);
  return next === -1 ? FROM_DAYS.length - 1 : Math.max(0, next - 1);
}

/** By band: what it adds to the log-odds of the clinic's base rate. */
export const PUBLISHED_LEAD_EFFECTS: readonly number[] = effects();

function effects(): number[] {
  const mean = NOT_KEPT.reduce((sum, [, share]) => sum + share, 0) / NOT_KEPT.length;
  return FROM_DAYS.map((days) => logOddsAfter(days) - logit(mean));
}

/** Straight between two published days, level after the last. */
function logOddsAfter(days: number): number {
  const at = NOT_KEPT.findIndex(([day]) => day >= days);
  const [laterDay, laterShare] = NOT_KEPT.at(at) as (typeof NOT_KEPT)[number];
  const [day, share] = NOT_KEPT[at - 1] ?? [laterDay, laterShare];
  if (at <= 0 || laterDay === days) return logit(laterShare);
  const part = (days - day) / (laterDay - day);
  return logit(share) + part * (logit(laterShare) - logit(share));
}

export function leadWords(days: number): string {
  if (days <= 0) return 'booked for the same day';
  return days === 1 ? 'booked the day before' : `booked ${days} days ahead`;
}
