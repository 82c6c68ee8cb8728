/** How resources refer to each other: the names that one goes by, and the name that a reference uses. */
import type { ResourceType } from './files.ts';
import { idIn, type MappingContext } from './mapping.ts';
import type { Identifier, Reference } from './resource.ts';

const SOCIAL_SECURITY = new Set(['http://hl7.org/fhir/sid/us-ssn', 'urn:oid:2.16.840.1.113883.4.1']);
const MAX_NAMES = 20;
const MAX_NAME_LENGTH = 500;

/** By what other resources may refer to this one: its id, and its identifiers. Nobody is called by a social security number. */
export function namesOf(
  type: ResourceType,
  { id, identifier }: { readonly id: string; readonly identifier: readonly Identifier[] },
  context: MappingContext,
): string[] {
  const tokens = identifier
    .filter(({ system }) => !SOCIAL_SECURITY.has(system ?? ''))
    .flatMap((entry) => tokenOf(entry) ?? [])
    .filter((token) => token.length <= MAX_NAME_LENGTH);
  return [`${type}/${idIn(context, id)}`, ...new Set(tokens)].slice(0, MAX_NAMES);
}

/** The name by which a reference calls its target; null when there is no reference. */
export function nameIn(
  reference: Reference | null | undefined,
  type: ResourceType,
  context: MappingContext,
): string | null {
  const literal = reference?.reference;
  // A reference that is there and cannot be followed must not look like none.
  if (literal) return literalName(literal, type, context) ?? literal;
  return reference?.identifier ? tokenOf(reference.identifier) : null;
}

/** `Organization/42`, also at the end of an address or with a version; `Organization?identifier=system|value`; `urn:uuid:…`. */
function literalName(literal: string, type: ResourceType, context: MappingContext): string | null {
  const id =
    new RegExp(`(?:^|/)${type}/([A-Za-z0-9\\-.]{1,64})(?:/_history/[^/]*)?$`).exec(literal) ??
    /^urn:uuid:([A-Za-z0-9-]{1,64})$/.exec(literal);
  if (id !== null) return `${type}/${idIn(context, id[1] ?? '')}`;
  const search = `${type}?identifier=`;
  return literal.startsWith(search) ? decoded(literal.slice(search.length)) : null;
}

function tokenOf({ system, value }: Identifier): string | null {
  return value ? `${system ?? ''}|${value}` : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
