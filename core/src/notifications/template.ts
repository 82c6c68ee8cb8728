/** What a message says: a text with variables, per kind, channel and language; every change is a new version. */
import type { Kind } from './message.ts';

export const LANGUAGES = ['en', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];

/** What the platform answers to a patient's own message. */
export const ANSWER_KINDS = [
  'OPTED_OUT',
  'OPTED_IN',
  'HELP',
  'CONFIRMED',
  'CHANGE_NOTED',
  'DECLINED',
  'NOT_UNDERSTOOD',
] as const;
export type TemplateKind = Kind | (typeof ANSWER_KINDS)[number];
