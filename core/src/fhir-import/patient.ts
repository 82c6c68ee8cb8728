/** From a FHIR Patient to a patient of ours. */
import type { ImportedPatient, PatientStatus } from '#care';
import type { z } from 'zod';
import { addressOf } from './address.ts';
import { contactOf } from './contact.ts';
import { idIn, type Mapped, type MappingContext } from './mapping.ts';
import { personName } from './names.ts';
import { type Issue, parseResource, Patient, Refused } from './resource.ts';

type FhirPatient = z.output<typeof Patient>;

/** Throws Refused: without a whole name, or with a date of birth that does not exist, nobody is told from others. */
export function toPatient(resource: unknown, context: MappingContext): Mapped<ImportedPatient> {
  const patient = parseResource('Patient', Patient, resource);
  const name = personName(patient.name, context.today);
  if (name === null) throw new Refused([{ path: 'Patient.name', message: 'expected a family and a given name' }]);
  const contact = contactOf(patient.telecom, 'Patient.telecom', context);
  const placed = addressOf(patient.address, context.today);
  const born = birthDateOf(patient);
  const spoken = languageOf(patient);

  return {
    record: {
      externalId: idIn(context, patient.id),
      firstName: name.given,
      lastName: name.family,
      email: contact.email,
      phone: contact.phone,
      furtherPhones: [...contact.furtherPhones],
      dateOfBirth: born.dateOfBirth,
      timeZone: placed?.timeZone ?? null,
      language: spoken.language,
      status: statusOf(patient),
      address: placed ? { ...placed.address, lines: [...placed.address.lines] } : null,
    },
    warnings: [...contact.warnings, ...born.warnings, ...spoken.warnings, ...linkWarnings(patient)],
    origin: {
      externalId: 'Patient.id',
      firstName: `Patient.name[${name.index}].given`,
      lastName: `Patient.name[${name.index}].family`,
      email: contact.emailAt,
      phone: contact.phoneAt,
      furtherPhones: 'Patient.telecom',
      dateOfBirth: 'Patient.birthDate',
      language: 'Patient.communication',
      address: `Patient.address[${placed?.index}]`,
    },
  };
}

interface Born {
  readonly dateOfBirth: string | null;
  readonly warnings: readonly Issue[];
}

function birthDateOf({ birthDate }: FhirPatient): Born {
  const path = 'Patient.birthDate';
  if (!birthDate) return { dateOfBirth: null, warnings: [] };
  if (/^\d{4}(-(0[1-9]|1[0-2]))?$/.test(birthDate)) {
    return { dateOfBirth: null, warnings: [{ path, message: 'left out: expected the day of birth too' }] };
  }
  if (!isDate(birthDate)) throw new Refused([{ path, message: 'expected a date that exists, such as 1980-03-08' }]);
  return { dateOfBirth: birthDate, warnings: [] };
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  try {
    Temporal.PlainDate.from(text);
    return true;
  } catch {
    return false;
  }
}

/** Whoever is said to have died gets no messages, even when the time of death is not legible. */
function statusOf({ deceasedBoolean, deceasedDateTime, active, link }: FhirPatient): PatientStatus {
  if (deceasedBoolean === true || deceasedDateTime) return 'DECEASED';
  return active === false || link.some(({ type }) => type === 'replaced-by') ? 'INACTIVE' : 'ACTIVE';
}

interface Spoken {
  readonly language: string | null;
  readonly warnings: readonly Issue[];
}

/** The preferred language, else the first one. */
function languageOf({ communication }: FhirPatient): Spoken {
  const index = Math.max(
    communication.findIndex(({ preferred }) => preferred === true),
    0,
  );
  const coding = communication[index]?.language?.coding ?? [];
  for (const { code } of coding) {
    const language = canonical(code ?? '');
    if (language !== null) return { language, warnings: [] };
  }
  if (communication.length === 0) return { language: null, warnings: [] };
  const path = `Patient.communication[${index}].language`;
  return { language: null, warnings: [{ path, message: 'left out: expected a BCP 47 code such as en or es-MX' }] };
}

const MAX_TAG = 35;

function canonical(tag: string): string | null {
  if (tag === '' || tag.length > MAX_TAG) return null;
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? null;
  } catch {
    return null;
  }
}

const LINKS: Readonly<Record<string, string>> = {
  'replaced-by': 'another record replaces this one: kept as inactive, not merged',
  replaces: 'this record replaces another one: not merged',
};

function linkWarnings({ link }: FhirPatient): Issue[] {
  return link.flatMap(({ type }, index) => {
    const message = LINKS[type ?? ''];
    return message === undefined ? [] : [{ path: `Patient.link[${index}]`, message }];
  });
}
