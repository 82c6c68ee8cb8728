/** A patient's own past as a number: shrunk toward the base rate, so that it counts more as it grows. */
import { logit, type PatientHistory } from './model.ts';

/** So many visits at the base rate are added to the patient's own (a beta prior). */
const PRIOR_VISITS = 10;

/** What the past adds to the log-odds of the base rate; 0 without any visit. More misses never give less. */
export function historyEffect({ visits, noShows }: Counts, baseRate: number): number {
  const missed = (noShows + PRIOR_VISITS * baseRate) / (visits + PRIOR_VISITS);
  return logit(missed) - logit(baseRate);
}

type Counts = Pick<PatientHistory, 'visits' | 'noShows'>;

/** Patients whose past is alike: how many visits, and how many of them were missed. */
export function historyClass({ visits, noShows }: Counts): string {
  if (visits === 0) return 'none';
  const many = visits >= 5 ? '5+' : visits >= 3 ? '3-4' : String(visits);
  const missed = noShows === 0 ? 'none' : noShows === visits ? 'all' : noShows * 3 <= visits ? 'few' : 'some';
  return `${many} visits, ${missed} missed`;
}

/** One past of each class but the empty one: as many visits in a row, more of them missed from left to right. */
export const HISTORY_CLASSES: readonly (readonly Counts[])[] = [
  [0, 1].map((noShows) => ({ visits: 1, noShows })),
  [0, 1, 2].map((noShows) => ({ visits: 2, noShows })),
  [0, 1, 2, 4].map((noShows) => ({ visits: 4, noShows })),
  [0, 1, 3, 6].map((noShows) => ({ visits: 6, noShows })),
];

const LAST = 5;

export function historyWords({ visits, noShows, lastOutcomes }: PatientHistory): string {
  if (visits === 0) return 'no visit here yet';
  if (noShows === 0) return visits === 1 ? 'came to the only visit so far' : `came to all ${visits} visits so far`;
  const recent = lastOutcomes.filter((missed) => missed).length;
  if (recent === 0 || visits <= LAST)
    return `missed ${noShows} of ${visits} ${visits === 1 ? 'visit' : 'visits'} so far`;
  return `missed ${recent} of the last ${lastOutcomes.length} visits`;
}
