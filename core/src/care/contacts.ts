/** How patients can be reached, for the system that writes to them. */
import { sql } from 'kysely';
import * as audit from '#audit';
import type { Scope } from '#platform/scope';
import { VaultError } from '#platform/vault';
import type { Identity } from './facts.ts';
import { type PatientKey, toKey } from './keys.ts';
import type { PatientStatus, Preferences } from './patient.ts';
import { openIdentity } from './record.ts';

export interface Contact {
  readonly patientId: string;
  readonly status: PatientStatus;
  /** Deleted, and not erased. */
  readonly deleted: boolean;
  /** E.164. */
  readonly phone: string | null;
  /** Normalised. */
  readonly email: string | null;
  /** BCP 47. */
  readonly language: string;
  /** IANA. */
  readonly timeZone: string;
  readonly preferences: Preferences;
  readonly key: PatientKey;
}

/**
 * How to reach each of the patients: one query and one audit entry. Without the erased, and without those whose record
 * cannot be opened: one broken record is no reason to write to nobody. For the system. Throws Forbidden.
 */
export async function contactsOf(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Contact>> {
  const action = 'patient.contact';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Patient' });
  const rows = await scope.db
    .selectFrom('patients')
    .select(['id', 'status', 'time_zone', 'language', 'preferences', 'data_key', 'identity', 'deleted_at'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('erased_at', 'is', null)
    .execute();
  await audit.record(scope, { action, resourceType: 'Patient', resourceIds: rows.map(({ id }) => id) });
  return new Map(
    rows.flatMap((row): [string, Contact][] => {
      const opened = openOrNull(scope, row);
      return opened === null ? [] : [[row.id, toContact(row, opened)]];
    }),
  );
}

/** What of a patient's row the contacts are sealed in; null once the patient is erased. */
export interface SealedContacts {
  readonly id: string;
  readonly data_key: Buffer | null;
  readonly identity: Buffer | null;
}

/**
 * The number and address in a row that the caller read in a change of their own, whose entry in the trail stands for it.
 * Null when they cannot be opened.
 */
export function openContacts(scope: Scope, row: SealedContacts): Pick<Contact, 'phone' | 'email'> | null {
  const opened = openOrNull(scope, row);
  return opened === null ? null : { phone: opened.identity.phone, email: opened.identity.email };
}

interface Opened {
  readonly identity: Identity;
  readonly key: PatientKey;
}

type Row = Parameters<typeof openIdentity>[1];

function openOrNull({ vault }: Scope, row: Row): Opened | null {
  try {
    return { identity: openIdentity(vault, row), key: toKey(vault, row) };
  } catch (thrown) {
    if (thrown instanceof VaultError) return null;
    throw thrown;
  }
}

interface Facts {
  readonly id: string;
  readonly status: PatientStatus;
  readonly time_zone: string;
  readonly language: string;
  readonly preferences: Preferences;
  readonly deleted_at: Date | null;
}

function toContact(row: Facts, { identity, key }: Opened): Contact {
  const { id, status, time_zone, language, preferences, deleted_at } = row;
  const { phone, email } = identity;
  return {
    patientId: id,
    status,
    deleted: deleted_at !== null,
    phone,
    email,
    language,
    timeZone: time_zone,
    preferences,
    key,
  };
}
