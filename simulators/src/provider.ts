/** What the provider knows, and what all its parts share. */
import { type Behaviour, Behaviours } from './behaviour.ts';
import { Outbox, type SentCall, type SentText } from './outbox.ts';
import type { Line } from './line.ts';
import { Webhooks } from './webhooks.ts';

export interface Credentials {
  readonly accountSid: string;
  readonly authToken: string;
}

export interface Pace {
  /** How long a second of a call lasts here. */
  readonly secondMs: number;
  /** How many of those a call waits for a key; as it was told to, unless given. */
  readonly keySeconds: number | null;
}

export interface Settings {
  /** Where texts from patients are posted to. */
  inboundUrl: string | null;
  /** Who answers STOP, START and HELP: Twilio does unless an account is set up otherwise. */
  keywords: 'provider' | 'application';
}

export interface Provider {
  readonly credentials: Credentials;
  readonly outbox: Outbox;
  readonly behaviours: Behaviours;
  readonly webhooks: Webhooks;
  readonly settings: Settings;
  readonly pace: Pace;
  /** Who wrote STOP. */
  readonly blocked: Set<string>;
  /** The calls that are under way. */
  readonly lines: Map<string, Line>;
  readonly newId: () => string;
  readonly now: () => Temporal.Instant;
  counts: Counts;
  /** Aborted when everything is forgotten: what is under way goes no further. */
  era: AbortController;
}

export interface Counts {
  readonly texts: Tally;
  readonly calls: Tally;
  readonly emails: { taken: number; refused: number };
  /** Texts from patients. */
  received: number;
}

interface Tally {
  taken: number;
  refused: number;
  readonly byStatus: Record<string, number>;
}

export function noCounts(): Counts {
  return {
    texts: { taken: 0, refused: 0, byStatus: {} },
    calls: { taken: 0, refused: 0, byStatus: {} },
    emails: { taken: 0, refused: 0 },
    received: 0,
  };
}

interface ProviderOptions extends Pick<Provider, 'credentials' | 'pace' | 'settings' | 'newId' | 'now'> {
  readonly seed: string;
  readonly kept: number;
}

export function createProvider({ seed, kept, ...given }: ProviderOptions): Provider {
  return {
    ...given,
    outbox: new Outbox(kept),
    behaviours: new Behaviours(seed),
    webhooks: new Webhooks(given.credentials.authToken),
    blocked: new Set(),
    lines: new Map(),
    counts: noCounts(),
    era: new AbortController(),
  };
}

/** As at the start, but for the ids, which go on. */
export function forgetEverything(provider: Provider): void {
  provider.era.abort();
  provider.era = new AbortController();
  provider.outbox.clear();
  provider.behaviours.clear();
  provider.webhooks.forgetCounts();
  provider.blocked.clear();
  provider.lines.clear();
  provider.counts = noCounts();
}

/** Puts down that a text or call, which `counts` has already, is further along. */
export function moveTo<T extends SentText | SentCall>(counts: Counts, sent: T, status: T['status']): void {
  const { byStatus } = sent.kind === 'text' ? counts.texts : counts.calls;
  byStatus[sent.status] = (byStatus[sent.status] ?? 0) - 1;
  byStatus[status] = (byStatus[status] ?? 0) + 1;
  sent.status = status;
}

export function countIn(tally: Tally, status: string): void {
  tally.taken++;
  tally.byStatus[status] = (tally.byStatus[status] ?? 0) + 1;
}

export interface Reporting {
  readonly behaviour: Behaviour;
  /** Where each step is reported, if anywhere. */
  readonly statusCallback: string | null;
}
