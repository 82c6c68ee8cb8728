/** A message on its way out: what is given to the provider, and the rows of the ledger that share its fate. */
import type { Channel } from '#care';
import type { Kind } from './message.ts';
import type { Ready } from './merge.ts';
import type { Due } from './recheck.ts';
import type { Language } from './template.ts';

export interface Message {
  readonly attemptId: string;
  /** The row that carries it. */
  readonly id: string;
  /** That one first. */
  readonly rows: readonly Ready[];
  readonly kind: Kind;
  readonly channel: Channel;
  /** 1 for the first. */
  readonly attempt: number;
  readonly expiresAt: Temporal.Instant;
  /** E.164, or an e-mail address. */
  readonly to: string;
  readonly contactIndex: Buffer;
  readonly language: Language;
  readonly templateId: string;
  /** Of an e-mail. */
  readonly subject: string | null;
  readonly text: string;
}

/** What a message says, as the ledger keeps it. */
export const bodyOf = ({ subject, text }: Pick<Message, 'subject' | 'text'>): string =>
  subject === null ? text : `${subject}\n\n${text}`;

/** Where it is sealed for. */
export const bodyPlace = (id: string) => ({ table: 'notifications', column: 'body', row: id });

export type Outcome =
  | { readonly kind: 'SENT'; readonly providerMessageId: string }
  | { readonly kind: 'REFUSED' | 'UNAVAILABLE' | 'UNKNOWN'; readonly code: string }
  /** Surely not: it was never given to the provider, or the provider knows nothing of it. */
  | { readonly kind: 'NOT_SENT' }
  /** Nobody can find out any more. */
  | { readonly kind: 'UNDECIDABLE' };

/** What {@link Outcome} is of. */
export interface Tried extends Pick<
  Message,
  'attemptId' | 'id' | 'attempt' | 'expiresAt' | 'contactIndex' | 'channel'
> {
  readonly rows: readonly Due[];
}

export interface Answered {
  readonly message: Tried;
  readonly outcome: Outcome;
}
