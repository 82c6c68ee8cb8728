/** What the payer knows, and what it was asked. */
import { RateLimit, Searches } from '../fhir.ts';
import { Behaviours, type RequestKind } from './behaviour.ts';
import { Members } from './members.ts';

/** A question as it came: to look at afterwards. */
export interface Asked {
  readonly kind: RequestKind;
  readonly method: string;
  /** As it stood in the request's first line. */
  readonly url: string;
  readonly member: string;
  readonly planIds: readonly string[];
  /** Null until it is answered, and for good where it never is. */
  status: number | null;
}

/** Whose Coverages, and of which status. */
export interface Sought {
  readonly member: string;
  readonly status: string | null;
}

export interface Payer {
  readonly members: Members;
  readonly behaviours: Behaviours;
  readonly searches: Searches<Sought>;
  readonly rate: RateLimit;
  readonly settings: Settings;
  /** The newest last. */
  readonly asked: Asked[];
  readonly counts: { readonly byKind: Record<RequestKind, number>; readonly byStatus: Record<string, number> };
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

export function createPayer(seed: string, now: Payer['now']): Payer {
  return {
    members: new Members(seed),
    behaviours: new Behaviours(seed),
    searches: new Searches(),
    rate: new RateLimit(),
    settings: { outage: false, delayMs: 0, token: null },
    asked: [],
    counts: { byKind: { search: 0, eligibility: 0, read: 0 }, byStatus: {} },
    now,
    era: new AbortController(),
  };
}

export function noteAsked({ asked, counts }: Payer, one: Asked): void {
  counts.byKind[one.kind]++;
  if (asked.push(one) > KEPT) asked.splice(0, KEPT / 2);
}

export function noteAnswered({ counts }: Payer, one: Asked | undefined, status: number): void {
  if (one !== undefined) one.status = status;
  counts.byStatus[status] = (counts.byStatus[status] ?? 0) + 1;
}

/** As at the start. */
export function forgetPayer(payer: Payer): void {
  const { members, behaviours, searches, rate, settings, asked, counts } = payer;
  payer.era.abort();
  payer.era = new AbortController();
  members.clear();
  behaviours.clear();
  searches.clear();
  rate.perSecond = null;
  Object.assign(settings, { outage: false, delayMs: 0, token: null });
  asked.length = 0;
  Object.assign(counts.byKind, { search: 0, eligibility: 0, read: 0 });
  for (const status of Object.keys(counts.byStatus)) delete counts.byStatus[status];
}
