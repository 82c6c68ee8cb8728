/** Everything about a patient that somebody may change, in one flat record. */
import { isDeepStrictEqual } from 'node:util';
import type { Scope } from '#platform/scope';
import { DEFAULT_PREFERENCES, type ParsedChanges } from './input.ts';
import type { PatientDetails, PatientStatus, Preferences } from './patient.ts';

export interface Identity {
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string | null;
  readonly phone: string | null;
  /** ISO. */
  readonly dateOfBirth: string | null;
}

export interface Facts extends Identity, PatientDetails {
  readonly externalId: string | null;
  readonly status: PatientStatus;
  readonly timeZone: string;
  readonly language: string;
  readonly preferences: Preferences;
}

export const NO_DETAILS: PatientDetails = { address: null, furtherPhones: [], notes: null };

export const FACTS: readonly (keyof Facts)[] = [
  'externalId',
  'firstName',
  'lastName',
  'email',
  'phone',
  'dateOfBirth',
  'timeZone',
  'language',
  'status',
  'preferences',
  'address',
  'furtherPhones',
  'notes',
];

/** What the name index is built from. */
const NAME: ReadonlySet<keyof Facts> = new Set<keyof Facts>(['firstName', 'lastName', 'dateOfBirth']);
export const isRename = (changed: readonly (keyof Facts)[]): boolean => changed.some((fact) => NAME.has(fact));

export const isDeath = (changed: readonly (keyof Facts)[], { status }: Pick<Facts, 'status'>): boolean =>
  changed.includes('status') && status === 'DECEASED';

/** The facts of a patient of whom only the name is known. */
export function defaults({ clinic }: Scope, { firstName, lastName }: { firstName: string; lastName: string }): Facts {
  return {
    firstName,
    lastName,
    externalId: null,
    email: null,
    phone: null,
    dateOfBirth: null,
    timeZone: clinic.timeZone,
    language: 'en',
    status: 'ACTIVE',
    preferences: DEFAULT_PREFERENCES,
    ...NO_DETAILS,
  };
}

/** What a patient may be without. Of the other facts, null says as little as leaving them out. */
const CLEARABLE: ReadonlySet<string> = new Set(['externalId', 'email', 'phone', 'dateOfBirth', 'address', 'notes']);

/** `before` with what the changes name; null clears. */
export function merged(before: Facts, changes: ParsedChanges): Facts {
  const { preferences, ...facts } = changes;
  return { ...before, ...named(facts), preferences: { ...before.preferences, ...named(preferences ?? {}) } };
}

function named(changes: object): object {
  const entries = Object.entries(changes);
  return Object.fromEntries(
    entries.filter(([fact, value]) => value !== undefined && (value !== null || CLEARABLE.has(fact))),
  );
}

/** The facts whose values differ. */
export function differences(before: Facts, after: Facts): (keyof Facts)[] {
  return FACTS.filter((fact) => !isDeepStrictEqual(before[fact], after[fact]));
}
