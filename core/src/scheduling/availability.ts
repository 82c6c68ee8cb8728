/**
 * When a provider can be booked: the one place that decides it, for the slots that are offered, for a booking, and
 * for the alternatives to one that is refused. Pure: what it knows of a provider is a {@link Calendar}.
 *
 * Every rule forbids starts: the hours at work leave some, each other rule takes some away. Both {@link conflictsOf}
 * and {@link freeStarts} ask the same {@link shiftsOf}, {@link forbiddenStarts} and {@link fullDays}, so that every
 * start that is offered can be booked, and every one that can be booked is offered.
 *
 * Times are epoch milliseconds. Hours are of the provider's wall clock, and what it shows is what counts: a time that
 * clocks skip is nobody's working time, one that they show twice is so twice. Time off goes over a dated exception,
 * that over the hours of an outside directory, which are instants, and those over the weekly hours.
 */
import type { Coverage } from './cover-terms.ts';
import type { Conflict, ConflictRule } from './conflict.ts';
import type { CareServiceType } from './speciality.ts';
import { DAY, dayNumber, MINUTE, type Range, sinceMidnight, type Stretch, WallClock, weekday } from './zone.ts';

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

/** What an outside directory says. Its busy times are {@link Calendar.timeOff}. */
export interface DirectoryHours {
  /** Within it its hours count, and no weekly ones. */
  readonly covers: Range;
  readonly hours: readonly Range[];
}

/** All that decides about one provider's time, over a stretch of it. */
export interface Calendar {
  readonly timeZone: string;
  /** Null: {@link CLINIC_HOURS}. */
  readonly weeklyHours: readonly WeeklyHours[] | null;
  /** By local date, such as `2026-03-08`: the hours of that day instead of the weekly ones. */
  readonly exceptions: ReadonlyMap<string, readonly Hours[]>;
  readonly directory?: DirectoryHours | null;
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
  /** Which benefit pays for a visit, if any does; it says nothing about when one can be. */
  readonly coverage?: Coverage | null;
}

/** What is asked for, and when. */
export interface Asking {
  readonly now: number;
  /** How long the visit is. */
  readonly minutes: number;
  /** What else the patient has; nothing where it is nobody's visit yet. */
  readonly patientTaken: readonly PatientTaken[];
  /** Appointments that are moved, or the hold that becomes one: they are not in the way. */
  readonly ignoring?: readonly string[];
}

/** Every rule that a visit from `startsAt` on would break; none means that it can be booked. */
export function conflictsOf(
  calendar: Calendar,
  rules: ServiceRules,
  asking: Asking & { readonly startsAt: number },
): Conflict[] {
  const { startsAt, minutes } = asking;
  const visit = { from: startsAt, until: startsAt + minutes * MINUTE };
  const clock = new WallClock(calendar.timeZone, visit);
  const conflicts = forbiddenStarts(calendar, rules, asking)
    .filter(({ after, before }) => after < startsAt && startsAt < before)
    .map(({ rule, blocks, appointmentId }) => toConflict(rule, blocks(visit), appointmentId));
  if (!isAtWork(calendar, clock, visit)) conflicts.push(toConflict('OUTSIDE_HOURS', visit));
  const day = clock.day(startsAt);
  if (fullDays(calendar, rules, { clock, ...asking }).has(day)) {
    conflicts.push(toConflict('DAILY_LIMIT', wholeDay(clock, day, startsAt)));
  }
  return conflicts;
}

/** Which starts are looked for: those in the range, at whole multiples of `everyMinutes` since the local midnight. */
export interface Search extends Asking, Range {
  readonly everyMinutes: number;
}

