/** Visits that repeat at one wall-clock time, every week or every few weeks, across changes of daylight saving. */

export interface Recurrence {
  /** The first visit's date and time, as the clock on the wall shows it. */
  readonly firstOn: Temporal.PlainDateTime;
  readonly timeZone: string;
  /** 1 for every week. */
  readonly everyWeeks: number;
  /** 1 to 7 from Monday. The first visit's own day, unless there are more. */
  readonly weekdays: readonly number[];
  /** How many there are; those that are left out count. */
  readonly count: number;
  /** Local dates that are left out. */
  readonly except: readonly Temporal.PlainDate[];
}

/**
 * The local times of the visits, in order. A week begins on Monday; of the first week only the days from the first
 * visit on count.
 */
export function occurrencesOf({ firstOn, everyWeeks, weekdays, count, except }: Recurrence): Temporal.PlainDateTime[] {
  const days = [...new Set(weekdays.length > 0 ? weekdays : [firstOn.dayOfWeek])].toSorted((a, b) => a - b);
  const monday = firstOn.subtract({ days: firstOn.dayOfWeek - 1 });
  const left = new Set(except.map(String));
  const all: Temporal.PlainDateTime[] = [];
  for (let week = 0; all.length < count; week += everyWeeks) {
    for (const day of days) {
      const at = monday.add({ weeks: week, days: day - 1 });
      if (all.length < count && Temporal.PlainDateTime.compare(at, firstOn) >= 0) all.push(at);
    }
  }
  return all.filter((at) => !left.has(at.toPlainDate().toString()));
}
