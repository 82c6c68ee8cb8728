/**
 * How a patient's own message is understood: pure, and rather once too often as the wish to be left alone.
 *
 * A message is one of the words, whatever its case, accents, spaces and punctuation, and with or without a please. What
 * begins with a word that means nothing else than stop opts out too, and a person reads the rest of it. CANCEL and END
 * alone opt out; with other words they may be about the visit, which is for a person to say.
 */
import type { Language } from './template.ts';

export const INTENTS = ['OPT_OUT', 'OPT_IN', 'HELP', 'CONFIRM', 'CHANGE', 'DECLINE', 'OTHER'] as const;
export type Intent = (typeof INTENTS)[number];

export interface Understood {
  readonly intent: Intent;
  /** Of a word that belongs to one language alone. */
  readonly language: Language | null;
  /** There are words beside it that somebody has to read. */
  readonly hasRest: boolean;
}

const STOP: readonly string[] = ['stop', 'stopall', 'stop all', 'unsubscribe', 'revoke', 'opt out', 'optout'];
const STOP_IN_SPANISH: readonly string[] = ['alto', 'parar'];
/** Alone they opt out; at the beginning of a sentence they may mean the visit. */
const STOP_ALONE: readonly string[] = ['quit', 'end', 'cancel'];

const WORDS: ReadonlyMap<string, Intent> = new Map<string, Intent>([
  ...[...STOP, ...STOP_IN_SPANISH, ...STOP_ALONE].map((word): [string, Intent] => [word, 'OPT_OUT']),
  ['start', 'OPT_IN'],
  ['unstop', 'OPT_IN'],
  ['help', 'HELP'],
  ['info', 'HELP'],
  ['ayuda', 'HELP'],
  ['1', 'CONFIRM'],
  ['2', 'CHANGE'],
  ['3', 'DECLINE'],
]);
const SPANISH = new Set([...STOP_IN_SPANISH, 'ayuda']);

const COURTESY = /\b(please|pls|plz|now|thanks|thank you|thx|por favor|ya|gracias)\b/g;

export function understand(message: string): Understood {
  const text = plainWords(message);
  const bare = text.replace(COURTESY, ' ').replaceAll(/\s+/g, ' ').trim();
  const intent = WORDS.get(bare) ?? WORDS.get(text);
  if (intent !== undefined) return { intent, language: SPANISH.has(bare) ? 'es' : null, hasRest: false };
  const begun = [...STOP, ...STOP_IN_SPANISH].find((word) => bare.startsWith(`${word} `));
  if (begun === undefined) return { intent: 'OTHER', language: null, hasRest: true };
  return { intent: 'OPT_OUT', language: SPANISH.has(begun) ? 'es' : null, hasRest: true };
}

/** The key that ends all calls, which each of them tells of. */
export const OPT_OUT_KEY = '9';

/** A key that was pressed in a call: digits alone have a meaning there. */
export function understandKey(digits: string): Understood {
  if (plainWords(digits) === OPT_OUT_KEY) return { intent: 'OPT_OUT', language: null, hasRest: false };
  const understood = understand(digits);
  return /^\d$/.test(plainWords(digits)) ? understood : { intent: 'OTHER', language: null, hasRest: false };
}

/** Lower case letters and digits, one space between words. */
function plainWords(message: string): string {
  return message
    .normalize('NFKD')
    .replaceAll(/[\p{M}\p{Cf}]/gu, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
