/**
 * Patients' keys, for what other contexts keep about a patient: a visit's notes, the text of a message.
 *
 * What is sealed here is gone with the patient's key. Neither function opens what identifies the patient, so neither
 * is a read of the record: the caller records its own.
 */
import { sql } from 'kysely';
import { type Db, statement } from '#platform/database';
import { NotFound } from '#platform/errors';
import { isUuid } from '#platform/input';
import type { Scope } from '#platform/scope';
import { open, type Place, seal, type Vault } from '#platform/vault';
import type { PatientStatus } from './patient.ts';
import { keyOf, padded } from './record.ts';
import type { PatientRow } from './tables.ts';

/** Seals texts about one patient, and opens them again. */
export interface PatientKey {
  /** How long the text is can be told from the sealed value in steps of 64 bytes only. */
  seal(place: Place, text: string): Buffer;
  /** Throws VaultError for another place, another patient, or a changed byte. */
  open(place: Place, sealed: Buffer): string;
}

/** How a patient stands, without a word of who it is. */
export interface Standing {
  readonly patientId: string;
  readonly status: PatientStatus;
  /** IANA. */
  readonly timeZone: string;
  readonly key: PatientKey;
}

/**
 * The live patient as they are until the transaction ends: nobody changes, deletes or erases them meanwhile. Call it
 * inside `transact`, and before any lock on what belongs to the patient. Throws NotFound.
 */
export function holdPatient(scope: Scope, id: string): Promise<Standing> {
  return standing(scope, id, held);
}

/** The live patient as they are now. Call it inside `transact`. Throws NotFound. */
export function standingOf(scope: Scope, id: string): Promise<Standing> {
  return standing(scope, id, seen);
}

async function standing(scope: Scope, id: string, read: typeof held): Promise<Standing> {
  if (!isUuid(id)) throw new NotFound('Patient');
  const [row] = await read(scope.db, { id });
  if (row === undefined) throw new NotFound('Patient');
  return toStanding(scope, row);
}

const live = (db: Db, id: string) =>
  db
    .selectFrom('patients')
    .select(['id', 'status', 'time_zone', 'data_key'])
    .where('id', '=', id)
    .where('deleted_at', 'is', null);

const held = statement((db, { id }: { id: string }) => live(db, id).forKeyShare());
const seen = statement((db, { id }: { id: string }) => live(db, id));

function toStanding({ vault }: Scope, row: Pick<PatientRow, 'id' | 'status' | 'time_zone' | 'data_key'>): Standing {
  return { patientId: row.id, status: row.status, timeZone: row.time_zone, key: toKey(vault, row) };
}

/** The keys of those patients whom the caller may see and who are not erased, deleted or not: one query. */
export async function keysOf({ db, vault }: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, PatientKey>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('patients')
    .select(['id', 'data_key'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('erased_at', 'is', null)
    .execute();
  return new Map(rows.map((row) => [row.id, toKey(vault, row)]));
}

export function toKey(vault: Vault, row: Pick<PatientRow, 'id' | 'data_key'>): PatientKey {
  const key = keyOf(vault, row);
  return {
    seal: (place, text) => seal(key, place, padded(text)),
    open: (place, sealed) => JSON.parse(open(key, place, sealed).toString('utf8')) as string,
  };
}
