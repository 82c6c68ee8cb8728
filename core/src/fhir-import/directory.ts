/** From FHIR's Organization, Location, Practitioner and PractitionerRole to the records of the directory. */
import type { ImportedLocation, ImportedOrganization, ImportedProvider, ImportedProviderRole } from '#scheduling';
import { addressOf } from './address.ts';
import { contactOf } from './contact.ts';
import { idIn, isCurrent, type Mapped, type MappingContext } from './mapping.ts';
import { personName } from './names.ts';
import { nameIn, namesOf } from './reference.ts';
import {
  type Codeable,
  type Identifier,
  type Issue,
  Location,
  Organization,
  parseResource,
  Practitioner,
  PractitionerRole,
  Refused,
} from './resource.ts';

const NPI = 'http://hl7.org/fhir/sid/us-npi';
const NUCC = 'http://nucc.org/provider-taxonomy';

export function toOrganization(resource: unknown, context: MappingContext): Mapped<ImportedOrganization> {
  const { id, identifier, active, name, telecom, address } = parseResource('Organization', Organization, resource);
  const contact = contactOf(telecom, 'Organization.telecom', context);
  return {
    record: {
      externalId: idIn(context, id),
      knownAs: namesOf('Organization', { id, identifier }, context),
      name: required(name, 'Organization.name'),
      phone: contact.phone,
      address: addressOf(address, context.today)?.address ?? null,
      active: active ?? true,
    },
    warnings: contact.warnings,
    origin: { externalId: 'Organization.id', name: 'Organization.name', address: 'Organization.address' },
  };
}

export function toLocation(resource: unknown, context: MappingContext): Mapped<ImportedLocation> {
  const location = parseResource('Location', Location, resource);
  const contact = contactOf(location.telecom, 'Location.telecom', context);
  const placed = addressOf(location.address ? [location.address] : [], context.today);
  return {
    record: {
      externalId: idIn(context, location.id),
      knownAs: namesOf('Location', location, context),
      name: required(location.name ?? location.description, 'Location.name'),
      phone: contact.phone,
      address: placed?.address ?? null,
      timeZone: placed?.timeZone ?? null,
      organization: nameIn(location.managingOrganization, 'Organization', context),
      active: !location.status || location.status === 'active',
    },
    warnings: contact.warnings,
    origin: {
      externalId: 'Location.id',
      name: 'Location.name',
      address: 'Location.address',
      organization: 'Location.managingOrganization',
    },
  };
}

export function toProvider(resource: unknown, context: MappingContext): Mapped<ImportedProvider> {
  const practitioner = parseResource('Practitioner', Practitioner, resource);
  const contact = contactOf(practitioner.telecom, 'Practitioner.telecom', context);
  const npi = npiOf(practitioner.identifier);
  return {
    record: {
      externalId: npi.value ?? idIn(context, practitioner.id),
      knownAs: namesOf('Practitioner', practitioner, context),
      name: required(personName(practitioner.name, context.today)?.full, 'Practitioner.name'),
      phone: contact.phone,
      email: contact.email,
      timeZone: addressOf(practitioner.address, context.today)?.timeZone ?? null,
      active: practitioner.active ?? true,
    },
    warnings: [...contact.warnings, ...npi.warnings],
    origin: { externalId: npi.path ?? 'Practitioner.id', name: 'Practitioner.name', email: contact.emailAt },
  };
}

export function toProviderRole(resource: unknown, context: MappingContext): Mapped<ImportedProviderRole> {
  const role = parseResource('PractitionerRole', PractitionerRole, resource);
  const contact = contactOf(role.telecom, 'PractitionerRole.telecom', context);
  const speciality = specialityOf(role.specialty) ?? specialityOf(role.code);
  const provider = nameIn(role.practitioner, 'Practitioner', context);
  return {
    record: {
      externalId: idIn(context, role.id),
      provider: required(provider, 'PractitionerRole.practitioner'),
      organization: nameIn(role.organization, 'Organization', context),
      location: nameIn(role.location[0], 'Location', context),
      specialityCode: speciality?.code ?? null,
      speciality: speciality?.display ?? null,
      phone: contact.phone,
      email: contact.email,
      active: role.active !== false && isCurrent(role, context.today),
    },
    warnings: [...contact.warnings, ...(role.location.length > 1 ? [ONE_LOCATION] : [])],
    origin: {
      externalId: 'PractitionerRole.id',
      provider: 'PractitionerRole.practitioner',
      organization: 'PractitionerRole.organization',
      location: 'PractitionerRole.location[0]',
      specialityCode: 'PractitionerRole.specialty',
      speciality: 'PractitionerRole.specialty',
      email: contact.emailAt,
    },
  };
}

const ONE_LOCATION: Issue = { path: 'PractitionerRole.location', message: 'left out: locations beyond the first' };

function required(text: string | null | undefined, path: string): string {
  if (text) return text;
  throw new Refused([{ path, message: 'expected a value' }]);
}

interface Npi {
  readonly value: string | null;
  readonly path?: string;
  readonly warnings: readonly Issue[];
}

function npiOf(identifiers: readonly Identifier[]): Npi {
  const index = identifiers.findIndex(({ system }) => system === NPI);
  if (index === -1) return { value: null, warnings: [] };
  const path = `Practitioner.identifier[${index}].value`;
  const value = identifiers[index]?.value ?? '';
  if (/^\d{10}$/.test(value)) return { value, path, warnings: [] };
  return { value: null, warnings: [{ path, message: 'left out: expected an NPI of ten digits' }] };
}

interface Speciality {
  readonly code: string | null;
  readonly display: string | null;
}

/** The first one with a code of the taxonomy, else the first one's words. */
function specialityOf(concepts: readonly Codeable[]): Speciality | null {
  const coded = concepts.flatMap(({ coding, text }) =>
    coding.flatMap(({ system, code, display }) =>
      system === NUCC && code ? { code, display: display ?? text ?? null } : [],
    ),
  );
  const worded = concepts.flatMap(({ coding, text }) => text ?? coding[0]?.display ?? []);
  return coded[0] ?? (worded[0] ? { code: null, display: worded[0] } : null);
}
