/**
 * What the scorecard looks at: a visit's facts, each with a level or a value, always all of them and in this order.
 *
 * How far each may move the log-odds without evidence is its prior: `spread` is the standard deviation, in log-odds, of
 * what levels add. Effects of providers, clinics and services so shrink toward what holds for all of them. What is no
 * fact here: sex, welfare, disability and diagnoses.
 */
import { historyEffect, historyWords } from './history.ts';
import { LEAD_BANDS, leadBand, leadWords, PUBLISHED_BASE_RATE, PUBLISHED_LEAD_EFFECTS } from './lead-time.ts';
import type { RiskRow } from './model.ts';

/** By what a term is known to people; several facts may speak of one thing. */
export interface Fact {
  /** Unique, and kept in stored models: renaming one forgets what was learnt of it. */
  readonly name: string;
  readonly feature: string;
  readonly spread: number;
  /** The level that the visit has; what was not seen often enough counts as the average. */
  readonly level?: (row: RiskRow) => string;
  /** Or a number; 0 says nothing. */
  readonly value?: (row: RiskRow) => number;
  /** `isMore`: it adds to the risk. */
  readonly words: (row: RiskRow, isMore: boolean) => string;
  /** What is believed of a level, or of a number's weight, before anything was seen; 0 unless given. */
  readonly prior?: (level: string) => number;
  /** Of levels without end only the most frequent ones are learnt. */
  readonly mostLevels?: number;
  /** Less than this would contradict what is known of the world. */
  readonly least?: number;
}

const WEEKDAYS = ['', 'a Monday', 'a Tuesday', 'a Wednesday', 'a Thursday', 'a Friday', 'a Saturday', 'a Sunday'];

/** Visits booked on their own day are another kind: few of them are missed. */
const kind = ({ leadDays }: RiskRow): string => (leadDays === 0 ? 'same day' : 'ahead');

const leadEffect = (level: string): number => PUBLISHED_LEAD_EFFECTS[LEAD_BANDS.indexOf(level)] ?? 0;

/** Whether a message can have been sent, and read, depends on how long there was for it. */
function messageLevel({ leadDays, message }: RiskRow): string {
  if (leadDays === 0) return 'same day';
  const ahead = leadDays < 3 ? 'days' : leadDays < 8 ? 'week' : 'weeks';
  return `${message} ${ahead}`;
}

const MESSAGE_WORDS: Readonly<Record<RiskRow['message'], string>> = {
  NONE: 'no reminder',
  PLANNED: 'a reminder is planned',
  SENT: 'a reminder was sent',
  DELIVERED: 'a reminder was delivered',
  FAILED: 'the reminder did not arrive',
};

const CONFIRMATION = new Map([
  [true, 'confirmed by the patient'],
  [false, 'the patient may not come'],
  [null, 'not confirmed'],
]);

/** The last visit was so many days ago. */
function sinceLast({ past: { daysSinceLast: days } }: RiskRow): string {
  if (days === null) return 'first visit';
  if (days <= 3) return 'days';
  if (days <= 7) return 'week';
  if (days <= 14) return 'two weeks';
  return days <= 60 ? 'weeks' : 'months';
}

function sinceLastWords({ past: { daysSinceLast: days } }: RiskRow): string {
  if (days === null) return 'first visit here';
  return days === 1 ? 'the last visit was yesterday' : `the last visit was ${days} days ago`;
}

/** From 0 to 1, and near 0 while little is known. */
const share = (of: number, among: number): number => of / (among + 2);

const clock = (hour: number | null): string => (hour === null ? 'at an unknown hour' : `${hour}:00`);

const SERVICE_WORDS = new Map<string | null, string>([
  ['HOME_VISIT', 'home visits'],
  ['TELEHEALTH', 'telehealth visits'],
  ['TRANSPORTATION', 'rides'],
  ['MEAL_DELIVERY', 'meal deliveries'],
  ['WELLNESS_CHECK', 'wellness checks'],
]);
const areMissed = (isMore: boolean): string => `are missed ${isMore ? 'more' : 'less'} often than others`;

const MORE_VISITS = [
  'the only visit of the day',
  'one more visit that day',
  'two more visits that day',
  'more visits that day',
];
const moreVisits = ({ sameDayVisits = 0 }: RiskRow): number => Math.min(sameDayVisits, MORE_VISITS.length - 1);

