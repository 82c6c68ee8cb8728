/** What happened to appointments, version by version. */
import { sql } from 'kysely';
import * as audit from '#audit';
import * as care from '#care';
import { isUuid } from '#platform/input';
import { type Role, type Scope, transact } from '#platform/scope';
import type { AppointmentStatus, CancellationReason } from './appointment.ts';
import { reasonOf } from './change.ts';
import { isPatient, permitRead } from './policy.ts';

export interface AppointmentChange {
  readonly version: number;
  readonly revision: number;
  /** Null for the first. The same as `to` where the status did not change. */
  readonly from: AppointmentStatus | null;
  readonly to: AppointmentStatus;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  readonly providerId: string;
  readonly cancellationReason: CancellationReason | null;
  /** In words. Patients are shown their own; null also once the patient is erased. */
  readonly reason: string | null;
  readonly actorRole: Role;
  readonly at: Temporal.Instant;
}

/** The changes of those of the appointments that the caller may see, oldest first: for loaders. Throws Forbidden. */
export async function historiesOf(
  scope: Scope,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly AppointmentChange[]>> {
  const action = 'appointment.readHistory';
  await permitRead(scope, { action, resourceType: 'Appointment' });
  return transact(scope, async (scope) => {
    const rows = await changesOf(scope, ids.filter(isUuid));
    const patients = [...new Set(rows.map(({ patient_id }) => patient_id))];
    const keys = rows.some(({ reason }) => reason !== null) ? await care.keysOf(scope, patients) : new Map();
    const grouped = Map.groupBy(rows, ({ appointment_id }) => appointment_id);
    const about = { resourceType: 'Appointment', resourceIds: [...grouped.keys()], patientIds: patients };
    await audit.record(scope, { action, ...about });
    const toChange = (row: ChangeRow) => opened(scope, row, keys.get(row.patient_id));
    return new Map([...grouped].map(([id, changes]) => [id, changes.map(toChange)]));
  });
}

function changesOf({ db }: Scope, ids: readonly string[]) {
  return db
    .selectFrom('appointment_changes as c')
    .innerJoin('appointments as a', 'a.id', 'c.appointment_id')
    .selectAll('c')
    .select('a.patient_id')
    .where('c.appointment_id', '=', sql<string>`any(${ids}::uuid[])`)
    .orderBy('c.appointment_id')
    .orderBy('c.version')
    .execute();
}

type ChangeRow = Awaited<ReturnType<typeof changesOf>>[number];

/** What staff wrote is for staff: it may speak of other patients. */
function opened({ actor }: Scope, row: ChangeRow, key: care.PatientKey | undefined): AppointmentChange {
  const mayRead = !isPatient(actor) || row.actor_id === actor.id;
  const place = reasonOf(row.appointment_id, row.version);
  return {
    version: row.version,
    revision: row.revision,
    from: row.from_status,
    to: row.to_status,
    startsAt: row.starts_at.toTemporalInstant(),
    endsAt: row.ends_at.toTemporalInstant(),
    providerId: row.provider_id,
    cancellationReason: row.cancellation_reason,
    reason: row.reason && key && mayRead ? key.open(place, row.reason) : null,
    actorRole: row.actor_role,
    at: row.at.toTemporalInstant(),
  };
}
