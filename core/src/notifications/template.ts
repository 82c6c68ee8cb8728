/** What a message says: a text with variables, per kind, channel and language; every change is a new version. */
import type { Selectable } from 'kysely';
import type { Channel } from '#care';
import type { Database } from '#platform/database';
import { type Kind, KINDS } from './message.ts';

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
export type AnswerKind = (typeof ANSWER_KINDS)[number];
export type TemplateKind = Kind | AnswerKind;
export const TEMPLATE_KINDS: readonly TemplateKind[] = [...KINDS, ...ANSWER_KINDS];

export interface Template {
  readonly id: string;
  readonly kind: TemplateKind;
  readonly channel: Channel;
  readonly language: Language;
  /** From 1, which the platform came with. */
  readonly version: number;
  /** Of an e-mail. */
  readonly subject: string | null;
  /** With variables such as `{{visits}}`. */
  readonly body: string;
  /** A user; null for what the platform came with. */
  readonly createdBy: string | null;
  readonly createdAt: Temporal.Instant;
}

export type Wording = Pick<Template, 'kind' | 'channel' | 'language' | 'subject' | 'body'>;

/** Whom a call asks presses a key; and nobody is asked anything by e-mail. */
const ANSWERED_BY_VOICE = new Set<TemplateKind>([
  'OPTED_OUT',
  'CONFIRMED',
  'CHANGE_NOTED',
  'DECLINED',
  'NOT_UNDERSTOOD',
]);

export const isAnswer = (kind: TemplateKind): kind is AnswerKind => (ANSWER_KINDS as readonly string[]).includes(kind);

/** Whether such a message is ever sent that way. */
export function existsOn(kind: TemplateKind, channel: Channel): boolean {
  if (!isAnswer(kind)) return true;
  return channel === 'SMS' || (channel === 'VOICE' && ANSWERED_BY_VOICE.has(kind));
}

export const VARIABLES = [
  'clinicName',
  'clinicPhone',
  'visits',
  'localDate',
  'localTime',
  'zone',
  'replyCodes',
  'shortLink',
] as const;
export type Variable = (typeof VARIABLES)[number];

/** Messages that a patient answers with a digit. */
export const PROMPTS: readonly TemplateKind[] = ['CONFIRMATION', 'REMINDER_24H', 'REMINDER_2H', 'CHANGED'];

const OF_VISITS = new Set<Variable>(['visits', 'localDate', 'localTime', 'zone']);
/** A line by itself, and the first that others see on a screen. */
const IN_SUBJECT = new Set<Variable>(['clinicName', 'localDate', 'localTime', 'zone']);

/** What has a value there. There is no variable for whom it is about, or what a visit is for. */
export function variablesOf({ kind, channel }: Pick<Wording, 'kind' | 'channel'>): readonly Variable[] {
  return VARIABLES.filter((variable) => {
    if (OF_VISITS.has(variable)) return !isAnswer(kind);
    if (variable === 'replyCodes') return PROMPTS.includes(kind) && channel !== 'EMAIL';
    return variable !== 'shortLink' || channel !== 'VOICE';
  });
}

export function subjectVariablesOf(of: Pick<Wording, 'kind' | 'channel'>): readonly Variable[] {
  return variablesOf(of).filter((variable) => IN_SUBJECT.has(variable));
}

/** The language of ours that comes nearest to a BCP 47 tag. */
export function languageFor(tag: string): Language {
  const [primary = ''] = tag.toLowerCase().split('-', 1);
  return LANGUAGES.find((language) => language === primary) ?? 'en';
}

export function toTemplate(row: Selectable<Database['message_templates']>): Template {
  return {
    id: row.id,
    kind: row.kind,
    channel: row.channel,
    language: row.language,
    version: row.version,
    subject: row.subject,
    body: row.body,
    createdBy: row.created_by,
    createdAt: row.created_at.toTemporalInstant(),
  };
}
