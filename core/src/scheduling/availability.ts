/**
 * When a provider can be booked: the one place that decides it, for the slots that are offered, for a booking, and
 * for the alternatives to one that is refused. Pure: what it knows of a provider is a {@link Calendar}.
 *
 * Whatever forbids a visit forbids it by its start: each rule is turned into the starts that it rules out, and both
 * {@link conflictsOf} and {@link freeStarts} ask that one list. So every start that is offered can be booked, and
 * every one that can be booked is offered.
 *
 * Times are epoch milliseconds, hours are of the provider's wall clock. Time off goes over a dated exception, that
 * over the weekly hours.
 */
import type { ConflictRule } from './conflict.ts';
import { DAY, LocalTime, MINUTE, type Range, sinceMidnight, weekday } from './zone.ts';
import type { CareServiceType } from './speciality.ts';

/** Wall-clock hours, `HH:mm` each; `24:00` is the end of the day. */
export interface Hours {
  readonly from: string;
  readonly to: string;
}

export interface WeeklyHours extends Hours {
  /** 1 to 7 from Monday. */
  readonly weekday: number;
}

/** For providers without hours of their own: Monday to Friday, 09:00 to 17:00. */
export const CLINIC_HOURS: readonly WeeklyHours[] = [1, 2, 3, 4, 5].map((day) => ({
  weekday: day,
  from: '09:00',
  to: '17:00',
}));

/** A visit or a hold that has the provider's time. */
export interface Taken {
  /** Null where the one who asks may not know. */
  readonly appointmentId: string | null;
  readonly service: CareServiceType;
  readonly startsAt: number;
  /** With its buffers. */
  readonly blocks: Range;
}

/** A visit of the patient, with whomever. */
export interface PatientTaken extends Range {
  readonly appointmentId: string | null;
}

/** All that decides about one provider's time, over a stretch of it. */
export interface Calendar {
  readonly timeZone: string;
  readonly weeklyHours: readonly WeeklyHours[];
  /** By local date, such as `2026-03-08`: the hours of that day instead of the weekly ones. */
  readonly exceptions: ReadonlyMap<string, readonly Hours[]>;
  readonly timeOff: readonly Range[];
  readonly taken: readonly Taken[];
}

export interface ServiceRules {
  readonly service: CareServiceType;
  /** How long a visit is unless it says otherwise. */
  readonly minutes: number;
  readonly bufferBeforeMinutes: number;
  readonly bufferAfterMinutes: number;
  readonly minimumNoticeMinutes: number;
  readonly horizonDays: number;
  /** Visits of the service per provider and local day. */
  readonly dailyLimit: number | null;
}

/** Who asks for a visit of which length, and when. */
export interface Asking {
  readonly now: number;
  readonly minutes: number;
  /** What else the patient has. */
  readonly patientTaken: readonly PatientTaken[];
  /** The appointment that is moved, or the hold that is turned into one: it is not in its own way. */
  readonly ignoring?: string | null;
}

/** A rule that the wanted time breaks, and the range that it blocks. */
export interface Breach extends Range {
  readonly rule: ConflictRule;
  readonly appointmentId: string | null;
}

/** Starts after `after` and before `before` are ruled out. */
interface RuledOut {
  readonly after: number;
  readonly before: number;
  readonly breach: Breach;
}

/** Every rule that a visit from `startsAt` on would break; none means that it can be booked. */
export function conflictsOf(calendar: Calendar, rules: ServiceRules, asking: Asking & { startsAt: number }): Breach[] {
  const { startsAt, minutes } = asking;
  const visit = { from: startsAt, until: startsAt + minutes * MINUTE };
  const local = new LocalTime(calendar.timeZone, visit);
  const breaches = [...ruledOut(calendar, rules, asking), ...fullDays(calendar, rules, { local, asking })]
    .filter(({ after, before }) => after < startsAt && startsAt < before)
    .map((out) => out.breach);
  const atWork = workingHours(calendar, local, visit).some(
    ({ from, until }) => from <= visit.from && visit.until <= until,
  );
  return atWork ? breaches : [...breaches, breach('OUTSIDE_HOURS', visit)];
}

/** Where starts are looked for, and how close they may be. */
export interface Search extends Asking, Range {
  /** Starts are at whole multiples of this on the provider's wall clock, counted from midnight. */
  readonly everyMinutes: number;
}

/** The starts within the range that {@link conflictsOf} finds nothing against, in order. */
export function* freeStarts(calendar: Calendar, rules: ServiceRules, search: Search): Generator<number> {
  const { minutes, everyMinutes } = search;
  const local = new LocalTime(calendar.timeZone, search);
  const out = joined([...ruledOut(calendar, rules, search), ...fullDays(calendar, rules, { local, asking: search })]);
  let next = 0;
  for (const hours of workingHours(calendar, local, search)) {
    const last = Math.min(hours.until - minutes * MINUTE, search.until - 1);
    let at = onGrid(local, Math.max(hours.from, search.from), everyMinutes);
    while (at <= last) {
      while ((out[next]?.before ?? Infinity) <= at) next++;
      const { after, before } = out[next] ?? { after: Infinity, before: Infinity };
      if (after >= at) yield at;
      else if (before > last) break;
      at = onGrid(local, after < at ? before : at + 1, everyMinutes);
    }
  }
}

