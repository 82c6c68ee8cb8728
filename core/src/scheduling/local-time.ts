/** From the wall clock to an instant: where clocks jump, a local time may not exist, or exist twice. */
import { InvalidInput } from '#platform/errors';

export const DISAMBIGUATIONS = ['EARLIER', 'LATER'] as const;
export type Disambiguation = (typeof DISAMBIGUATIONS)[number];

export interface WallClockTime {
  readonly local: Temporal.PlainDateTime;
  /** IANA. */
  readonly timeZone: string;
  /** Which of the two, when clocks are set back over it. */
  readonly disambiguation: Disambiguation;
}

/**
 * The instant of a wall-clock time. Throws InvalidInput at `localStart` for one that clocks skip, with the two times
 * around it that exist.
 */
export function toInstant({ local, timeZone, disambiguation }: WallClockTime): Temporal.Instant {
  const [earlier, later] = readings(local, timeZone);
  if (!earlier.toPlainDateTime().equals(local)) {
    const [before, after] = [earlier, later].map((time) => time.toPlainDateTime().toString({ smallestUnit: 'minute' }));
    throw new InvalidInput([
      {
        path: ['localStart'],
        message: `does not exist in ${timeZone}, where clocks are set forward over it; try ${before} or ${after}`,
      },
    ]);
  }
  return (disambiguation === 'LATER' ? later : earlier).toInstant();
}

/** Whether the wall clock of the zone shows the time of this instant twice. */
export function isAmbiguous(instant: Temporal.Instant, timeZone: string): boolean {
  const [earlier, later] = readings(instant.toZonedDateTimeISO(timeZone).toPlainDateTime(), timeZone);
  return !earlier.equals(later);
}

/** The same for a usual time. In autumn both read as asked; in spring the one is before the gap, the other after. */
function readings(local: Temporal.PlainDateTime, timeZone: string): [Temporal.ZonedDateTime, Temporal.ZonedDateTime] {
  return [
    local.toZonedDateTime(timeZone, { disambiguation: 'earlier' }),
    local.toZonedDateTime(timeZone, { disambiguation: 'later' }),
  ];
}
