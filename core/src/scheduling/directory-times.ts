/** What the slots of an outside directory say about a provider's time. Pure. */
import { createHash } from 'node:crypto';
import type { Range } from './zone.ts';

export const DIRECTORY_PROBLEMS = [
  'UNREACHABLE',
  'REFUSED',
  'MALFORMED',
  'ENDS_BEFORE_START',
  'FREE_AND_BUSY',
  'UNKNOWN_PRACTITIONER',
  'AMBIGUOUS_PRACTITIONER',
] as const;
/** Why what the directory says of a provider does not count; the last good word does. */
export type DirectoryProblem = (typeof DIRECTORY_PROBLEMS)[number];

/** FHIR's statuses that say something: `free`; `busy` and `busy-tentative`, at work and taken; `busy-unavailable`, away. */
export interface DirectorySlot {
  readonly status: 'free' | 'busy' | 'busy-tentative' | 'busy-unavailable';
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
}

export interface DirectoryTimes {
  readonly hours: readonly Range[];
  readonly busy: readonly Range[];
}

/** One provider's slots contradict themselves. */
export class Contradiction extends Error {
  readonly problem: DirectoryProblem;
  constructor(problem: DirectoryProblem) {
    super(`The slots contradict themselves (${problem})`);
    this.problem = problem;
  }
}

/**
 * At work is who is free or busy; busy times take away from that. In order and joined, within the range: equal words
 * in another order, or cut in other pieces, say the same. Throws {@link Contradiction}.
 */
export function timesOf(slots: readonly DirectorySlot[], range: Range): DirectoryTimes {
  const of = (...statuses: readonly DirectorySlot['status'][]) =>
    joined(slots.filter(({ status }) => statuses.includes(status)).map(toRange));
  const free = of('free');
  const busy = of('busy', 'busy-tentative', 'busy-unavailable');
  if (overlap(free, busy)) throw new Contradiction('FREE_AND_BUSY');
  const within = (ranges: readonly Range[]) =>
    ranges
      .map(({ from, until }) => ({ from: Math.max(from, range.from), until: Math.min(until, range.until) }))
      .filter(({ from, until }) => from < until);
  return { hours: within(joined([...free, ...of('busy', 'busy-tentative')])), busy: within(busy) };
}

function toRange({ startsAt, endsAt }: DirectorySlot): Range {
  if (Temporal.Instant.compare(startsAt, endsAt) >= 0) throw new Contradiction('ENDS_BEFORE_START');
  return { from: startsAt.epochMilliseconds, until: endsAt.epochMilliseconds };
}

/** In order; those that overlap or touch are one. */
function joined(ranges: readonly Range[]): Range[] {
  const result: { from: number; until: number }[] = [];
  for (const { from, until } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last && from <= last.until) last.until = Math.max(last.until, until);
    else result.push({ from, until });
  }
  return result;
}

/** Both in order and joined. */
function overlap(some: readonly Range[], others: readonly Range[]): boolean {
  let next = 0;
  for (const { from, until } of some) {
    while ((others[next]?.until ?? Infinity) <= from) next++;
    if ((others[next]?.from ?? Infinity) < until) return true;
  }
  return false;
}

/** The same times have the same one. */
export function digestOf({ hours, busy }: DirectoryTimes): string {
  return createHash('sha256')
    .update(JSON.stringify([hours, busy]))
    .digest('base64url');
}
