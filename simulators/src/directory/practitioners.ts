/**
 * Whom the directory knows, when they work and when they are busy. It begins with those of the demo who drive, cook and
 * nurse; of whom it was told no slots, those follow from the seed.
 */
import { z } from 'zod';
import { chanceOf } from '../behaviour.ts';

const id = z.string().regex(/^[A-Za-z0-9\-.]{1,50}$/, 'expected an id of letters, digits, - and .');
const instant = z.iso.datetime({ offset: true, error: 'expected an instant such as 2026-03-02T15:00:00Z' });

const Slot = z.strictObject({
  status: z.enum(['free', 'busy', 'busy-tentative', 'busy-unavailable', 'entered-in-error']).default('free'),
  start: instant,
  end: instant,
});
export type Slot = z.output<typeof Slot>;

export const Practitioner = z.strictObject({
  id,
  identifiers: z
    .array(z.strictObject({ system: z.string().max(200), value: z.string().max(200) }))
    .max(20)
    .default([]),
  active: z.boolean().default(true),
  timeZone: z.string().max(64).default('America/Chicago'),
  /** Until when the schedule says that it goes. */
  until: instant.optional(),
  /** Exactly these. */
  slots: z.array(Slot).max(20_000).optional(),
});
export type Practitioner = z.output<typeof Practitioner>;

const DEMO = 'https://demo.careflex.test/practitioner';
const KNOWN = ['driver', 'cook', 'nurse'].map((value) =>
  Practitioner.parse({ id: `demo-${value}`, identifiers: [{ system: DEMO, value }] }),
);

export class Practitioners {
  readonly #seed: string;
  #known = new Map<string, Practitioner>();

  constructor(seed: string) {
    this.#seed = seed;
    this.clear();
  }

  tell(practitioner: Practitioner): void {
    this.#known.set(practitioner.id, practitioner);
  }

  /** As it began. */
  clear(): void {
    this.#known = new Map(KNOWN.map((one) => [one.id, one]));
  }

  all(): readonly Practitioner[] {
    return [...this.#known.values()];
  }

  find(id: string): Practitioner | undefined {
    return this.#known.get(id);
  }

  /** Those that begin in the range, in order. */
  slotsOf({ id, timeZone, slots }: Practitioner, from: Temporal.Instant, until: Temporal.Instant): readonly Slot[] {
    return (slots ?? usualSlots(`${this.#seed}:${id}`, timeZone, { from, until })).filter(({ start }) => {
      const at = Temporal.Instant.from(start);
      return Temporal.Instant.compare(from, at) <= 0 && Temporal.Instant.compare(at, until) < 0;
    });
  }
}

const [OPENS, CLOSES, SATURDAY] = [8, 18, 6];
const BUSY = 0.15;

/** Every half hour from 8 to 18, from Monday to Friday; about one in seven is busy. */
function* halfHours(
  seed: string,
  timeZone: string,
  { from, until }: { from: Temporal.Instant; until: Temporal.Instant },
) {
  const last = until.toZonedDateTimeISO(timeZone).toPlainDate();
  let day = from.toZonedDateTimeISO(timeZone).toPlainDate();
  for (; Temporal.PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 })) {
    if (day.dayOfWeek >= SATURDAY) continue;
    for (let minute = OPENS * 60; minute < CLOSES * 60; minute += 30) {
      const time = { hour: Math.trunc(minute / 60), minute: minute % 60 };
      const start = day.toZonedDateTime({ timeZone, plainTime: Temporal.PlainTime.from(time) }).toInstant();
      const status: Slot['status'] = chanceOf(`${seed}:${start.toString()}`) < BUSY ? 'busy' : 'free';
      yield { status, start: start.toString(), end: start.add({ minutes: 30 }).toString() };
    }
  }
}

function usualSlots(...given: Parameters<typeof halfHours>): Slot[] {
  return [...halfHours(...given)];
}