/** The starts that {@link conflictsOf} finds nothing against, in order. Lazy: a search that has enough stops it. */
export function* freeStarts(calendar: Calendar, rules: ServiceRules, search: Search): Generator<number> {
  const length = search.minutes * MINUTE;
  const step = search.everyMinutes * MINUTE;
  const clock = new WallClock(calendar.timeZone, { from: search.from, until: search.until + length });
  const full = fullDays(calendar, rules, { clock, ...search });
  const forbidden = joined(forbiddenStarts(calendar, rules, search));
  let next = 0;
  for (const shift of shiftsOf(calendar, clock, { from: search.from, until: search.until + length })) {
    for (const { day, midnight, from, until } of shift.parts) {
      if (full.has(day)) continue;
      const onGrid = (at: number) => midnight + Math.ceil((at - midnight) / step) * step;
      const end = Math.min(until, shift.until - length + 1, search.until);
      for (let at = onGrid(Math.max(from, search.from)); at < end;) {
        while (next < forbidden.length && (forbidden[next] as Forbidden).before <= at) next++;
        const obstacle = forbidden[next];
        if (obstacle && obstacle.after < at) at = onGrid(obstacle.before);
        else {
          yield at;
          at += step;
        }
      }
    }
  }
}

/** The provider's hours at work in the range, without a look at what takes them. */
export function workingTime(calendar: Calendar, range: Range): Range[] {
  const clock = new WallClock(calendar.timeZone, range);
  return [...shiftsOf(calendar, clock, range)].flatMap(({ parts, until }) => {
    const [from, end] = [Math.max(parts[0]?.from ?? until, range.from), Math.min(until, range.until)];
    return from < end ? [{ from, until: end }] : [];
  });
}

/** What is left of the hours at work in the range when time off and visits are taken away. */
export function freeTime(calendar: Calendar, range: Range): Range[] {
  const busy = [...calendar.timeOff, ...calendar.taken.map(({ blocks }) => blocks)].sort((a, b) => a.from - b.from);
  return workingTime(calendar, range).flatMap((shift) => {
    const free: Range[] = [];
    let { from } = shift;
    for (const taken of busy) {
      if (taken.from > from) free.push({ from, until: Math.min(taken.from, shift.until) });
      from = Math.max(from, taken.until);
    }
    free.push({ from, until: shift.until });
    return free.filter((range) => range.from < range.until);
  });
}

/** Working time without a break: hours that touch are one, over midnight too. */
interface Shift {
  readonly parts: Stretch[];
  until: number;
}

/** The provider's shifts in the range, in order. The first one counts from the range's first day. */
function* shiftsOf(calendar: Calendar, clock: WallClock, range: Range): Generator<Shift> {
  const hoursOf = hoursByStretch(calendar);
  let shift: Shift | null = null;
  for (const stretch of clock.stretches(range)) {
    for (const hours of hoursOf(stretch)) {
      const begins = Math.max(stretch.from, hours.from);
      // Where hours overlap, each moment counts once.
      const from = shift && begins < shift.until ? shift.until : begins;
      const until = Math.min(stretch.until, hours.until);
      if (from >= until) continue;
      if (shift && shift.until < from) {
        yield shift;
        shift = null;
      }
      shift ??= { parts: [], until };
      shift.parts.push({ ...stretch, from, until });
      shift.until = until;
    }
  }
  if (shift) yield shift;
}

/** The hours that count in a stretch, in order; some may go beyond it. */
function hoursByStretch({ weeklyHours, exceptions, directory }: Calendar): (stretch: Stretch) => readonly Range[] {
  const ordered = (hours: readonly Hours[]) =>
    hours
      .map(({ from, to }) => ({ from: sinceMidnight(from), until: sinceMidnight(to) }))
      .sort((a, b) => a.from - b.from);
  const weekly = [1, 2, 3, 4, 5, 6, 7].map((day) =>
    ordered((weeklyHours ?? CLINIC_HOURS).filter((hours) => hours.weekday === day)),
  );
  const dated = new Map([...exceptions].map(([date, hours]) => [dayNumber(date), ordered(hours)]));
  return ({ day, midnight }) => {
    const onClock = (hours: readonly Range[]) =>
      hours.map(({ from, until }) => ({ from: midnight + from, until: midnight + until }));
    const exception = dated.get(day);
    if (exception) return onClock(exception);
    const usual = onClock(weekly[weekday(day) - 1] ?? []);
    return directory ? usual.flatMap(without(directory.covers)).concat(directory.hours).sort(byBegin) : usual;
  };
}

const byBegin = (a: Range, b: Range) => a.from - b.from;

/** What is left of a range, before and after the other one; some of it may be empty. */
const without =
  (other: Range) =>
  ({ from, until }: Range): Range[] => [
    { from, until: Math.min(until, other.from) },
    { from: Math.max(from, other.until), until },
  ];

