/**
 * Visits whose truth is known: made from a seed by a rule that stands here, so that a demo can show a model at work and a
 * test can say whether a model has found the rule. Nothing of it comes from real patients.
 */
import {
  ageBand,
  type LabelledRow,
  logistic,
  logit,
  type MessageOutcome,
  type PatientHistory,
  type RiskRow,
} from './model.ts';

/** What the rule adds to the log-odds; a model that is told the outcomes should come near these. */
export const TRUTH = {
  base: -1.2,
  sameDay: -1.5,
  /** For each doubling of the days ahead, from one on. */
  perDoubling: 0.2,
  young: 0.4,
  old: -0.4,
  confirmed: -1,
  delivered: -0.3,
  failed: 0.3,
  /** Standard deviations of what differs from patient to patient, and from provider to provider. */
  patients: 0.9,
  providers: 0.2,
} as const;

export interface GeneratedVisit extends LabelledRow {
  /** The probability by which the outcome was drawn. */
  readonly truth: number;
}

/** What nobody is told: how this patient and this provider differ from others, in log-odds. */
export interface Hidden {
  readonly patient: number;
  readonly provider: number;
}

/** The rule: the probability that this visit is missed. */
export function trueProbability(row: RiskRow, hidden: Hidden): number {
  const { leadDays, confirmed } = row;
  const lead = leadDays === 0 ? TRUTH.sameDay : TRUTH.perDoubling * Math.log2(leadDays);
  const answer = confirmed === true ? TRUTH.confirmed : 0;
  return logistic(
    TRUTH.base + lead + ofAge(row.ageBand) + answer + ofMessage(row.message) + hidden.patient + hidden.provider,
  );
}

function ofAge(band: string | null): number {
  if (band === '10-19' || band === '20-29') return TRUTH.young;
  return band === '70-79' || band === '80+' ? TRUTH.old : 0;
}

function ofMessage(message: MessageOutcome): number {
  if (message === 'DELIVERED') return TRUTH.delivered;
  return message === 'FAILED' ? TRUTH.failed : 0;
}

export interface HistoryOptions {
  /** Days since 1970 of the first visit. */
  readonly firstDay?: number;
  readonly visitsPerDay?: number;
  /** Added to the log-odds of every visit from that day on, as when a habit changes. */
  readonly drift?: { readonly fromDay: number; readonly logOdds: number };
}

const VISITS_PER_PATIENT = 5;
const PROVIDERS = 30;
const CLINICS = 8;
const SERVICES = 5;

/** So many visits in the order of their days. What a row tells of the past is of the days before its own. */
export function* generateHistory(
  seed: number,
  visits: number,
  options: HistoryOptions = {},
): Generator<GeneratedVisit> {
  const { firstDay = 20_000, visitsPerDay = 300, drift } = options;
  const random = randomFrom(seed);
  const hidden = hiddenEffects(random, Math.max(1, Math.round(visits / VISITS_PER_PATIENT)));
  const pasts = new Map<number, Past>();
  for (let made = 0; made < visits; made += visitsPerDay) {
    const day = firstDay + made / visitsPerDay;
    const shift = drift !== undefined && day >= drift.fromDay ? drift.logOdds : 0;
    const size = Math.min(visitsPerDay, visits - made);
    const ofDay = Array.from({ length: size }, () => drawVisit(random, { day, shift, hidden, pasts }));
    for (const { patient, noShow } of ofDay) pasts.set(patient, after(pasts.get(patient), noShow, day));
    for (const { visit } of ofDay) yield visit;
  }
}

interface HiddenEffects {
  readonly patients: Float64Array;
  readonly providers: Float64Array;
}

function hiddenEffects(random: () => number, patients: number): HiddenEffects {
  return {
    patients: Float64Array.from({ length: patients }, () => TRUTH.patients * normal(random)),
    providers: Float64Array.from({ length: PROVIDERS }, () => TRUTH.providers * normal(random)),
  };
}

interface Day {
  readonly day: number;
  readonly shift: number;
  readonly hidden: HiddenEffects;
  readonly pasts: ReadonlyMap<number, Past>;
}

function drawVisit(random: () => number, { day, shift, hidden, pasts }: Day) {
  const patient = Math.floor(random() * hidden.patients.length);
  const provider = Math.floor(random() * PROVIDERS);
  const row = rowOf(random, { patient, provider, day, past: pasts.get(patient) });
  const own = { patient: hidden.patients[patient] ?? 0, provider: hidden.providers[provider] ?? 0 };
  const truth = logistic(logit(trueProbability(row, own)) + shift);
  const noShow = random() < truth;
  const visit: GeneratedVisit = { ...row, day, noShow, truth };
  return { patient, noShow, visit };
}

interface Drawn {
  readonly patient: number;
  readonly provider: number;
  readonly day: number;
  readonly past: Past | undefined;
}

function rowOf(random: () => number, { patient, provider, day, past }: Drawn): RiskRow {
  const leadDays = random() < 0.3 ? 0 : Math.floor(2 ** (6 * random()));
  const asked = leadDays >= 2;
  return {
    patient: `patient-${patient}`,
    provider: `provider-${provider}`,
    clinic: `clinic-${provider % CLINICS}`,
    service: `service-${Math.floor(random() * SERVICES)}`,
    leadDays,
    weekday: (day % 5) + 1,
    hour: 8 + Math.floor(random() * 9),
    bookedHour: 8 + Math.floor(random() * 9),
    ageBand: ageBand((patient * 37) % 95),
    past: past === undefined ? NOTHING : { ...past, daysSinceLast: day - past.lastDay },
    confirmed: asked && random() < 0.4 ? true : null,
    message: asked ? pick(random, ['DELIVERED', 'DELIVERED', 'DELIVERED', 'SENT', 'FAILED']) : 'NONE',
  };
}

interface Past extends PatientHistory {
  readonly lastDay: number;
}

const NOTHING: PatientHistory = {
  visits: 0,
  noShows: 0,
  cancellations: 0,
  lateCancellations: 0,
  lastOutcomes: [],
  daysSinceLast: null,
};

function after(past: Past | undefined, noShow: boolean, lastDay: number): Past {
  const { visits, noShows, lastOutcomes } = past ?? NOTHING;
  return {
    ...NOTHING,
    visits: visits + 1,
    noShows: noShows + (noShow ? 1 : 0),
    lastOutcomes: [noShow, ...lastOutcomes].slice(0, 5),
    lastDay,
  };
}

function pick<T>(random: () => number, among: readonly [T, ...T[]]): T {
  return among[Math.floor(random() * among.length)] ?? among[0];
}

/** The same numbers for the same seed: mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
