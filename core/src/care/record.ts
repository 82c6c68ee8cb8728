/**
 * A patient's row: what is sealed in it and how it is opened.
 *
 * What identifies the patient is one sealed value, not five: a page of fifty patients opens fifty values. The
 * patient's own data key seals it, for this table, this column and this row, so it opens nowhere else.
 */
import { randomUUID } from 'node:crypto';
import type { Insertable } from 'kysely';
import type { Database } from '#platform/database';
import type { Scope } from '#platform/scope';
import { dateOf, instantOf } from '#platform/times';
import { type Key, type Vault, blindIndex, newDataKey, open, seal } from '#platform/vault';
import { type Facts, type Identity, NO_DETAILS } from './facts.ts';
import type { Patient, PatientDetails } from './patient.ts';
import type { PatientRow } from './tables.ts';

type Columns = Insertable<Database['patients']>;

/** The columns that hold each fact. */
const HELD_IN: { readonly [Fact in keyof Facts]: readonly (keyof FactColumns)[] } = {
  firstName: ['identity'],
  lastName: ['identity'],
  dateOfBirth: ['identity'],
  email: ['identity', 'email_index'],
  phone: ['identity', 'phone_index'],
  address: ['details'],
  furtherPhones: ['details'],
  notes: ['details'],
  externalId: ['external_id'],
  status: ['status'],
  timeZone: ['time_zone'],
  language: ['language'],
  preferences: ['preferences'],
};

type FactColumns = Pick<
  Columns,
  | 'external_id'
  | 'status'
  | 'time_zone'
  | 'language'
  | 'preferences'
  | 'identity'
  | 'details'
  | 'email_index'
  | 'phone_index'
>;

/** What {@link toPatient} reads. */
export const PATIENT_COLUMNS = [
  'id',
  'external_id',
  'status',
  'time_zone',
  'language',
  'preferences',
  'data_key',
  'identity',
  'version',
  'created_at',
  'updated_at',
  'deleted_at',
] as const;
export type PatientView = Pick<PatientRow, (typeof PATIENT_COLUMNS)[number]>;

export function toPatient({ vault }: Scope, row: PatientView): Patient {
  return withIdentity(row, openIdentity(vault, row));
}

export function withIdentity(row: PatientView, identity: Identity): Patient {
  return {
    id: row.id,
    externalId: row.external_id,
    ...identity,
    dateOfBirth: identity.dateOfBirth === null ? null : dateOf(identity.dateOfBirth),
    timeZone: row.time_zone,
    language: row.language,
    status: row.status,
    preferences: row.preferences,
    version: row.version,
    deletedAt: row.deleted_at && instantOf(row.deleted_at),
    createdAt: instantOf(row.created_at),
    updatedAt: instantOf(row.updated_at),
  };
}

export function openIdentity(vault: Vault, row: Pick<PatientRow, 'id' | 'data_key' | 'identity'>): Identity {
  return JSON.parse(openColumn(vault, row, 'identity')) as Identity;
}

export function openDetails(vault: Vault, row: Pick<PatientRow, 'id' | 'data_key' | 'details'>): PatientDetails {
  return row.details === null ? NO_DETAILS : (JSON.parse(openColumn(vault, row, 'details')) as PatientDetails);
}

export function factsOf({ vault }: Scope, row: PatientRow): Facts {
  return {
    ...openIdentity(vault, row),
    ...openDetails(vault, row),
    externalId: row.external_id,
    status: row.status,
    timeZone: row.time_zone,
    language: row.language,
    preferences: row.preferences,
  };
}

/** A new row, not yet in the index. */
export function newRow(scope: Scope, id: string, facts: Facts): Columns & { search_id: string } {
  const { key, wrapped } = newDataKey(scope.vault.ring, place('data_key', id));
  const now = scope.now.toString();
  return {
    id,
    data_key: wrapped,
    ...sealFacts(scope.vault, { id, key }, facts),
    search_id: newSearchId(),
    search_generation: 0,
    import_hash: null,
    version: 1,
    created_at: now,
    updated_at: now,
    deleted_at: null,
    erased_at: null,
  };
}

/** Only the columns that `changed` facts are held in: an actor may have no right to the others. */
export function changedColumns(
  { vault }: Scope,
  row: PatientRow,
  { facts, changed }: { facts: Facts; changed: readonly (keyof Facts)[] },
): Partial<FactColumns> {
  const all = sealFacts(vault, { id: row.id, key: keyOf(vault, row) }, facts);
  return Object.fromEntries(changed.flatMap((fact) => HELD_IN[fact]).map((column) => [column, all[column]]));
}

/** Random, so that it tells nothing, not even the order in which patients came. */
export const newSearchId = (): string => randomUUID();

export function forgetKey({ vault }: Scope, { id, data_key }: PatientRow): void {
  if (data_key !== null) vault.forget(place('data_key', id), data_key);
}

export const emailIndex = (vault: Vault, email: string): Buffer => blindIndex(vault, 'patients.email', email);
export const phoneIndex = (vault: Vault, phone: string): Buffer => blindIndex(vault, 'patients.phone', phone);

function sealFacts(vault: Vault, { id, key }: { id: string; key: Key }, facts: Facts): FactColumns {
  const { firstName, lastName, email, phone, dateOfBirth, address, furtherPhones, notes } = facts;
  const identity: Identity = { firstName, lastName, email, phone, dateOfBirth };
  const details: PatientDetails = { address, furtherPhones, notes };
  const empty = JSON.stringify(details) === JSON.stringify(NO_DETAILS);
  return {
    external_id: facts.externalId,
    status: facts.status,
    time_zone: facts.timeZone,
    language: facts.language,
    preferences: JSON.stringify(facts.preferences),
    identity: seal(key, place('identity', id), padded(identity)),
    details: empty ? null : seal(key, place('details', id), padded(details)),
    email_index: email === null ? null : emailIndex(vault, email),
    phone_index: phone === null ? null : phoneIndex(vault, phone),
  };
}

const PADDED_TO = 64;

/** JSON in steps of 64 bytes: how long a name is cannot be told from how long its sealed form is. */
export function padded(value: object | string): string {
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  return text + ' '.repeat(Math.ceil(bytes / PADDED_TO) * PADDED_TO - bytes);
}

function openColumn(
  vault: Vault,
  row: Pick<PatientRow, 'id' | 'data_key'> & Partial<Pick<PatientRow, 'identity' | 'details'>>,
  column: 'identity' | 'details',
): string {
  const sealed = row[column];
  if (!sealed) throw new Error('An erased patient cannot be opened');
  return open(keyOf(vault, row), place(column, row.id), sealed).toString('utf8');
}

export function keyOf(vault: Vault, { id, data_key }: Pick<PatientRow, 'id' | 'data_key'>): Key {
  if (data_key === null) throw new Error('An erased patient has no key');
  return vault.dataKey(place('data_key', id), data_key);
}

const place = (column: string, row: string) => ({ table: 'patients', column, row });
