/** The row of an appointment, for one transaction alone to change; and changes that are done once per key. */
import { sql } from 'kysely';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { type Once, once } from '#platform/idempotency';
import { isUuid } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Appointment, type AppointmentRow, type AppointmentStatus, toAppointments } from './appointment.ts';
import { IllegalTransition, StaleVersion } from './errors.ts';
import { isPatient } from './policy.ts';
import { allowedMoves, type Visit, whyNot } from './status.ts';

/** Throws {@link NotFound}. */
export async function lockAppointment({ db }: Scope, id: string, what = 'Appointment'): Promise<AppointmentRow> {
  if (!isUuid(id)) throw new NotFound(what);
  return db
    .selectFrom('appointments')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new NotFound(what));
}

/** Locks the row together with those of its series, in the order of ids, before any time is locked. */
export async function lockWithSeries({ db }: Scope, id: string): Promise<void> {
  await sql`
    select from appointments
    where id = ${id}::uuid or series_id = (select series_id from appointments where id = ${id}::uuid)
    order by id for update`.execute(db);
}

/** Whose visit it is, which never changes: for holding the patient before the row. Throws {@link NotFound}. */
export async function patientOf({ db }: Scope, id: string): Promise<string> {
  const row = await db
    .selectFrom('appointments')
    .select('patient_id')
    .where('id', '=', id)
    .executeTakeFirstOrThrow(() => new NotFound('Appointment'));
  return row.patient_id;
}

/** Seals for the patient of the row. Throws {@link NotFound} for one who is erased. */
export async function keyFor(scope: Scope, { patient_id }: AppointmentRow): Promise<care.PatientKey> {
  const key = (await care.keysOf(scope, [patient_id])).get(patient_id);
  if (!key) throw new NotFound('Patient');
  return key;
}

/** A newer version is there than the caller has seen. Turned into {@link StaleVersion} by {@link showingStale}. */
class Stale extends Error {
  readonly id: string;
  constructor(id: string) {
    super('A newer version is there');
    this.id = id;
  }
}

export function mustBeVersion({ id, version }: AppointmentRow, seen: number | null | undefined): void {
  if (seen !== null && seen !== undefined && seen !== version) throw new Stale(id);
}

/** Runs the change; shows the current appointment, which is a read on record, to whom has seen an older one. */
export async function showingStale<T>(scope: Scope, change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (thrown) {
    if (!(thrown instanceof Stale)) throw thrown;
    throw new StaleVersion(await transact(scope, async (scope) => open(scope, await shownAgain(scope, thrown.id))));
  }
}

/** Why the row cannot become `to` for who asks, and what it can. */
export function illegal(scope: Scope, row: AppointmentRow, to: AppointmentStatus): IllegalTransition {
  const visit = visitOf(row);
  const allowed = allowedMoves(visit, { now: scope.now, byPatient: isPatient(scope.actor) });
  const why = whyNot(visit, to, scope.now) ?? undefined;
  return new IllegalTransition({ from: row.status, to, allowed }, why);
}

export function visitOf(row: AppointmentRow): Visit {
  return {
    status: row.status,
    startsAt: row.starts_at.toTemporalInstant(),
    endsAt: row.ends_at.toTemporalInstant(),
    expiresAt: row.expires_at?.toTemporalInstant() ?? null,
  };
}

/** Does the change once per key. A repeat shows the appointment as it stands by now. */
export async function repeatable(scope: Scope, of: Once, change: () => Promise<AppointmentRow>): Promise<Appointment> {
  const done: AppointmentRow[] = [];
  const id = await once(scope, of, async () => {
    const row = await change();
    done.push(row);
    return row.id;
  });
  return open(scope, done[0] ?? (await shownAgain(scope, id)));
}

async function open(scope: Scope, row: AppointmentRow): Promise<Appointment> {
  const [appointment] = await toAppointments(scope, [row]);
  return appointment as Appointment;
}

async function shownAgain(scope: Scope, id: string): Promise<AppointmentRow> {
  const row = await scope.db.selectFrom('appointments').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const about = { resourceType: 'Appointment', resourceId: id, patientIds: [row.patient_id] };
  await audit.record(scope, { action: 'appointment.read', ...about });
  return row;
}
