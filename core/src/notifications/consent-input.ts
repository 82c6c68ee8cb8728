/** What callers may send about a consent. */
import { z } from 'zod';
import { type InputIssue, InvalidInput } from '#platform/errors';
import { isPrintable, NOT_PRINTABLE, parse } from '#platform/input';
import type { Role } from '#platform/scope';
import { CONSENT_SOURCES, CONTACT_KINDS, type ConsentSource, type Purpose, PURPOSES } from './consent.ts';
import { currentWording, isWordingOf } from './consent-wording.ts';

export const idempotencyKey = z.string().min(1).max(200).refine(isPrintable, NOT_PRINTABLE).nullish();

const evidence = z
  .string()
  .trim()
  .min(1, 'expected text')
  .max(2_000, 'expected at most 2000 characters')
  .refine((text) => text.isWellFormed(), 'expected no half of a character')
  .nullish();

export const ContactInput = z.object({
  /** Of the patient's first phone, or their e-mail address. */
  contactKind: z.enum(CONTACT_KINDS),
  /** As whoever asks has seen it: when it is no longer the one on record, the change fails. */
  contact: z.string().max(254, 'expected at most 254 characters').nullish(),
  idempotencyKey,
});

const Withdrawal = ContactInput.extend({ purpose: z.enum(PURPOSES).default('CARE_REMINDER'), evidence });

const NewConsent = Withdrawal.extend({
  source: z.enum(CONSENT_SOURCES).nullish(),
  wordingVersion: z
    .string()
    .trim()
    .min(1, 'expected a version')
    .max(100, 'expected at most 100 characters')
    .refine(isPrintable, NOT_PRINTABLE)
    .nullish(),
});

export type NewConsent = z.input<typeof NewConsent>;
export type Withdrawal = z.input<typeof Withdrawal>;

/** How each role comes to know it. */
const SOURCES: Readonly<Record<Role, readonly ConsentSource[]>> = {
  patient: ['PATIENT'],
  agent: ['AGENT', 'WRITTEN_FORM'],
  admin: ['AGENT', 'WRITTEN_FORM'],
  system: ['IMPORT', 'INBOUND_MESSAGE'],
  auditor: [],
};

export function sourceOf(role: Role, wanted: ConsentSource | null | undefined): ConsentSource {
  const [usual] = SOURCES[role];
  const source = wanted ?? usual;
  if (source !== undefined && SOURCES[role].includes(source)) return source;
  throw new InvalidInput([{ path: ['source'], message: `expected one of ${SOURCES[role].join(', ')}` }]);
}

export type ParsedConsent = z.output<typeof Withdrawal> & {
  readonly source: ConsentSource;
  readonly wordingVersion: string;
};

/** Patients agree to words of ours; of what staff write down, they say what proves it. Throws {@link InvalidInput}. */
export function parseConsent(role: Role, input: NewConsent): ParsedConsent {
  const consent = parse(NewConsent, input);
  const source = sourceOf(role, consent.source);
  const wordingVersion = consent.wordingVersion ?? (source === 'WRITTEN_FORM' ? '' : currentWording(consent.purpose));
  const issues = [
    ...wordingIssues(source, consent.purpose, wordingVersion),
    ...evidenceIssues(source, Boolean(consent.evidence)),
  ];
  if (issues.length > 0) throw new InvalidInput(issues);
  return { ...consent, source, wordingVersion };
}

function wordingIssues(source: ConsentSource, purpose: Purpose, version: string): InputIssue[] {
  const path = ['wordingVersion'];
  if (version === '') return [{ path, message: 'expected the version of the form' }];
  if (source === 'WRITTEN_FORM' || source === 'IMPORT' || isWordingOf(purpose, version)) return [];
  return [{ path, message: 'expected a version of the wording for this purpose' }];
}

function evidenceIssues(source: ConsentSource, given: boolean): InputIssue[] {
  if (source === 'PATIENT') return given ? [NO_EVIDENCE] : [];
  const needed = source === 'AGENT' || source === 'WRITTEN_FORM';
  return needed && !given ? [{ path: ['evidence'], message: 'expected what proves it' }] : [];
}

const NO_EVIDENCE = { path: ['evidence'], message: 'expected none: the request itself proves it' };

export function parseWithdrawal(
  role: Role,
  input: Withdrawal,
): z.output<typeof Withdrawal> & { source: ConsentSource } {
  const withdrawal = parse(Withdrawal, input);
  if (role === 'patient' && withdrawal.evidence) throw new InvalidInput([NO_EVIDENCE]);
  return { ...withdrawal, source: sourceOf(role, null) };
}
