/** What callers may send about a patient, and how it is brought into its one normal form. */
import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { z } from 'zod';
import { isTimeZone } from '#platform/config';
import { InvalidInput, type InputIssue } from '#platform/errors';
import { isPrintable, NOT_PRINTABLE, parse } from '#platform/input';
import type { Scope } from '#platform/scope';
import { CHANNELS, PATIENT_STATUSES, type Preferences } from './patient.ts';

/** NFKC, without surrounding space, in lower case: the form that is stored, compared and indexed. */
export function normaliseEmail(text: string): string {
  return text.normalize('NFKC').trim().toLowerCase();
}

/** Area code 555 is assigned to nobody. Invented patients have such numbers, and no message to one reaches a person. */
const INVENTED_PHONE = /^\+1555\d{7}$/;

/** E.164, or null when it is no valid number. `region` reads numbers without a country code. */
export function normalisePhone(text: string, region: string): string | null {
  const number = parsePhoneNumberFromString(text.normalize('NFKC'), region as CountryCode);
  return number && (number.isValid() || INVENTED_PHONE.test(number.number)) ? number.number : null;
}

const MAX_NAME_WORDS = 16;

const name = z
  .string()
  .transform((text) => text.normalize('NFC').trim().replaceAll(/\s+/g, ' '))
  .pipe(
    z
      .string()
      .min(1, 'expected a name')
      .max(100, 'expected at most 100 characters')
      .refine((text) => text === '' || /\p{L}/u.test(text), 'expected letters')
      .refine(isPrintable, NOT_PRINTABLE)
      .refine((text) => text.split(/[\s\p{Pd}]/u).length <= MAX_NAME_WORDS, `expected at most ${MAX_NAME_WORDS} words`),
  );

const email = z
  .string()
  .transform(normaliseEmail)
  .pipe(z.email('expected an e-mail address').max(254, 'expected at most 254 characters'));

const phone = (region: string) =>
  z
    .string()
    .max(50, 'expected at most 50 characters')
    .transform((text, context) => {
      const number = normalisePhone(text, region);
      if (number !== null) return number;
      context.addIssue({ code: 'custom', message: 'expected a valid phone number' });
      return z.NEVER;
    });

const EARLIEST_BIRTH = '1850-01-01';

const dateOfBirth = z.iso
  .date('expected a date such as 1980-03-08')
  .refine((date) => date >= EARLIEST_BIRTH, 'expected a date of birth after 1850');

const language = z.string().transform((tag, context) => {
  try {
    const [canonical] = tag.length <= 35 ? Intl.getCanonicalLocales(tag) : [];
    if (canonical !== undefined) return canonical;
  } catch {
    // Falls through to the issue.
  }
  context.addIssue({ code: 'custom', message: 'expected a BCP 47 language tag such as en or es-MX' });
  return z.NEVER;
});

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time of day such as 20:00');

const preferences = z.object({
  channels: z
    .array(z.enum(CHANNELS))
    .refine((channels) => new Set(channels).size === channels.length, 'expected each channel at most once')
    .nullish(),
  quietHours: z.object({ from: timeOfDay, to: timeOfDay }).nullish(),
});

export const DEFAULT_PREFERENCES: Preferences = {
  channels: ['SMS', 'EMAIL', 'VOICE'],
  quietHours: { from: '20:00', to: '09:00' },
};

const line = z
  .string()
  .trim()
  .min(1, 'expected text')
  .max(200, 'expected at most 200 characters')
  .refine(isPrintable, NOT_PRINTABLE);

const address = z.object({
  lines: z.array(line).max(5, 'expected at most 5 lines').default([]),
  city: line.nullish().transform((value) => value ?? null),
  state: line.nullish().transform((value) => value ?? null),
  postalCode: line.nullish().transform((value) => value ?? null),
  country: line.nullish().transform((value) => value ?? null),
});

const externalId = z
  .string()
  .trim()
  .min(1, 'expected an id')
  .max(200, 'expected at most 200 characters')
  .refine(isPrintable, NOT_PRINTABLE);
