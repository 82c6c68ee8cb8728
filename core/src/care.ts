/**
 * Care: patients, and how they are found.
 *
 * What identifies a patient is sealed with the patient's own key before it reaches the database, and every look-up
 * works on keyed hashes or on the encrypted name index: a copy of the database tells nobody's name. A deleted patient
 * leaves every list and look-up; an erased one cannot be read by anybody again. Each read leaves an audit entry
 * with the ids it returned. Staff and the system reach every patient, a patient only their own record.
 */
import './care/tables.ts';
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { onViolation } from '#platform/database';
import { NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { forgetKeysOf, type Once, once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { PageInput, decodeCursor, toPage, type Page } from '#platform/page';
import type { KeyColumn } from '#platform/rotation';
import { type Scope, afterCommit, asSystem, transact } from '#platform/scope';
import { EmailTaken, ExternalIdTaken, StalePatient } from './care/errors.ts';
import { FACTS, defaults, differences, isDeath, isRename, merged } from './care/facts.ts';
import {
  type NewPatient,
  type ParsedChanges,
  type PatientChanges,
  isExternalId,
  parseChanges,
  parseEmail,
  parseNewPatient,
  parsePhone,
} from './care/input.ts';
import { liveByEmail, liveByExternalId, liveById, liveByIds, liveByPhone } from './care/look-ups.ts';
import { PATIENT_STATUSES, type Patient, type PatientDetails, type PatientStatus } from './care/patient.ts';
import { mayReach, permitAdmin, permitChange, permitReader, permitRecord, permitStaff } from './care/policy.ts';
import {
  PATIENT_COLUMNS,
  type PatientView,
  changedColumns,
  emailIndex,
  factsOf,
  forgetKey,
  newRow,
  newSearchId,
  openDetails,
  openIdentity,
  phoneIndex,
  toPatient,
} from './care/record.ts';
import { findByName, parseQuery } from './care/search.ts';
import { addToIndex, newest, useIndex } from './care/search-index.ts';
import type { PatientRow } from './care/tables.ts';

export type { ImportedPatient, NewPatient, PatientChanges } from './care/input.ts';
export { type ImportOutcome, importPatients } from './care/import.ts';
export { type AgeAsked, ageBandsOf } from './care/age-bands.ts';
export { type Contact, contactsOf, openContacts, type SealedContacts } from './care/contacts.ts';
export { holdPatient, keysOf, type PatientKey, type Standing, standingOf } from './care/keys.ts';
export { memberIdsOf } from './care/member-ids.ts';
export { patientsOnRecord } from './care/on-record.ts';
export { type Progress, rebuildSearchIndex } from './care/rebuild.ts';
export type { Address, Channel, Patient, PatientDetails, PatientStatus, Preferences } from './care/patient.ts';
export { CHANNELS, PATIENT_STATUSES } from './care/patient.ts';
export {
  EmailTaken,
  EmailUnproven,
  ExternalIdTaken,
  PhoneUnproven,
  SearchExpired,
  StalePatient,
} from './care/errors.ts';
export { normaliseEmail, normalisePhone } from './care/input.ts';

declare module '#platform/events' {
  interface Events {
    'patient.created': { patientId: string };
    'patient.updated': { patientId: string };
    /** Besides `patient.updated`. */
    'patient.deceased': { patientId: string };
    'patient.deleted': { patientId: string };
    'patient.restored': { patientId: string };
    'patient.erased': { patientId: string };
  }
}

/** Where patients' data keys are, for `rotateKeys`. */
export const wrappedKeys: KeyColumn = { table: 'patients', column: 'data_key' };

const PATIENT = { resourceType: 'Patient' } as const;

/**
 * Creates a patient. Staff only. Throws InvalidInput, {@link EmailTaken}, {@link ExternalIdTaken}, NotFound (a repeat,
 * at the moment of an erasure), IdempotencyMismatch, Forbidden.
 */
export async function createPatient(scope: Scope, input: NewPatient): Promise<Patient> {
  const { idempotencyKey: key, ...fields } = parseNewPatient(scope, input);
  const action = 'patient.create';
  await permitStaff(scope, action);

  return transact(scope, (scope) =>
    repeatable(scope, { key, operation: action, input: fields }, async () => {
      const generations = await useIndex(scope);
      const facts = merged(defaults(scope, fields), fields);
      const row = await scope.db
        .insertInto('patients')
        .values({ ...newRow(scope, randomUUIDv7(), facts), search_generation: newest(generations) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(whenTaken);
      const changedFields = FACTS.filter((fact) => fact in fields);
      await audit.record(scope, { action, ...PATIENT, resourceId: row.id, changedFields });
      await emit(scope, 'patient.created', { patientId: row.id });
      await addToIndex(scope, generations, [{ searchId: row.search_id as string, name: facts }]);
      return toPatient(scope, row);
    }),
  );
}

/**
 * Changes what `changes` names; null clears. A patient may change their own contact data and preferences only, and of
 * e-mail address and first phone only clear them. Throws NotFound, InvalidInput, {@link EmailUnproven},
 * {@link PhoneUnproven}, {@link EmailTaken}, {@link ExternalIdTaken}, {@link StalePatient}, IdempotencyMismatch, Forbidden.
 */
export async function updatePatient(scope: Scope, patientId: string, changes: PatientChanges): Promise<Patient> {
  const id = idOf(patientId);
  const { idempotencyKey: key, version, ...fields } = parseChanges(scope, changes);
  const action = 'patient.update';
  await permitRecord(scope, id, action);
  await permitChange(scope, id, fields);

  return transact(scope, (scope) =>
    repeatable(scope, { key, operation: action, input: { id, version, ...fields } }, () =>
      change(scope, id, { version, ...fields }),
    ),
  );
}

/** What a code that was sent there has proven to be the patient's. */
export type ProvenContact = { readonly email: string } | { readonly phone: string };

/**
 * Writes a new e-mail address or first phone into the patient's record. That it is theirs is for the caller to have
 * proven. Throws NotFound, InvalidInput, {@link EmailTaken}, Forbidden.
 */
export async function writeProvenContact(scope: Scope, patientId: string, contact: ProvenContact): Promise<Patient> {
  const id = idOf(patientId);
  const changes = parseChanges(scope, contact);
  await permitRecord(scope, id, 'patient.update');
  return transact(scope, (scope) => change(scope, id, changes));
}

async function change(scope: Scope, id: string, { version, ...fields }: ParsedChanges): Promise<Patient> {
  const named = FACTS.filter((fact) => fields[fact] !== undefined);
  const generations = isRename(named) ? await useIndex(scope) : null;
  const row = await lockLive(scope, id);
  if (version !== null && version !== undefined && version !== row.version) throw new StalePatient(row.version);
  const before = factsOf(scope, row);
  const facts = merged(before, fields);
  const changedFields = differences(before, facts);
  await audit.record(scope, { action: 'patient.update', ...PATIENT, resourceId: id, changedFields });
  if (changedFields.length === 0) return toPatient(scope, row);

  const renamed = isRename(changedFields) ? generations : null;
  const updated = await scope.db
    .updateTable('patients')
    .set({
      ...changedColumns(scope, row, { facts, changed: changedFields }),
      ...(renamed && { search_id: newSearchId(), search_generation: newest(renamed) }),
      version: row.version + 1,
      updated_at: scope.now.toString(),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(whenTaken);
  await emit(scope, 'patient.updated', { patientId: id });
  if (isDeath(changedFields, facts)) await emit(scope, 'patient.deceased', { patientId: id });
  if (renamed) await addToIndex(scope, renamed, [{ searchId: updated.search_id as string, name: facts }]);
  return toPatient(scope, updated);
}

export interface Repeatable {
  readonly idempotencyKey?: string | null | undefined;
}

/**
 * Takes the patient out of every list and look-up and frees the e-mail address. What else follows from it, such as
 * the cancelling of visits, is a reaction to `patient.deleted` in the same transaction. Staff only.
 * Throws NotFound, IdempotencyMismatch, Forbidden.
 */
export async function deletePatient(
  scope: Scope,
  patientId: string,
  { idempotencyKey }: Repeatable = {},
): Promise<Patient> {
  const id = idOf(patientId);
  const action = 'patient.delete';
  await permitStaff(scope, action);

  return transact(scope, (scope) =>
    repeatable(scope, { key: idempotencyKey, operation: action, input: { id } }, async () => {
      const row = await lockLive(scope, id);
      const patient = await setDeleted(scope, row, scope.now.toString());
      await audit.record(scope, { action, ...PATIENT, resourceId: id, changedFields: ['deletedAt'] });
      await emit(scope, 'patient.deleted', { patientId: id });
      return patient;
    }),
  );
}

/**
 * Brings a deleted patient back. Staff only. Throws NotFound (also when erased), {@link EmailTaken},
 * IdempotencyMismatch, Forbidden.
 */
export async function restorePatient(
  scope: Scope,
  patientId: string,
  { idempotencyKey }: Repeatable = {},
): Promise<Patient> {
  const id = idOf(patientId);
  const action = 'patient.restore';
  await permitStaff(scope, action);

  return transact(scope, (scope) =>
    repeatable(scope, { key: idempotencyKey, operation: action, input: { id } }, async () => {
      const row = await lock(scope, id);
      if (row.deleted_at === null) throw new NotFound('Deleted patient');
      const patient = await setDeleted(scope, row, null).catch(whenTaken);
      await audit.record(scope, { action, ...PATIENT, resourceId: id, changedFields: ['deletedAt'] });
      await emit(scope, 'patient.restored', { patientId: id });
      return patient;
    }),
  );
}

/**
 * Destroys the patient's key and everything sealed with it, for good, and the hashes and the external id it could be
 * found by, and the idempotency keys it was written under. What remains names nobody: the row with its id, status,
 * settings and times. Who is brought again, by hand or by an import, is a new patient. Admins only.
 * Throws NotFound (also when erased already), IdempotencyMismatch, Forbidden.
 */
export async function erasePatient(
  scope: Scope,
  patientId: string,
  { idempotencyKey }: Repeatable = {},
): Promise<void> {
  const id = idOf(patientId);
  const action = 'patient.erase';
  await permitAdmin(scope, action);

  await transact(scope, (scope) =>
    once(scope, { key: idempotencyKey, operation: action, input: { id } }, async () => {
      const row = await lock(scope, id);
      const now = scope.now.toString();
      await scope.db
        .updateTable('patients')
        .set({ data_key: null, identity: null, details: null, email_index: null, phone_index: null, search_id: null })
        .set({ external_id: null, import_hash: null, erased_at: now, updated_at: now, version: row.version + 1 })
        .set({ deleted_at: row.deleted_at === null ? now : row.deleted_at.toISOString() })
        .where('id', '=', id)
        .execute();
      await transact(asSystem(scope), (scope) => forgetKeysOf(scope, { resultId: id }));
      afterCommit(scope, () => forgetKey(scope, row));
      await audit.record(scope, { action, ...PATIENT, resourceId: id });
      await emit(scope, 'patient.erased', { patientId: id });
      return id;
    }),
  );
}

/** The live patient with this id. Throws NotFound, Forbidden. */
export async function getPatient(scope: Scope, id: string): Promise<Patient> {
  const patient = await findPatient(scope, id);
  if (patient === null) throw new NotFound('Patient');
  return patient;
}

/** The live patient with this id, or null. Throws Forbidden. */
export async function findPatient(scope: Scope, patientId: string): Promise<Patient | null> {
  const id = idOf(patientId);
  const action = 'patient.read';
  try {
    await permitRecord(scope, id, action);
  } catch (thrown) {
    if (thrown instanceof NotFound) return null;
    throw thrown;
  }

  return transact(scope, async (scope) => {
    const [row] = await liveById(scope.db, { id });
    if (row === undefined) return null;
    await audit.record(scope, { action, ...PATIENT, resourceId: id });
    return toPatient(scope, row);
  });
}

/** Address, further phones and notes of a live patient. Throws NotFound, Forbidden. */
export async function patientDetails(scope: Scope, patientId: string): Promise<PatientDetails> {
  const id = idOf(patientId);
  const action = 'patient.readDetails';
  await permitRecord(scope, id, action);

  return transact(scope, async (scope) => {
    const row = await scope.db
      .selectFrom('patients')
      .select(['id', 'data_key', 'details'])
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirstOrThrow(() => new NotFound('Patient'));
    await audit.record(scope, { action, ...PATIENT, resourceId: id });
    return openDetails(scope.vault, row);
  });
}

/**
 * Those of the ids that are live patients the caller may see, by id: one query and one audit entry, for loaders.
 * Throws Forbidden.
 */
export async function patientsByIds(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Patient>> {
  const action = 'patient.read';
  await permitReader(scope, action);
  const known = ids.filter(isUuid).map(idOf);
  const reachable = known.filter((id) => mayReach(scope.actor, id));

  return transact(scope, async (scope) => {
    const foreign = known.filter((id) => !mayReach(scope.actor, id));
    if (foreign.length > 0) await audit.record(scope, { action, ...PATIENT, resourceIds: foreign, outcome: 'DENIED' });
    const found = await shown(scope, action, await liveByIds(scope.db, { ids: reachable }));
    return new Map(found.map((patient) => [patient.id, patient]));
  });
}

const PatientList = PageInput.extend({ status: z.array(z.enum(PATIENT_STATUSES)).nullish() });
export type PatientList = z.input<typeof PatientList>;

/** Live patients in the order of their ids, oldest first. Staff only. Throws InvalidInput, Forbidden. */
export async function patients(scope: Scope, input: PatientList = {}): Promise<Page<Patient>> {
  const { first, after, status } = parse(PatientList, input);
  const [id] = after === null ? [null] : decodeCursor(after, z.tuple([z.uuid()]));
  const action = 'patient.list';
  await permitStaff(scope, action);

  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('patients')
      .select(PATIENT_COLUMNS)
      .where('deleted_at', 'is', null)
      .$if(id !== null, (rows) => rows.where('id', '>', id as string))
      .$if(Boolean(status), (rows) => rows.where('status', '=', sql<PatientStatus>`any(${status})`))
      .orderBy('id')
      .limit(first + 1)
      .execute();
    const page = toPage(rows, first, { node: (row) => toPatient(scope, row), key: (row) => [row.id] });
    await audit.record(scope, { action, ...PATIENT, resourceIds: page.items.map(({ node }) => node.id) });
    return page;
  });
}

const PatientSearch = PageInput.extend({ query: z.string() });
/**
 * `query`: words of the name in any order, each at least its first letters; a date of birth narrows, in ISO form or in
 * that of the clinic’s country.
 */
export type PatientSearch = z.input<typeof PatientSearch>;

/**
 * Live patients whose names begin with the words of the query, newest first, page by page over every match. When
 * none does, those whose names sound like it. Staff only.
 * Throws InvalidInput (also under two letters), {@link SearchExpired}, Forbidden.
 */
export async function searchPatients(scope: Scope, input: PatientSearch): Promise<Page<Patient>> {
  const { query: text, first, after } = parse(PatientSearch, input);
  const query = parseQuery(scope, text);
  const action = 'patient.search';
  await permitStaff(scope, action);

  return transact(scope, async (scope) => {
    const page = await findByName(scope, query, { first, after });
    await audit.record(scope, { action, ...PATIENT, resourceIds: page.items.map(({ node }) => node.id) });
    return page;
  });
}

/** Every live patient with this phone number: families share one. Staff only. Throws InvalidInput, Forbidden. */
export async function patientsByPhone(scope: Scope, phone: string): Promise<Patient[]> {
  const index = phoneIndex(scope.vault, parsePhone(scope, phone));
  const action = 'patient.findByPhone';
  await permitStaff(scope, action);
  return transact(scope, async (scope) => shown(scope, action, await liveByPhone(scope.db, { index })));
}

/** The live patient with this e-mail address, or null. Staff only. Throws InvalidInput, Forbidden. */
export async function patientByEmail(scope: Scope, email: string): Promise<Patient | null> {
  const index = emailIndex(scope.vault, parseEmail(email));
  const action = 'patient.findByEmail';
  await permitStaff(scope, action);
  return transact(scope, async (scope) => {
    const [patient] = await shown(scope, action, await liveByEmail(scope.db, { index }));
    return patient ?? null;
  });
}

/** The live patient whom another system knows under this id, or null. Staff only. Throws Forbidden. */
export async function findByExternalId(scope: Scope, externalId: string): Promise<Patient | null> {
  const action = 'patient.findByExternalId';
  await permitStaff(scope, action);
  if (!isExternalId(externalId)) return null;

  return transact(scope, async (scope) => {
    const [patient] = await shown(scope, action, await liveByExternalId(scope.db, { externalId: externalId.trim() }));
    return patient ?? null;
  });
}

const Registrant = z.object({
  email: z.string().nullish(),
  phone: z.string().nullish(),
  dateOfBirth: z.iso.date('expected a date such as 1980-03-08'),
});
/** An e-mail address or a phone number, and an ISO date of birth. */
export type Registrant = z.input<typeof Registrant>;

/**
 * Live patients, the deceased left out, who have this e-mail address or this phone number and were born on that
 * day: whom a registration may be for, once they prove that the address or phone is theirs. For the system
 * only: call it with `asSystem(scope)`. Throws InvalidInput, Forbidden.
 */
export async function patientsToRegister(scope: Scope, input: Registrant): Promise<Patient[]> {
  const { email, phone, dateOfBirth } = parse(Registrant, input);
  const byEmail = email ? emailIndex(scope.vault, parseEmail(email)) : null;
  const byPhone = phone ? phoneIndex(scope.vault, parsePhone(scope, phone)) : null;
  const action = 'patient.match';
  await audit.permit(scope, scope.actor.role === 'system', { action, ...PATIENT });

  return transact(scope, async (scope) => {
    const rows = [
      ...(byEmail ? await liveByEmail(scope.db, { index: byEmail }) : []),
      ...(byPhone ? await liveByPhone(scope.db, { index: byPhone }) : []),
    ];
    const matches = [...new Map(rows.map((row) => [row.id, row])).values()].filter(
      (row) => row.status !== 'DECEASED' && openIdentity(scope.vault, row).dateOfBirth === dateOfBirth,
    );
    return shown(scope, action, matches);
  });
}

/** Does the change once per key. A repeat shows the patient as it stands by now. */
async function repeatable(scope: Scope, of: Once, change: () => Promise<Patient>): Promise<Patient> {
  const done: Patient[] = [];
  const id = await once(scope, of, async () => {
    const patient = await change();
    done.push(patient);
    return patient.id;
  });
  if (done[0] !== undefined) return done[0];
  const row = await lock(scope, id);
  await audit.record(scope, { action: 'patient.read', ...PATIENT, resourceId: id });
  return toPatient(scope, row);
}

/** The row, deleted or not, for this transaction alone to change. Throws {@link NotFound} also when erased. */
async function lock(scope: Scope, id: string): Promise<PatientRow> {
  if (!isUuid(id)) throw new NotFound('Patient');
  return scope.db
    .selectFrom('patients')
    .selectAll()
    .where('id', '=', id)
    .where('erased_at', 'is', null)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new NotFound('Patient'));
}

async function lockLive(scope: Scope, id: string): Promise<PatientRow> {
  const row = await lock(scope, id);
  if (row.deleted_at !== null) throw new NotFound('Patient');
  return row;
}

async function setDeleted(scope: Scope, row: PatientRow, deletedAt: string | null): Promise<Patient> {
  const updated = await scope.db
    .updateTable('patients')
    .set({ deleted_at: deletedAt, updated_at: scope.now.toString(), version: row.version + 1 })
    .where('id', '=', row.id)
    .returning(PATIENT_COLUMNS)
    .executeTakeFirstOrThrow();
  return toPatient(scope, updated);
}

function whenTaken(thrown: unknown): never {
  try {
    return onViolation('patients_email_once', () => new EmailTaken())(thrown);
  } catch (other) {
    return onViolation('patients_external_id_once', () => new ExternalIdTaken())(other);
  }
}

/** Opens the rows and records who was shown. */
async function shown(scope: Scope, action: string, rows: readonly PatientView[]): Promise<Patient[]> {
  await audit.record(scope, { action, ...PATIENT, resourceIds: rows.map(({ id }) => id) });
  return rows.map((row) => toPatient(scope, row));
}
