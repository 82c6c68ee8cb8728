/** Phones and e-mail addresses: the one to use first, the others, and what is left out. */
import { z } from 'zod';
import * as care from '#care';
import { bestFirst, type Entry, isCurrent, type MappingContext, rankIn } from './mapping.ts';
import type { ContactPoint, Issue } from './resource.ts';

export interface Contact {
  readonly email: string | null;
  readonly emailAt: string;
  /** E.164. */
  readonly phone: string | null;
  readonly phoneAt: string;
  readonly furtherPhones: readonly string[];
  readonly warnings: readonly Issue[];
}

const MAX_FURTHER_PHONES = 10;
const PATIENT_USES = ['mobile', 'home', 'other', 'temp', 'work'];
const WORK_USES = ['work', 'other', 'mobile', 'temp', 'home'];
const NO_RANK = Number.MAX_SAFE_INTEGER;
const Email = z.email();

/**
 * What is out of use is passed over in silence; what is no number or no address is left out with a warning.
 * `path` is where the list stands: `Patient.telecom`.
 */
export function contactOf(telecom: readonly ContactPoint[], path: string, context: MappingContext): Contact {
  const uses = path === 'Patient.telecom' ? PATIENT_USES : WORK_USES;
  const ranked = bestFirst(telecom, ({ use, rank }) => [rankIn(uses, use), rank ?? NO_RANK]).filter(
    ({ value }) => (value.value ?? '').trim() !== '' && isCurrent(value, context.today),
  );
  const warnings: Issue[] = [];
  const usable = (systems: readonly string[], normalise: (text: string) => string | null, expected: string) =>
    ranked
      .filter(({ value }) => systems.includes(value.system ?? ''))
      .flatMap(({ value, index }): Entry<string>[] => {
        const normal = normalise(value.value ?? '');
        if (normal !== null) return [{ value: normal, index }];
        warnings.push({ path: `${path}[${index}].value`, message: `left out: expected ${expected}` });
        return [];
      });

  const phones = usable(['phone', 'sms'], (text) => toPhone(text, context.region), 'a valid phone number');
  const emails = usable(['email'], toEmail, 'an e-mail address');
  const distinct = [...new Set(phones.map(({ value }) => value))];
  if (distinct.length > MAX_FURTHER_PHONES + 1) {
    warnings.push({ path, message: `left out: phones beyond the first ${MAX_FURTHER_PHONES + 1}` });
  }
  const at = (entry: Entry<string> | undefined) => (entry ? `${path}[${entry.index}].value` : path);
  return {
    email: emails[0]?.value ?? null,
    emailAt: at(emails[0]),
    phone: phones[0]?.value ?? null,
    phoneAt: at(phones[0]),
    furtherPhones: distinct.slice(1, MAX_FURTHER_PHONES + 1),
    warnings,
  };
}

const MAX_PHONE_LENGTH = 50;

function toPhone(text: string, region: string): string | null {
  return text.length > MAX_PHONE_LENGTH ? null : care.normalisePhone(text.replace(/^tel:/i, ''), region);
}

function toEmail(text: string): string | null {
  const email = care.normaliseEmail(text.replace(/^mailto:/i, ''));
  return email.length <= 254 && Email.safeParse(email).success ? email : null;
}
