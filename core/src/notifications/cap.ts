/**
 * How many reminders a number may get. What answers an act (booked, moved, called off) neither counts nor is held
 * back: whoever books today for today would else never be reminded. Pure.
 */
import { type Kind, KINDS } from './message.ts';
import { POLICY } from './policy.ts';

/** For one number. */
export interface Cap {
  /** On one day of the patient's calendar. */
  readonly perDay: number;
  /** On seven days in a row. */
  readonly perWeek: number;
}

export const CAPPED: readonly Kind[] = KINDS.filter((kind) => POLICY[kind].capped);

/** Whether one more may go out at this moment, after those that went out, or may have, at `before`. */
export function mayGetOneMore(
  { perDay, perWeek }: Cap,
  before: readonly Temporal.Instant[],
  at: Temporal.ZonedDateTime,
): boolean {
  const today = at.toPlainDate();
  // One of tomorrow is of a clock that was wrong, and counts as today's.
  const days = before.map((instant) => instant.toZonedDateTimeISO(at.timeZoneId).toPlainDate().until(today).days);
  return days.filter((day) => day <= 0).length < perDay && days.filter((day) => day < 7).length < perWeek;
}
