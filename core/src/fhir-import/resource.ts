/**
 * The parts of FHIR R4 resources that are read, and no other: what is not named here (race, ethnicity, identifiers
 * such as a social security number, a mother's maiden name) never gets past this file.
 */
import { z } from 'zod';
import { InvalidInput } from '#platform/errors';
import { parse } from '#platform/input';
import type { ResourceType } from './files.ts';

/** Where in a resource, as FHIRPath writes it (`Patient.name[0].family`), and what was expected there. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** A resource that is not taken. */
export class Refused extends Error {
  readonly issues: readonly Issue[];
  constructor(issues: readonly Issue[]) {
    super('Refused');
    this.issues = issues;
  }
}

/** Throws {@link Refused} with every issue; none of them repeats what stands there. */
export function parseResource<T extends z.ZodType>(type: ResourceType, schema: T, resource: unknown): z.output<T> {
  try {
    return parse(schema, resource);
  } catch (thrown) {
    if (!(thrown instanceof InvalidInput)) throw thrown;
    throw new Refused(thrown.issues.map(({ path, message }) => ({ path: toFhirPath(type, path), message })));
  }
}

function toFhirPath(type: ResourceType, path: readonly string[]): string {
  return path.reduce((whole, part) => (/^\d+$/.test(part) ? `${whole}[${part}]` : `${whole}.${part}`), type as string);
}

// PostgreSQL stores no NUL, UTF-8 no half of a surrogate pair, and no name or address has other control characters.
const CONTROL = /[^\P{Cc}\t\n\r]/u;

const text = z
  .string('expected text')
  .transform(withoutMojibake)
  .refine((value) => value.isWellFormed() && !CONTROL.test(value), 'expected text without control characters');

// What Windows writes as ’ or – and a careless export hands on as a control character of the same number.
const windows1252 = new TextDecoder('windows-1252');

function withoutMojibake(value: string): string {
  return value.replaceAll(/[\u0080-\u009f]/g, (character) =>
    windows1252.decode(Uint8Array.of(character.charCodeAt(0))),
  );
}

/** In JSON a list of primitives may have a null where only an extension stands. */
const texts = z.array(text.nullable(), 'expected a list').nullish();

const list = <T extends z.ZodType>(entry: T) =>
  z
    .array(entry, 'expected a list')
    .nullish()
    .transform((entries) => entries ?? []);

const flag = z.boolean('expected true or false').nullish();
const period = z.object({ end: text.nullish() }, 'expected a period').nullish();

const humanName = z.object(
  { use: text.nullish(), family: text.nullish(), given: texts, prefix: texts, suffix: texts, period },
  'expected a name',
);
const contactPoint = z.object(
  {
    system: text.nullish(),
    value: text.nullish(),
    use: text.nullish(),
    rank: z.number('expected a number').nullish(),
    period,
  },
  'expected a contact point',
);
const address = z.object(
  {
    use: text.nullish(),
    line: texts,
    city: text.nullish(),
    state: text.nullish(),
    postalCode: text.nullish(),
    country: text.nullish(),
    period,
  },
  'expected an address',
);
const codeable = z.object(
  {
    coding: list(
      z.object({ system: text.nullish(), code: text.nullish(), display: text.nullish() }, 'expected a coding'),
    ),
    text: text.nullish(),
  },
  'expected a concept',
);
const identifier = z.object({ system: text.nullish(), value: text.nullish() }, 'expected an identifier');
const reference = z.object({ reference: text.nullish(), identifier: identifier.nullish() }, 'expected a reference');

export type HumanName = z.output<typeof humanName>;
export type ContactPoint = z.output<typeof contactPoint>;
export type FhirAddress = z.output<typeof address>;
export type Codeable = z.output<typeof codeable>;
export type Identifier = z.output<typeof identifier>;
export type Reference = z.output<typeof reference>;

const base = <T extends ResourceType>(type: T) => ({
  resourceType: z.literal(type, `expected ${type}`),
  id: z
    .string('expected an id')
    .regex(/^[A-Za-z0-9\-.]{1,64}$/, 'expected 1 to 64 letters, digits, hyphens and full stops'),
});

export const Patient = z.object(
  {
    ...base('Patient'),
    active: flag,
    name: list(humanName),
    telecom: list(contactPoint),
    birthDate: text.nullish(),
    deceasedBoolean: flag,
    deceasedDateTime: text.nullish(),
    address: list(address),
    communication: list(z.object({ language: codeable.nullish(), preferred: flag }, 'expected a language')),
    link: list(z.object({ type: text.nullish() }, 'expected a link')),
  },
  'expected a FHIR resource',
);

export const Organization = z.object(
  {
    ...base('Organization'),
    identifier: list(identifier),
    active: flag,
    name: text.nullish(),
    telecom: list(contactPoint),
    address: list(address),
  },
  'expected a FHIR resource',
);

export const Location = z.object(
  {
    ...base('Location'),
    identifier: list(identifier),
    status: text.nullish(),
    name: text.nullish(),
    description: text.nullish(),
    telecom: list(contactPoint),
    address: address.nullish(),
    managingOrganization: reference.nullish(),
  },
  'expected a FHIR resource',
);

export const Practitioner = z.object(
  {
    ...base('Practitioner'),
    identifier: list(identifier),
    active: flag,
    name: list(humanName),
    telecom: list(contactPoint),
    address: list(address),
  },
  'expected a FHIR resource',
);

export const PractitionerRole = z.object(
  {
    ...base('PractitionerRole'),
    active: flag,
    period,
    practitioner: reference.nullish(),
    organization: reference.nullish(),
    location: list(reference),
    code: list(codeable),
    specialty: list(codeable),
    telecom: list(contactPoint),
  },
  'expected a FHIR resource',
);
