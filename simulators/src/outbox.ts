/** Everything that was sent, in memory: what a person looks at and a test asks for. The oldest are forgotten. */
import { createHash } from 'node:crypto';

export interface SentText {
  readonly kind: 'text';
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly from: string;
  readonly to: string;
  readonly body: string;
  status: 'queued' | 'sent' | 'delivered';
}

export interface SentEmail {
  readonly kind: 'email';
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly body: string;
}

export type Sent = SentText | SentEmail;

const KEPT = 1_000;

export class Outbox {
  readonly #sent: Sent[] = [];

  add(sent: Sent): void {
    this.#sent.push(sent);
    if (this.#sent.length > KEPT) this.#sent.shift();
  }

  findText(id: string): SentText | undefined {
    return this.#sent.find((sent): sent is SentText => sent.kind === 'text' && sent.id === id);
  }

  newestFirst(): Sent[] {
    return this.#sent.toReversed();
  }
}

/** Ids that look random and are the same in each run with the same seed: 32 hexadecimal digits. */
export function idsFrom(seed: string): () => string {
  let count = 0;
  return () => createHash('sha256').update(`${seed}:${++count}`).digest('hex').slice(0, 32);
}
