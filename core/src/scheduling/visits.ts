/** Visits as what follows from them sees them: when, whose and how they stand, and nothing that says what for. */
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import type { AppointmentRow, AppointmentStatus } from './appointment.ts';

export interface VisitFacts {
  readonly id: string;
  readonly patientId: string;
  readonly status: AppointmentStatus;
  /** Grows by one when it is moved. */
  readonly revision: number;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** IANA: the zone that gave the time its meaning. */
  readonly timeZone: string;
}

const COLUMNS = ['id', 'patient_id', 'status', 'revision', 'starts_at', 'ends_at', 'time_zone'] as const;

/** Those of the visits that the caller may see, by id: one query, inside `transact`. */
export async function visitsOf({ db }: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, VisitFacts>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('appointments')
    .select(COLUMNS)
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, toVisitFacts(row)]));
}

/** The patient's visits that have not begun and are not called off, in the order of time; inside `transact`. */
export async function visitsAhead({ db, now }: Scope, patientId: string): Promise<VisitFacts[]> {
  const rows = await db
    .selectFrom('appointments')
    .select(COLUMNS)
    .where('patient_id', '=', patientId)
    .where('status', 'in', ['SCHEDULED', 'CONFIRMED'])
    .where('starts_at', '>', sql<Date>`${now.toString()}::timestamptz`)
    .orderBy('starts_at')
    .orderBy('id')
    .execute();
  return rows.map(toVisitFacts);
}

function toVisitFacts(row: Pick<AppointmentRow, (typeof COLUMNS)[number]>): VisitFacts {
  return {
    id: row.id,
    patientId: row.patient_id,
    status: row.status,
    revision: row.revision,
    startsAt: row.starts_at.toTemporalInstant(),
    endsAt: row.ends_at.toTemporalInstant(),
    timeZone: row.time_zone,
  };
}
