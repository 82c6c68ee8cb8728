/** What the directory of providers knows, and what it was asked. */
import { RateLimit, type Resource, Searches } from '../fhir.ts';
import { newScripts, type RequestKind } from './behaviour.ts';
import { Practitioners } from './practitioners.ts';

/** A question as it came. */
export interface Asked {
  readonly kind: RequestKind;
  readonly practitioner: string;
  /** Null until it is answered, and for good where it never is. */
  status: number | null;
}

export interface Directory {
  readonly practitioners: Practitioners;
  readonly scripts: ReturnType<typeof newScripts>;
  /** What the pages to come have, by their token. */
  readonly searches: Searches<readonly Resource[]>;
  readonly rate: RateLimit;
  readonly settings: Settings;
  /** The newest last. */
  readonly asked: Asked[];
  readonly now: () => Temporal.Instant;
  /** Aborted when everything is forgotten: who waits for an answer gets it then. */
  era: AbortController;
}

export interface Settings {
  /** Nobody is there: each connection breaks. */
  outage: boolean;
  /** Before each answer, beside what is scripted. */
  delayMs: number;
  /** The bearer token that is expected; null takes any and none. */
  token: string | null;
}

const KEPT = 1_000;
/** Each holds its resources. */
const SEARCHES = 500;
const WELL: Settings = { outage: false, delayMs: 0, token: null };

export function createDirectory(seed: string, now: Directory['now']): Directory {
  return {
    practitioners: new Practitioners(seed),
    scripts: newScripts(),
    searches: new Searches(SEARCHES),
    rate: new RateLimit(),
    settings: { ...WELL },
    asked: [],
    now,
    era: new AbortController(),
  };
}

export function noteAsked({ asked }: Directory, one: Asked): void {
  if (asked.push(one) > KEPT) asked.splice(0, KEPT / 2);
}

export function forgetDirectory(directory: Directory): void {
  directory.era.abort();
  directory.era = new AbortController();
  directory.practitioners.clear();
  directory.scripts.clear();
  directory.searches.clear();
  directory.asked.length = 0;
  directory.rate.perSecond = null;
  Object.assign(directory.settings, WELL);
}
