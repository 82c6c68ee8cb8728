/** Instants as text, ten times faster than `toString` of one: a page of a hundred patients has two hundred. */
import { instantAt, remembering } from '@careflex/core/platform/times';

const DAY_MS = 86_400_000;
const MAX_DAYS = 20_000;
const days = new Map<number, string>();

/** RFC 3339 in UTC, with three digits of a second: 2026-03-08T14:00:00.000Z. */
export function instantText(epochMs: number): string {
  const day = Math.floor(epochMs / DAY_MS);
  let rest = epochMs - day * DAY_MS;
  const ms = rest % 1_000;
  rest = (rest - ms) / 1_000;
  const seconds = rest % 60;
  const minutes = ((rest - seconds) / 60) % 60;
  const hours = Math.floor(rest / 3_600);
  return `${dayText(day)}T${two(hours)}:${two(minutes)}:${two(seconds)}.${ms < 100 ? '0' : ''}${two(ms)}Z`;
}

function dayText(day: number): string {
  let text = days.get(day);
  if (text === undefined) {
    text = new Date(day * DAY_MS).toISOString().slice(0, -'T00:00:00.000Z'.length);
    if (days.size < MAX_DAYS) days.set(day, text);
  }
  return text;
}

const two = (number: number) => (number < 10 ? `0${number}` : String(number));

/** On the wall clock of a zone: 2026-03-10T09:00:00-04:00[America/New_York]. */
export const localText = (instant: Temporal.Instant, timeZone: string): string =>
  textsOf(timeZone)(instant.epochMilliseconds);

/** Visits begin at the same half hours, in the few zones of a country. */
const textsOf = remembering(
  (timeZone: string) => remembering((ms: number) => instantAt(ms).toZonedDateTimeISO(timeZone).toString(), 1_000),
  50,
);
