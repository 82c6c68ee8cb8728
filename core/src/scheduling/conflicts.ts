/** Which rules a time that is wanted breaks, as the database stands at this moment. */
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import type { Conflict } from './conflict.ts';
import type { Wanted } from './wanted.ts';

/** Nobody books into the past: what has been is corrected, not planned. */
export const isOverridable = ({ rule }: Pick<Conflict, 'rule'>): boolean => rule !== 'IN_THE_PAST';

/** Every rule that is broken, not only the first. Call it under the lock of the time. */
export async function conflictsWith(scope: Scope, wanted: Wanted): Promise<Conflict[]> {
  return [...inThePast(scope, wanted), ...(await busyPatient(scope, wanted)), ...(await busyProvider(scope, wanted))];
}

function inThePast({ now }: Scope, { startsAt, endsAt, takenBack }: Wanted): Conflict[] {
  if (takenBack || Temporal.Instant.compare(startsAt, now) >= 0) return [];
  return [{ rule: 'IN_THE_PAST', resource: 'Service', startsAt, endsAt, appointmentId: null }];
}

async function busyPatient({ db, now }: Scope, wanted: Wanted): Promise<Conflict[]> {
  const rows = await db
    .selectFrom('appointments')
    .select(['id', 'starts_at', 'ends_at'])
    .where('patient_id', '=', wanted.patientId)
    .where('occupies_time', '=', true)
    .where((eb) =>
      eb.or([eb('status', '<>', 'HELD'), eb('expires_at', '>', sql<Date>`${now.toString()}::timestamptz`)]),
    )
    .where('starts_at', '<', sql<Date>`${wanted.endsAt.toString()}::timestamptz`)
    .where('ends_at', '>', sql<Date>`${wanted.startsAt.toString()}::timestamptz`)
    .orderBy('starts_at')
    .execute();
  return rows
    .filter(({ id }) => id !== wanted.appointmentId)
    .map((row) => ({
      rule: 'PATIENT_BUSY',
      resource: 'Patient',
      startsAt: row.starts_at.toTemporalInstant(),
      endsAt: row.ends_at.toTemporalInstant(),
      appointmentId: row.id,
    }));
}

async function busyProvider({ db, now }: Scope, wanted: Wanted): Promise<Conflict[]> {
  const { rows } = await sql<{ appointment_id: string | null; blocks_from: Date; blocks_until: Date }>`
    select appointment_id, blocks_from, blocks_until
    from taken_time(${[wanted.provider.id]}::uuid[], ${wanted.blocksFrom.toString()}::timestamptz,
      ${wanted.blocksUntil.toString()}::timestamptz, ${now.toString()}::timestamptz)
    order by blocks_from`.execute(db);
  return rows
    .filter(({ appointment_id }) => wanted.appointmentId === null || appointment_id !== wanted.appointmentId)
    .map((row) => ({
      rule: 'PROVIDER_BUSY',
      resource: 'Provider',
      startsAt: row.blocks_from.toTemporalInstant(),
      endsAt: row.blocks_until.toTemporalInstant(),
      appointmentId: row.appointment_id,
    }));
}
