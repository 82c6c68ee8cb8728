/**
 * Everything that was sent and received, in memory: what a person looks at and a test asks for. The oldest are
 * forgotten. What is asked for often has an index: the id, and the number or address on the other side.
 */
import { createHash } from 'node:crypto';

export const TEXT_STATUSES = ['queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'received'] as const;
export type TextStatus = (typeof TEXT_STATUSES)[number];

export const CALL_STATUSES = [
  'queued',
  'ringing',
  'in-progress',
  'completed',
  'busy',
  'no-answer',
  'failed',
  'canceled',
] as const;
export type CallStatus = (typeof CALL_STATUSES)[number];

export interface SentText {
  readonly kind: 'text';
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  /** A reply is what the provider says by itself, or what a webhook answered. */
  readonly direction: 'outbound-api' | 'outbound-reply' | 'inbound';
  status: TextStatus;
  sentAt: Temporal.Instant | null;
  errorCode: number | null;
  readonly reports: Report[];
}

export interface SentCall {
  readonly kind: 'call';
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly from: string;
  readonly to: string;
  readonly said: Saying[];
  readonly keys: string[];
  status: CallStatus;
  startedAt: Temporal.Instant | null;
  endedAt: Temporal.Instant | null;
  waitsForKey: boolean;
  /** What went wrong with what it was told to do. */
  fault: string | null;
  readonly reports: Report[];
}

export interface Saying {
  readonly language: string;
  readonly text: string;
}

/** A post to a webhook, and what it answered; null where there was no answer. */
export interface Report {
  readonly status: string;
  readonly answered: number | null;
}

export interface SentEmail {
  readonly kind: 'email';
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly body: string;
  readonly messageId: string | null;
}

export type Sent = SentText | SentCall | SentEmail;

/** The number or addresses on the patient's side. */
export function otherSide(sent: Sent): readonly string[] {
  if (sent.kind === 'email') return sent.to;
  return [sent.kind === 'text' && sent.direction === 'inbound' ? sent.from : sent.to];
}

export class Outbox {
  readonly #kept: number;
  /** The oldest first, from `#first` on; what is before is forgotten. */
  #sent: Sent[] = [];
  #first = 0;
  readonly #byId = new Map<string, Sent>();
  readonly #byNumber = new Map<string, Sent[]>();

  constructor(kept: number) {
    this.#kept = kept;
  }

  add(sent: Sent): void {
    this.#sent.push(sent);
    this.#byId.set(sent.id, sent);
    for (const number of otherSide(sent)) {
      const same = this.#byNumber.get(number);
      if (same) same.push(sent);
      else this.#byNumber.set(number, [sent]);
    }
    if (this.#sent.length - this.#first > this.#kept) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const oldest = this.#sent[this.#first++];
    if (oldest === undefined) return;
    this.#byId.delete(oldest.id);
    for (const number of otherSide(oldest)) {
      const same = this.#byNumber.get(number);
      // The oldest of all is the oldest of its number.
      same?.shift();
      if (same?.length === 0) this.#byNumber.delete(number);
    }
    // Now and then, so that forgetting costs the same however many are kept.
    if (this.#first > this.#kept) {
      this.#sent = this.#sent.slice(this.#first);
      this.#first = 0;
    }
  }

  find(id: string): Sent | undefined {
    return this.#byId.get(id);
  }

  has(number: string): boolean {
    return this.#byNumber.has(number);
  }

  /** With that number or address on the other side, the newest first. */
  *of(number: string): Generator<Sent> {
    yield* backwards(this.#byNumber.get(number) ?? [], 0);
  }

  *newestFirst(): Generator<Sent> {
    yield* backwards(this.#sent, this.#first);
  }

  clear(): void {
    this.#sent = [];
    this.#first = 0;
    this.#byId.clear();
    this.#byNumber.clear();
  }
}

function* backwards(sent: readonly Sent[], first: number): Generator<Sent> {
  for (let index = sent.length - 1; index >= first; index--) {
    const one = sent[index];
    if (one) yield one;
  }
}

/** Ids that look random and are the same in each run with the same seed: 32 hexadecimal digits. */
export function idsFrom(seed: string): () => string {
  let count = 0;
  return () => createHash('sha256').update(`${seed}:${++count}`).digest('hex').slice(0, 32);
}
