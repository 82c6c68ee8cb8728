/** What an importer may bring into the directory. */
import { z } from 'zod';
import { isTimeZone } from '#platform/config';
import { isPrintable, NOT_PRINTABLE } from '#platform/input';
import { CARE_SERVICES } from './speciality.ts';

const words = (max: number) =>
  z
    .string()
    .trim()
    .min(1, 'expected text')
    .max(max, `expected at most ${max} characters`)
    .refine(isPrintable, NOT_PRINTABLE);

const text = words(200).nullish();
const externalId = words(200);
/** What a record is referred to by: `Organization/42`, `system|value`. */
const reference = words(500);
const phone = z
  .string()
  .regex(/^\+[1-9]\d{4,14}$/, 'expected a phone number in E.164, such as +12125550123')
  .nullish();
const email = z.email('expected an e-mail address').max(254, 'expected at most 254 characters').nullish();
const timeZone = z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York').nullish();

const address = z
  .object({
    lines: z.array(words(200)).max(5, 'expected at most 5 lines').readonly(),
    city: text,
    state: text,
    postalCode: text,
    country: text,
  })
  .nullish();

const active = z.boolean().default(true);
const named = {
  externalId,
  knownAs: z.array(reference).max(50, 'expected at most 50 names').default([]),
  name: words(300),
  phone,
  active,
};

export const Organization = z.object({ ...named, address });
export const Location = z.object({ ...named, address, timeZone, organization: reference.nullish() });
export const Provider = z.object({ ...named, email, timeZone });
export const ProviderRole = z.object({
  externalId,
  provider: reference,
  organization: reference.nullish(),
  location: reference.nullish(),
  specialityCode: z
    .string()
    .regex(/^[0-9A-Z]{10}$/, 'expected a code of the NUCC provider taxonomy such as 208D00000X')
    .nullish(),
  speciality: text,
  /** Those of the speciality unless given. */
  services: z.array(z.enum(CARE_SERVICES)).nullish(),
  phone,
  email,
  active,
});

export type ImportedOrganization = z.input<typeof Organization>;
export type ImportedLocation = z.input<typeof Location>;
export type ImportedProvider = z.input<typeof Provider>;
export type ImportedProviderRole = z.input<typeof ProviderRole>;
