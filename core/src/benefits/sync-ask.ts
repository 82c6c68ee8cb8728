/** Asking the payer about many patients at once, outside of any transaction: no faster than agreed, and no longer than it answers. */
import type { BenefitsApi, PayerAnswer, PayerMember } from '#integrations/benefits-api';
import { Malformed, RateLimited } from '#integrations/fhir';
import { NotBegun, Refused, Unavailable } from '#integrations/guard';
import { pause } from '#platform/ticker';
import type { SyncFailure } from './sync-run.ts';

/** Calls at once. The adapter's guard takes as many. */
export const CALLS_AT_ONCE = 20;

/** A patient to ask about. */
export interface Asked {
  readonly patientId: string;
  /** Null for one whom the payer cannot know. */
  readonly memberId: string | null;
  readonly planIds: readonly string[];
}

export type Outcome = { readonly answer: PayerAnswer } | { readonly failure: SyncFailure };

export interface Answers {
  /** By patient; of those after the payer went down there is none. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** The circuit to the payer is open, or the payer asks for a pause: to go on asking makes nothing better. */
  readonly isDown: boolean;
}

export interface Calls {
  readonly api: BenefitsApi;
  readonly pace: Pace;
  /** Once it is aborted no call begins. */
  readonly signal: AbortSignal;
}

export async function askAll(patients: readonly Asked[], calls: Calls): Promise<Answers> {
  const outcomes = new Map<string, Outcome>();
  const waiting = patients.values();
  let isDown = false;
  async function lane(): Promise<void> {
    for (const patient of waiting) {
      await calls.pace.turn(calls.signal);
      if (isDown || calls.signal.aborted) return;
      const outcome = await ask(patient, calls);
      if (outcome === DOWN) isDown = true;
      else outcomes.set(patient.patientId, outcome);
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, lane));
  return { outcomes, isDown };
}

const DOWN = Symbol('down');

async function ask({ memberId, planIds }: Asked, { api, signal }: Calls): Promise<Outcome | typeof DOWN> {
  if (memberId === null) return { failure: { code: 'NO_MEMBER_ID', detail: null } };
  const member: PayerMember = { memberId, planIds };
  try {
    return { answer: await api.eligibility(member, signal) };
  } catch (thrown) {
    // Nobody was asked, or everybody has to wait: it is no fault of the patient.
    if (thrown instanceof NotBegun || thrown instanceof RateLimited) return DOWN;
    return { failure: failureOf(thrown) };
  }
}

/** Of a failure that nobody foresaw its class alone. */
export function failureOf(thrown: unknown): SyncFailure {
  if (thrown instanceof Unavailable) return { code: 'UNAVAILABLE', detail: codeOnly(thrown.code) };
  if (thrown instanceof Refused) return { code: 'REFUSED', detail: codeOnly(thrown.code) };
  if (thrown instanceof Malformed) return { code: 'UNUSABLE_ANSWER', detail: codeOnly(thrown.code) };
  return { code: 'UNUSABLE_ANSWER', detail: thrown instanceof Error ? codeOnly(thrown.constructor.name) : null };
}

const codeOnly = (code: string): string | null => (/^[\w-]{1,40}$/.test(code) ? code : null);

/** Lets so many through a second, evenly. */
export class Pace {
  readonly #everyMs: number;
  #next = 0;

  constructor(perSecond: number) {
    this.#everyMs = 1_000 / perSecond;
  }

  async turn(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const at = Math.max(now, this.#next);
    this.#next = at + this.#everyMs;
    if (at > now) await pause(at - now, signal);
  }
}