export const FACTS: readonly Fact[] = [
  {
    name: 'lead',
    feature: 'lead time',
    spread: 0.5,
    level: ({ leadDays }) => LEAD_BANDS[leadBand(leadDays)] as string,
    prior: leadEffect,
    words: ({ leadDays }) => leadWords(leadDays),
  },
  ...(['ahead', 'same day'] as const).map((ofKind): Fact => ({
    name: `history ${ofKind}`,
    feature: 'patient history',
    spread: 0.3,
    value: (row) => (kind(row) === ofKind ? historyEffect(row.past, PUBLISHED_BASE_RATE) : 0),
    prior: () => 0.5,
    least: 0,
    words: ({ past }) => historyWords(past),
  })),
  {
    name: 'last missed',
    feature: 'patient history',
    spread: 0.3,
    value: ({ past }) => (past.lastOutcomes[0] === true ? 1 : 0),
    least: 0,
    words: ({ past }) => historyWords(past),
  },
  {
    name: 'cancellations',
    feature: 'cancellations',
    spread: 0.5,
    value: ({ past }) => share(past.cancellations, past.visits + past.cancellations),
    words: ({ past }) => `${past.cancellations} cancelled so far`,
  },
  {
    name: 'late cancellations',
    feature: 'cancellations',
    spread: 0.5,
    value: ({ past }) => share(past.lateCancellations, past.visits + past.cancellations),
    words: ({ past }) => `${past.lateCancellations} cancelled late so far`,
  },
  {
    name: 'since last',
    feature: 'days since the last visit',
    spread: 0.3,
    level: (row) => `${kind(row)} ${sinceLast(row)}`,
    words: sinceLastWords,
  },
  {
    name: 'confirmed',
    feature: 'confirmation',
    spread: 0.8,
    level: ({ confirmed }) => String(confirmed),
    words: ({ confirmed }) => CONFIRMATION.get(confirmed) as string,
  },
  {
    name: 'message',
    feature: 'reminder',
    spread: 0.5,
    level: messageLevel,
    words: ({ message }) => MESSAGE_WORDS[message],
  },
  {
    name: 'age',
    feature: 'age band',
    spread: 0.4,
    level: ({ ageBand }) => String(ageBand),
    words: ({ ageBand }) => (ageBand === null ? 'age unknown' : `aged ${ageBand}`),
  },
  {
    name: 'age by kind',
    feature: 'age band',
    spread: 0.4,
    level: (row) => `${kind(row)} ${row.ageBand}`,
    words: ({ ageBand }) => (ageBand === null ? 'age unknown' : `aged ${ageBand}`),
  },
  {
    name: 'weekday',
    feature: 'weekday',
    spread: 0.2,
    level: (row) => `${kind(row)} ${row.weekday}`,
    words: ({ weekday }) => `on ${WEEKDAYS[weekday]}`,
  },
  {
    name: 'hour',
    feature: 'hour',
    spread: 0.2,
    level: (row) => `${kind(row)} ${row.hour}`,
    words: ({ hour }) => `begins ${hour === null ? clock(hour) : `at ${clock(hour)}`}`,
  },
  {
    name: 'booked hour',
    feature: 'hour of booking',
    spread: 0.2,
    level: (row) => `${kind(row)} ${row.bookedHour}`,
    words: ({ bookedHour }) => `booked ${bookedHour === null ? clock(bookedHour) : `at ${clock(bookedHour)}`}`,
  },
  {
    name: 'service',
    feature: 'service',
    spread: 0.3,
    level: ({ service }) => String(service),
    mostLevels: 50,
    words: ({ service }, isMore) => `${SERVICE_WORDS.get(service) ?? 'visits of this kind'} ${areMissed(isMore)}`,
  },
  {
    name: 'clinic',
    feature: 'clinic',
    spread: 0.16,
    level: ({ clinic }) => String(clinic),
    mostLevels: 150,
    words: (_row, isMore) => `visits at this place ${areMissed(isMore)}`,
  },
  {
    name: 'provider',
    feature: 'provider',
    spread: 0.16,
    level: ({ provider }) => String(provider),
    mostLevels: 250,
    words: (_row, isMore) => `visits with this provider ${areMissed(isMore)}`,
  },
  {
    name: 'more visits',
    feature: 'visits of the day',
    spread: 0.6,
    level: (row) => `${kind(row)} ${moreVisits(row)}`,
    words: (row) => MORE_VISITS[moreVisits(row)] as string,
  },
];