function isAtWork(calendar: Calendar, clock: WallClock, visit: Range): boolean {
  for (const { parts, until } of shiftsOf(calendar, clock, visit)) {
    if (parts.some(({ from }) => from <= visit.from) && visit.from < until) return visit.until <= until;
  }
  return false;
}

/** Starts after `after` and before `before` are forbidden. */
interface Forbidden {
  readonly after: number;
  readonly before: number;
}

interface Rule extends Forbidden {
  readonly rule: ConflictRule;
  readonly blocks: (visit: Range) => Range;
  readonly appointmentId: string | null;
}

function forbiddenStarts({ timeOff, taken }: Calendar, rules: ServiceRules, asking: Asking): Rule[] {
  const { now, patientTaken, minutes, ignoring = [] } = asking;
  const length = minutes * MINUTE;
  const [bufferBefore, bufferAfter] = [rules.bufferBeforeMinutes * MINUTE, rules.bufferAfterMinutes * MINUTE];
  const soonest = now + rules.minimumNoticeMinutes * MINUTE;
  const latest = now + rules.horizonDays * DAY;
  const all: Rule[] = [
    { ...rule('IN_THE_PAST', ({ from }) => ({ from, until: now })), after: -Infinity, before: now },
    // A time in the past is not called too soon besides.
    { ...rule('TOO_SOON', () => ({ from: now, until: soonest })), after: now - 1, before: soonest },
    { ...rule('TOO_FAR_AHEAD', ({ until }) => ({ from: latest, until })), after: latest, before: Infinity },
  ];
  for (const range of timeOff) {
    all.push({ ...rule('TIME_OFF', () => range), after: range.from - length, before: range.until });
  }
  for (const { blocks, appointmentId } of taken) {
    if (isIgnored(appointmentId, ignoring)) continue;
    const [after, before] = [blocks.from - length - bufferAfter, blocks.until + bufferBefore];
    all.push({ ...rule('PROVIDER_BUSY', () => blocks, appointmentId), after, before });
  }
  for (const visit of patientTaken) {
    if (isIgnored(visit.appointmentId, ignoring)) continue;
    const [after, before] = [visit.from - length, visit.until];
    all.push({ ...rule('PATIENT_BUSY', () => visit, visit.appointmentId), after, before });
  }
  return all;
}

const rule = (name: ConflictRule, blocks: Rule['blocks'], appointmentId: string | null = null) => ({
  rule: name,
  blocks,
  appointmentId,
});

const isIgnored = (id: string | null, ignoring: readonly string[]) => id !== null && ignoring.includes(id);

/** In order, those that overlap as one. Where two only touch, the start between them is free. */
function joined(all: readonly Forbidden[]): Forbidden[] {
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
  { clock, ignoring = [] }: { readonly clock: WallClock; readonly ignoring?: readonly string[] },
): ReadonlySet<number> {
  if (dailyLimit === null) return new Set();
  const counts = new Map<number, number>();
  for (const visit of taken) {
    if (visit.service !== service || isIgnored(visit.appointmentId, ignoring)) continue;
    const day = clock.day(visit.startsAt);
    counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= dailyLimit).map(([day]) => day));
}

function wholeDay(clock: WallClock, day: number, at: number): Range {
  const parts = [...clock.stretches({ from: at - DAY, until: at + DAY })].filter((stretch) => stretch.day === day);
  return { from: parts[0]?.from ?? at, until: parts.at(-1)?.until ?? at };
}

const OWNERS: Readonly<Record<ConflictRule, Conflict['resource']>> = {
  PATIENT_BUSY: 'Patient',
  PROVIDER_BUSY: 'Provider',
  OUTSIDE_HOURS: 'Provider',
  TIME_OFF: 'Provider',
  TOO_SOON: 'Service',
  TOO_FAR_AHEAD: 'Service',
  DAILY_LIMIT: 'Service',
  IN_THE_PAST: 'Service',
};

function toConflict(rule: ConflictRule, { from, until }: Range, appointmentId: string | null = null): Conflict {
  const at = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms);
  return { rule, resource: OWNERS[rule], startsAt: at(from), endsAt: at(until), appointmentId };
}
