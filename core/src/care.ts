/**
 * Care: patients, and how they are found.
 *
 * What identifies a patient is sealed with the patient's own key before it reaches the database, and every look-up
 * works on keyed hashes or on the encrypted name index: a copy of the database tells nobody's name. A deleted patient
 * leaves every list and look-up; an erased one cannot be read by anybody again. Each read leaves an audit entry
 * with the ids it returned. Staff and the system reach every patient, a patient only their own record.
 */
import './care/tables.ts';
import type { Page, PageInput } from '#platform/page';
import type { KeyColumn } from '#platform/rotation';
import type { Scope } from '#platform/scope';
import type { ImportedPatient, NewPatient, PatientChanges } from './care/input.ts';
import type { ImportOutcome } from './care/import.ts';
import type { Patient, PatientDetails, PatientStatus } from './care/patient.ts';

export type { ImportedPatient, NewPatient, PatientChanges } from './care/input.ts';
export type { ImportOutcome } from './care/import.ts';
export type { Address, Channel, Patient, PatientDetails, PatientStatus, Preferences } from './care/patient.ts';
export { CHANNELS, PATIENT_STATUSES } from './care/patient.ts';
export { EmailTaken, ExternalIdTaken, SearchExpired, StalePatient } from './care/errors.ts';
export { normaliseEmail, normalisePhone } from './care/input.ts';

declare module '#platform/events' {
  interface Events {
    'patient.created': { patientId: string };
    'patient.updated': { patientId: string };
    'patient.deleted': { patientId: string };
    'patient.restored': { patientId: string };
    'patient.erased': { patientId: string };
  }
}

/** Where patients' data keys are, for `rotateKeys`. */
export const wrappedKeys: KeyColumn = { table: 'patients', column: 'data_key' };

const soon = () => new Error('This function is being written');

/** Creates a patient. Staff only. Throws InvalidInput, {@link EmailTaken}, {@link ExternalIdTaken}, IdempotencyMismatch, Forbidden. */
export async function createPatient(_scope: Scope, _input: NewPatient): Promise<Patient> {
  throw soon();
}

/**
 * Changes what `changes` names; null clears. A patient may change their own contact data and preferences only.
 * Throws NotFound, InvalidInput, {@link EmailTaken}, {@link ExternalIdTaken}, {@link StalePatient}, IdempotencyMismatch, Forbidden.
 */
export async function updatePatient(_scope: Scope, _id: string, _changes: PatientChanges): Promise<Patient> {
  throw soon();
}

export interface Repeatable {
  readonly idempotencyKey?: string | null | undefined;
}

/** Takes the patient out of every list and look-up and frees the e-mail address. Staff only. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function deletePatient(_scope: Scope, _id: string, _options: Repeatable = {}): Promise<Patient> {
  throw soon();
}

/** Brings a deleted patient back. Staff only. Throws NotFound (also when erased), {@link EmailTaken}, IdempotencyMismatch, Forbidden. */
export async function restorePatient(_scope: Scope, _id: string, _options: Repeatable = {}): Promise<Patient> {
  throw soon();
}

/** Destroys the patient's key and everything sealed with it, for good. Admins only. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function erasePatient(_scope: Scope, _id: string, _options: Repeatable = {}): Promise<void> {
  throw soon();
}

/** The live patient with this id. Throws NotFound, Forbidden. */
export async function getPatient(_scope: Scope, _id: string): Promise<Patient> {
  throw soon();
}

/** The live patient with this id, or null. Throws Forbidden. */
export async function findPatient(_scope: Scope, _id: string): Promise<Patient | null> {
  throw soon();
}

/** Address, further phones and notes of a live patient. Throws NotFound, Forbidden. */
export async function patientDetails(_scope: Scope, _id: string): Promise<PatientDetails> {
  throw soon();
}

/** Those of the ids that are live patients the caller may see, by id: one query and one audit entry, for loaders. Throws Forbidden. */
export async function patientsByIds(_scope: Scope, _ids: readonly string[]): Promise<ReadonlyMap<string, Patient>> {
  throw soon();
}

export interface PatientList extends PageInput {
  readonly status?: readonly PatientStatus[] | null | undefined;
}

/** Live patients in the order of their ids, oldest first. Staff only. Throws InvalidInput, Forbidden. */
export async function patients(_scope: Scope, _input: PatientList = {}): Promise<Page<Patient>> {
  throw soon();
}

export interface PatientSearch extends PageInput {
  /** Words of the name in any order, each at least its first letters; an ISO date of birth narrows. */
  readonly query: string;
}

/**
 * Live patients whose names begin with the words of the query, newest first, page by page over every match. When
 * none does, those whose names sound like it. Staff only. Throws InvalidInput (under two letters), {@link SearchExpired}, Forbidden.
 */
export async function searchPatients(_scope: Scope, _input: PatientSearch): Promise<Page<Patient>> {
  throw soon();
}

/** Every live patient with this phone number: families share one. Staff only. Throws InvalidInput, Forbidden. */
export async function patientsByPhone(_scope: Scope, _phone: string): Promise<Patient[]> {
  throw soon();
}

/** The live patient with this e-mail address, or null. Staff only. Throws InvalidInput, Forbidden. */
export async function patientByEmail(_scope: Scope, _email: string): Promise<Patient | null> {
  throw soon();
}

/** The live patient whom another system knows under this id, or null. Staff only. Throws Forbidden. */
export async function findByExternalId(_scope: Scope, _externalId: string): Promise<Patient | null> {
  throw soon();
}

export interface Registrant {
  readonly email?: string | null | undefined;
  readonly phone?: string | null | undefined;
  /** ISO. */
  readonly dateOfBirth: string;
}

/**
 * Live patients, the deceased left out, who have this e-mail address or this phone number and were born on that
 * day: whom a registration may be for, once they prove that the address or phone is theirs. For the system
 * only: call it with `asSystem(scope)`. Throws InvalidInput, Forbidden.
 */
export async function patientsToRegister(_scope: Scope, _registrant: Registrant): Promise<Patient[]> {
  throw soon();
}

/**
 * Creates or updates patients by external id, some hundreds at a time, in one transaction; a bad record is
 * refused by itself. The outcomes are in the order of the records. The same records again change nothing.
 * System and admins only. Throws Forbidden.
 */
export async function importPatients(_scope: Scope, _records: readonly ImportedPatient[]): Promise<ImportOutcome[]> {
  throw soon();
}

export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Builds the name index anew while reads and writes go on; started again after a crash it carries on. System and admins only. */
export async function rebuildSearchIndex(_scope: Scope, _onProgress?: (progress: Progress) => void): Promise<void> {
  throw soon();
}