/** The provider's hours at work around the range, in order; hours that touch are one, over midnight too. */
export function workingHours(calendar: Calendar, local: LocalTime, range: Range): Range[] {
  const hours: Range[] = [];
  const last = local.day(range.until) + 1;
  for (let day = local.day(range.from) - 1; day <= last; day++) {
    for (const { from, to } of hoursOf(calendar, day)) {
      const [start, end] = [
        local.instant(day * DAY + sinceMidnight(from)),
        local.instant(day * DAY + sinceMidnight(to)),
      ];
      const before = hours.at(-1);
      if (start >= end) continue;
      if (before && before.until >= start) hours[hours.length - 1] = { from: before.from, until: end };
      else hours.push({ from: start, until: end });
    }
  }
  return hours;
}

function hoursOf({ exceptions, weeklyHours }: Calendar, day: number): readonly Hours[] {
  const exception = exceptions.size > 0 ? exceptions.get(new Date(day * DAY).toISOString().slice(0, 10)) : undefined;
  const hours = exception ?? weeklyHours.filter((hours) => hours.weekday === weekday(day));
  return hours.toSorted((a, b) => sinceMidnight(a.from) - sinceMidnight(b.from));
}

function ruledOut(calendar: Calendar, rules: ServiceRules, asking: Asking): RuledOut[] {
  const { now, ignoring } = asking;
  const length = asking.minutes * MINUTE;
  const [before, after] = [rules.bufferBeforeMinutes * MINUTE, rules.bufferAfterMinutes * MINUTE];
  const soonest = now + rules.minimumNoticeMinutes * MINUTE;
  const latest = now + rules.horizonDays * DAY;
  const isOther = ({ appointmentId }: { appointmentId: string | null }) => !ignoring || appointmentId !== ignoring;
  return [
    { after: -Infinity, before: now, breach: breach('IN_THE_PAST', { from: now, until: now }) },
    // A start in the past breaks that rule, and is not called too soon besides.
    { after: now - 1, before: soonest, breach: breach('TOO_SOON', { from: now, until: soonest }) },
    { after: latest, before: Infinity, breach: breach('TOO_FAR_AHEAD', { from: latest, until: latest }) },
    ...calendar.timeOff.map((range) => ({
      after: range.from - length,
      before: range.until,
      breach: breach('TIME_OFF', range),
    })),
    ...calendar.taken.filter(isOther).map(({ blocks, appointmentId }) => ({
      after: blocks.from - length - after,
      before: blocks.until + before,
      breach: breach('PROVIDER_BUSY', blocks, appointmentId),
    })),
    ...asking.patientTaken.filter(isOther).map((visit) => ({
      after: visit.from - length,
      before: visit.until,
      breach: breach('PATIENT_BUSY', visit, visit.appointmentId),
    })),
  ];
}

function breach(rule: ConflictRule, { from, until }: Range, appointmentId: string | null = null): Breach {
  return { rule, from, until, appointmentId };
}

/** Sorted, and those that overlap as one. Where two only touch, the start between them is free. */
function joined(all: readonly RuledOut[]): { after: number; before: number }[] {
  const result: { after: number; before: number }[] = [];
  for (const { after, before } of all.toSorted((a, b) => a.after - b.after)) {
    const last = result.at(-1);
    if (last && after < last.before) last.before = Math.max(last.before, before);
    else if (after < before) result.push({ after, before });
  }
  return result;
}

/** The local days on which the provider has as many visits of the service as there may be. */
function fullDays(
  { taken }: Calendar,
  { service, dailyLimit }: ServiceRules,
  { local, asking: { ignoring } }: { local: LocalTime; asking: Asking },
): RuledOut[] {
  if (dailyLimit === null) return [];
  const counts = new Map<number, number>();
  for (const visit of taken) {
    if (visit.service !== service || (ignoring && visit.appointmentId === ignoring)) continue;
    const day = local.day(visit.startsAt);
    counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count >= dailyLimit)
    .map(([day]) => {
      const range = { from: local.instant(day * DAY), until: local.instant((day + 1) * DAY) };
      return { after: range.from - 1, before: range.until, breach: breach('DAILY_LIMIT', range) };
    });
}

/** The first instant from `at` on at which the wall clock shows a multiple of `everyMinutes` since midnight. */
function onGrid(local: LocalTime, at: number, everyMinutes: number): number {
  const step = everyMinutes * MINUTE;
  for (let from = Math.ceil(at / MINUTE) * MINUTE; ; from = local.nextJump(from)) {
    const wall = local.wallClock(from);
    const midnight = Math.floor(wall / DAY) * DAY;
    const ahead = Math.min(Math.ceil((wall - midnight) / step) * step, DAY) - (wall - midnight);
    // Where the clock jumps meanwhile, what it shows afterwards counts.
    if (from + ahead < local.nextJump(from) || from >= local.nextJump(from)) return from + ahead;
  }
}
