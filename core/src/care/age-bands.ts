/** How old patients are, by tens: all that a score may know of the date of birth, which stays sealed. */
import { sql } from 'kysely';
import * as audit from '#audit';
import type { Scope } from '#platform/scope';
import { VaultError } from '#platform/vault';
import { openIdentity } from './record.ts';
import type { PatientRow } from './tables.ts';

export interface AgeAsked {
  readonly patientId: string;
  readonly on: Temporal.PlainDate;
}

/**
 * The patient's age on the day, as `30-39`, from `0-9` to `80+`, in the order asked; null where no date of birth is on
 * record, or none that can be read. One query and one audit entry; inside `transact`. For the system. Throws Forbidden.
 */
export async function ageBandsOf(scope: Scope, asked: readonly AgeAsked[]): Promise<(string | null)[]> {
  const action = 'patient.ageBand';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Patient' });
  if (asked.length === 0) return [];
  const ids = [...new Set(asked.map(({ patientId }) => patientId))];
  const rows = await scope.db
    .selectFrom('patients')
    .select(['id', 'data_key', 'identity'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('erased_at', 'is', null)
    .execute();
  await audit.record(scope, { action, resourceType: 'Patient', resourceIds: rows.map(({ id }) => id) });
  const births = new Map(rows.map((row) => [row.id, birthOf(scope, row)]));
  return asked.map(({ patientId, on }) => bandOf(births.get(patientId) ?? null, on));
}

type Row = Pick<PatientRow, 'id' | 'data_key' | 'identity'>;

function birthOf({ vault }: Scope, row: Row): Temporal.PlainDate | null {
  try {
    const { dateOfBirth } = openIdentity(vault, row);
    return dateOfBirth === null ? null : Temporal.PlainDate.from(dateOfBirth);
  } catch (thrown) {
    if (thrown instanceof VaultError) return null;
    throw thrown;
  }
}

const OLDEST = 80;

function bandOf(birth: Temporal.PlainDate | null, on: Temporal.PlainDate): string | null {
  if (birth === null) return null;
  const { years } = birth.until(on, { largestUnit: 'years' });
  if (years < 0) return null;
  if (years >= OLDEST) return `${OLDEST}+`;
  const tens = Math.floor(years / 10) * 10;
  return `${tens}-${tens + 9}`;
}