export const isExternalId = (text: string): boolean => externalId.safeParse(text).success;

const timeZone = z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York');

/** The fields that may be left out, given, or given as null to say that there is none. */
const optional = (region: string) => ({
  externalId: externalId.nullish(),
  email: email.nullish(),
  phone: phone(region).nullish(),
  dateOfBirth: dateOfBirth.nullish(),
  timeZone: timeZone.nullish(),
  language: language.nullish(),
  preferences: preferences.nullish(),
  status: z.enum(PATIENT_STATUSES).nullish(),
  address: address.nullish(),
  furtherPhones: z.array(phone(region)).max(10, 'expected at most 10 phones').nullish(),
  notes: z
    .string()
    .trim()
    .max(10_000, 'expected at most 10000 characters')
    .refine((text) => text.isWellFormed(), 'expected no half of a character')
    .nullish(),
});

const idempotencyKey = z.string().min(1).max(200).refine(isPrintable, NOT_PRINTABLE).nullish();

function schemasOf(region: string) {
  const names = { firstName: name, lastName: name };
  return {
    new: z.object({ ...names, ...optional(region), idempotencyKey }),
    changes: z.object({
      firstName: name.optional(),
      lastName: name.optional(),
      ...optional(region),
      /** The version that the caller has seen; a newer one makes the change fail. */
      version: z.int().nullish(),
      idempotencyKey,
    }),
    imported: z.object({ ...names, ...optional(region), externalId }),
    phone: z.object({ phone: phone(region) }),
  };
}

type Schemas = ReturnType<typeof schemasOf>;
export type NewPatient = z.input<Schemas['new']>;
export type PatientChanges = z.input<Schemas['changes']>;
export type ImportedPatient = z.input<Schemas['imported']>;
export type ParsedPatient = z.output<Schemas['new']>;
export type ParsedChanges = z.output<Schemas['changes']>;
export type ParsedImport = z.output<Schemas['imported']>;

const byRegion = new Map<string, Schemas>();

function schemasFor({ clinic }: Scope): Schemas {
  let schemas = byRegion.get(clinic.region);
  if (!schemas) byRegion.set(clinic.region, (schemas = schemasOf(clinic.region)));
  return schemas;
}

export function parseNewPatient(scope: Scope, input: unknown): ParsedPatient {
  return parseBorn(scope, schemasFor(scope).new, input);
}

export function parseChanges(scope: Scope, input: unknown): ParsedChanges {
  return parseBorn(scope, schemasFor(scope).changes, input);
}

export function parseImported(scope: Scope, input: unknown): ParsedImport {
  return parseBorn(scope, schemasFor(scope).imported, input);
}

/** E.164. Throws {@link InvalidInput} at path `phone`. */
export function parsePhone(scope: Scope, text: unknown): string {
  return parse(schemasFor(scope).phone, { phone: text }).phone;
}

/** Normalised. Throws {@link InvalidInput} at path `email`. */
export function parseEmail(text: unknown): string {
  return parse(z.object({ email }), { email: text }).email;
}

/** Nobody is born tomorrow, wherever on earth it is tomorrow already. Reported along with all other issues. */
function parseBorn<T extends z.ZodType>(scope: Scope, schema: T, input: unknown): z.output<T> {
  const issues: InputIssue[] = [];
  const born = (input as { dateOfBirth?: unknown } | null)?.dateOfBirth;
  if (typeof born === 'string' && born > scope.now.toZonedDateTimeISO('Pacific/Kiritimati').toPlainDate().toString()) {
    issues.push({ path: ['dateOfBirth'], message: 'expected a date that is not in the future' });
  }
  try {
    const value = parse(schema, input);
    if (issues.length === 0) return value;
  } catch (thrown) {
    if (!(thrown instanceof InvalidInput)) throw thrown;
    issues.push(...thrown.issues.filter(({ path }) => issues.length === 0 || path[0] !== 'dateOfBirth'));
  }
  throw new InvalidInput(issues);
}
