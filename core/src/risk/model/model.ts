/**
 * What a no-show model is: a pure function from what is known of a visit to a probability, with its reasons.
 *
 * Nothing here knows a database or the time. A model is fitted from rows, kept as plain data and restored from it; the
 * terms of a score are log-odds, and with its base they add up to the score exactly.
 */

/** What is known of a visit when it is scored. Keys are opaque; counts are of what was final by then. */
export interface RiskRow {
  readonly patient: string;
  readonly provider: string | null;
  readonly clinic: string | null;
  readonly service: string | null;
  /** Local calendar days from booking to visit; 0 is the same day. */
  readonly leadDays: number;
  /** Of the visit, local: 1 is Monday, 7 is Sunday. */
  readonly weekday: number;
  /** Local hour in which the visit begins, 0 to 23; null where only its day is known. */
  readonly hour: number | null;
  /** Local hour in which it was booked. */
  readonly bookedHour: number | null;
  /** In years, such as `30-39`; see {@link ageBand}. */
  readonly ageBand: string | null;
  readonly past: PatientHistory;
  /** Other visits of the patient on the same day. */
  readonly sameDayVisits?: number;
  /** The patient said that they come; null when nobody has asked, or nothing was heard. */
  readonly confirmed: boolean | null;
  /** What became of the messages about the visit. */
  readonly message: MessageOutcome;
}

export type MessageOutcome = 'NONE' | 'PLANNED' | 'SENT' | 'DELIVERED' | 'FAILED';

export interface PatientHistory {
  /** Completed and missed. */
  readonly visits: number;
  readonly noShows: number;
  readonly cancellations: number;
  /** Of the cancellations, those shortly before the visit. */
  readonly lateCancellations: number;
  /** Newest first, at most five: true is missed. */
  readonly lastOutcomes: readonly boolean[];
  readonly daysSinceLast: number | null;
}

/** A visit that was final, with what was known before. */
export interface LabelledRow extends RiskRow {
  /** When it was: days since 1970 in its own zone. */
  readonly day: number;
  /** NO_SHOW against COMPLETED; other ends are no label. */
  readonly noShow: boolean;
}

/** What one fact adds to the log-odds, compared with a visit of which it is not known. */
export interface Term {
  /** `lead time`, `patient history`. */
  readonly feature: string;
  /** In words, as part of a sentence: `booked 41 days ahead`. */
  readonly words: string;
  readonly logOdds: number;
}

export const RISK_BANDS = ['LOW', 'MEDIUM', 'HIGH'] as const;
export type RiskBand = (typeof RISK_BANDS)[number];

export interface Score {
  /** Above 0 and below 1. */
  readonly probability: number;
  readonly band: RiskBand;
  /** Log-odds before any term. */
  readonly base: number;
  /** `base` and the terms' log-odds, added in this order, are the log-odds of `probability`. */
  readonly terms: readonly Term[];
  /** At most three: what counted most. */
  readonly reasons: readonly string[];
}

export const MODEL_KINDS = ['STATISTICAL', 'ADVANCED', 'LEGACY'] as const;
export type ModelKind = (typeof MODEL_KINDS)[number];

/** A model as it is stored: plain JSON. */
export interface ModelState {
  readonly kind: ModelKind;
}

export interface RiskModel {
  readonly kind: ModelKind;
  /** Of the formula; a fitted model's own version is given where it is stored. */
  readonly version: string;
  score(row: RiskRow): Score;
  toJSON(): ModelState;
}

export const logit = (probability: number): number => Math.log(probability / (1 - probability));
export const logistic = (logOdds: number): number => 1 / (1 + Math.exp(-logOdds));

/** Under MEDIUM_FROM a visit needs no care of its own; from HIGH_FROM on a call is worth its time. */
const MEDIUM_FROM = 0.15;
const HIGH_FROM = 0.35;

export function bandOf(probability: number): RiskBand {
  if (probability < MEDIUM_FROM) return 'LOW';
  return probability < HIGH_FROM ? 'MEDIUM' : 'HIGH';
}

const REASONS = 3;
/** Less than 5 % of the odds is no reason. */
const WORTH_SAYING = 0.05;

/** The score that these terms add up to; `otherwise` is said when none of them counts. */
export function scoreOf(base: number, terms: readonly Term[], otherwise: string): Score {
  const probability = logistic(terms.reduce((sum, { logOdds }) => sum + logOdds, base));
  const counting = terms.filter(({ logOdds }) => Math.abs(logOdds) >= WORTH_SAYING);
  const largest = counting.toSorted((a, b) => Math.abs(b.logOdds) - Math.abs(a.logOdds)).slice(0, REASONS);
  const reasons = largest.length > 0 ? largest.map(({ words }) => words) : [otherwise];
  return { probability, band: bandOf(probability), base, terms, reasons };
}

const YEARS_A_BAND = 10;
const OLDEST_BAND = 80;

/** The band of an age in whole years: `0-9`, …, `70-79`, `80+`. */
export function ageBand(years: number): string {
  if (years >= OLDEST_BAND) return `${OLDEST_BAND}+`;
  const from = Math.max(0, Math.floor(years / YEARS_A_BAND) * YEARS_A_BAND);
  return `${from}-${from + YEARS_A_BAND - 1}`;
}
