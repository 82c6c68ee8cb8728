/** What is wrong with a template, each with its path: nothing that is saved is a surprise when it is sent. */
import { z } from 'zod';
import { CHANNELS, type Channel } from '#care';
import type { InputIssue } from '#platform/errors';
import { isPrintable, NOT_PRINTABLE } from '#platform/input';
import type { Clinic } from '#platform/scope';
import {
  existsOn,
  type Language,
  LANGUAGES,
  subjectVariablesOf,
  TEMPLATE_KINDS,
  variablesOf,
  type Variable,
  type Wording,
} from './template.ts';
import { asksToOptOutUnawares, namesRelativeDay, tellsHowToOptOut } from './template-phrases.ts';
import { render, valuesOf } from './template-render.ts';
import { visitTimes } from './template-times.ts';

const MAX_SUBJECT = 78;

/** A line is printable; there may be several. */
const isPrintableText = (text: string): boolean => text.split('\n').every(isPrintable);

export const TemplatePlace = z.object({
  kind: z.enum(TEMPLATE_KINDS),
  channel: z.enum(CHANNELS),
  language: z.enum(LANGUAGES),
});

/** The text of one template, checked for nothing but its form. */
export const WordingInput = TemplatePlace.extend({
  subject: z
    .string()
    .trim()
    .max(200, 'expected at most 200 characters')
    .refine(isPrintable, NOT_PRINTABLE)
    .nullish()
    .transform((subject) => (subject ? subject.normalize('NFC') : null)),
  body: z
    .string()
    .max(10_000, 'expected at most 10000 characters')
    .transform((text) => text.replaceAll('\r\n', '\n').normalize('NFC').trim())
    .pipe(z.string().min(1, 'expected text').refine(isPrintableText, NOT_PRINTABLE)),
});

/** Every issue at once; none where it may be saved. Of a clinic, since its name and number count for the length. */
export function issuesOf(clinic: Clinic, wording: Wording): InputIssue[] {
  const { kind, channel, subject } = wording;
  if (!existsOn(kind, channel)) return [{ path: ['channel'], message: `expected one that ${kind} is sent by` }];
  const issues = [...subjectIssues(wording), ...bodyIssues(wording)];
  if (clinic.link === undefined && /\{\{\s*shortLink\s*\}\}/u.test(wording.body))
    issues.push({ path: ['body'], message: 'expected no {{shortLink}}: PUBLIC_URL is not set' });
  if (issues.length > 0) return issues;
  const longest = render(wording, longestValues(clinic, wording));
  if (longest.units > longest.limit)
    issues.push({
      path: ['body'],
      message: `expected at most ${longest.limit} characters${longest.encoding === null ? '' : ` of ${longest.encoding}`}; it takes up to ${longest.units}`,
    });
  if (subject !== null && (longest.subject ?? '').length > MAX_SUBJECT)
    issues.push({ path: ['subject'], message: `expected at most ${MAX_SUBJECT} characters` });
  return issues;
}

function subjectIssues(wording: Wording): InputIssue[] {
  const { channel, subject } = wording;
  const path = ['subject'];
  if ((channel === 'EMAIL') !== (subject !== null))
    return [{ path, message: channel === 'EMAIL' ? 'expected a subject' : 'expected none: only e-mails have one' }];
  return subject === null ? [] : textIssues(subject, { path, allowed: subjectVariablesOf(wording) });
}

function bodyIssues(wording: Wording): InputIssue[] {
  const { body } = wording;
  const path = ['body'];
  const issues = textIssues(body, { path, allowed: variablesOf(wording) });
  for (const variable of requiredIn(wording))
    if (!namesIn(body).includes(variable)) issues.push({ path, message: `expected {{${variable}}}` });
  if (wording.kind === 'CONFIRMATION' && wording.channel === 'SMS' && !tellsHowToOptOut(body))
    issues.push({ path, message: 'expected how to opt out, such as: Reply STOP to opt out' });
  return issues;
}

/** Who writes; and all visits that it is about, since several go out as one message. */
function requiredIn(of: Wording): readonly Variable[] {
  return variablesOf(of).includes('visits') ? ['clinicName', 'visits'] : ['clinicName'];
}

const VARIABLE = /\{\{\s*([^{}]*?)\s*\}\}/gu;

const namesIn = (text: string): string[] => [...text.matchAll(VARIABLE)].map(([, name = '']) => name);

function textIssues(text: string, { path, allowed }: { path: string[]; allowed: readonly Variable[] }): InputIssue[] {
  const issues: InputIssue[] = [];
  const known: readonly string[] = allowed;
  if (namesIn(text).some((name) => !known.includes(name)))
    issues.push({ path, message: `expected no variables but ${allowed.join(', ')}` });
  if (/[{}]/u.test(text.replaceAll(VARIABLE, '')))
    issues.push({ path, message: 'expected braces around variables only, such as {{clinicName}}' });
  if (asksToOptOutUnawares(text))
    issues.push({ path, message: 'expected no request to answer with a word that opts out, such as CANCEL' });
  if (namesRelativeDay(text)) issues.push({ path, message: 'expected dates, not days such as tomorrow' });
  return issues;
}

/** The values that take most room: the longest time that there is. */
function longestValues(clinic: Clinic, { language, channel }: Wording) {
  return valuesOf(clinic, { visits: [longestVisit(language, channel)], timeZone: LONGEST_ZONE, language, channel });
}

/** Where a clock has no abbreviation but an offset with half hours, as Lord Howe's; none is longer. */
const LONGEST_ZONE = 'Pacific/Chatham';

const longest = new Map<string, { startsAt: Temporal.Instant }>();

function longestVisit(language: Language, channel: Channel): { startsAt: Temporal.Instant } {
  const key = `${language} ${channel}`;
  let visit = longest.get(key);
  if (visit === undefined) longest.set(key, (visit = findLongest(language, channel)));
  return visit;
}

/** Of a year of evenings. */
function findLongest(language: Language, channel: Channel): { startsAt: Temporal.Instant } {
  const first = Temporal.ZonedDateTime.from(`2026-01-01T22:30[${LONGEST_ZONE}]`);
  const visits = Array.from({ length: 365 }, (_, days) => ({ startsAt: first.add({ days }).toInstant() }));
  const lengthOf = (visit: { startsAt: Temporal.Instant }) =>
    visitTimes([visit], { timeZone: LONGEST_ZONE, language, channel }).length;
  return visits.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a));
}
