/** Reading appointments: one, many, by what they have in common. Every read is on record with whose they are. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { idOf, isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import {
  APPOINTMENT_STATUSES,
  type Appointment,
  type AppointmentRow,
  type AppointmentStatus,
  toAppointments,
} from './appointment.ts';
import { isPatient, permitAppointment, permitRead } from './policy.ts';

/** The appointment with this id. Throws NotFound, Forbidden. */
export async function getAppointment(scope: Scope, id: string): Promise<Appointment> {
  const action = 'appointment.read';
  await permitAppointment(scope, id, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db.selectFrom('appointments').selectAll().where('id', '=', id).execute();
    const [appointment] = await shown(scope, action, rows);
    if (appointment === undefined) throw new NotFound('Appointment');
    return appointment;
  });
}

/** The appointment with this id, or null. Throws Forbidden. */
export async function findAppointment(scope: Scope, id: string): Promise<Appointment | null> {
  return getAppointment(scope, id).catch((thrown: unknown) => {
    if (thrown instanceof NotFound) return null;
    throw thrown;
  });
}

/** Those of the ids that are appointments the caller may see, by id: for loaders. Throws Forbidden. */
export async function appointmentsByIds(
  scope: Scope,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Appointment>> {
  const action = 'appointment.read';
  await permitRead(scope, { action, resourceType: 'Appointment' });
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('appointments')
      .selectAll()
      .where('id', '=', sql<string>`any(${ids.filter(isUuid)}::uuid[])`)
      .execute();
    const found = await shown(scope, action, rows);
    return new Map(found.map((appointment) => [appointment.id, appointment]));
  });
}

const instant = z.instanceof(Temporal.Instant);
const AppointmentList = PageInput.extend({
  patientId: z.string().nullish(),
  providerId: z.string().nullish(),
  status: z.array(z.enum(APPOINTMENT_STATUSES)).nullish(),
  /** Starts from this instant on. */
  from: instant.nullish(),
  /** Starts before this instant. */
  to: instant.nullish(),
});
export type AppointmentList = z.input<typeof AppointmentList>;
type Filter = Omit<z.output<typeof AppointmentList>, 'first' | 'after'>;

/**
 * Appointments in the order of their start, by any mix of patient, provider, statuses and range. A patient gets their
 * own. Throws InvalidInput, Forbidden.
 */
export async function appointments(scope: Scope, input: AppointmentList = {}): Promise<Page<Appointment>> {
  const { first, after, ...filter } = parse(AppointmentList, input);
  const action = 'appointment.list';
  if (!(await isReachable(scope, filter, action))) return { items: [], hasNextPage: false };

  return transact(scope, async (scope) => {
    const rows = await matching(scope, filter, after)
      .limit(first + 1)
      .execute();
    return pageOf(rows, first, byId(await shown(scope, action, rows.slice(0, first))));
  });
}

const UPCOMING: AppointmentStatus[] = ['SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS'];
const Upcoming = PageInput.pick({ first: true });

/** The next visits of a patient that are not over, from the first on. Throws InvalidInput, Forbidden. */
export async function upcomingAppointments(
  scope: Scope,
  patientId: string,
  input: z.input<typeof Upcoming> = {},
): Promise<Appointment[]> {
  const { first } = parse(Upcoming, input);
  const action = 'appointment.list';
  const filter = { patientId, status: UPCOMING };
  if (!(await isReachable(scope, filter, action))) return [];

  return transact(scope, async (scope) => {
    const rows = await matching(scope, filter)
      .where('ends_at', '>', sql<Date>`${scope.now.toString()}::timestamptz`)
      .limit(first)
      .execute();
    return shown(scope, action, rows);
  });
}

/** False for what cannot match anything; for a patient, also another's: the attempt is on record. */
async function isReachable(scope: Scope, { patientId, providerId }: Filter, action: string): Promise<boolean> {
  await permitRead(scope, { action, resourceType: 'Appointment' });
  if ([patientId, providerId].some((id) => typeof id === 'string' && !isUuid(id))) return false;
  if (!isPatient(scope.actor) || !patientId || idOf(patientId) === scope.actor.patientId) return true;
  const refused = { action, resourceType: 'Appointment', patientIds: [patientId], outcome: 'DENIED' } as const;
  await transact(scope, (scope) => audit.record(scope, refused));
  return false;
}

/**
 * A page of each patient's appointments, by patient: for loaders, in one statement. Those whom the caller may not see
 * have none. Throws InvalidInput, Forbidden.
 */
export async function appointmentsOfPatients(
  scope: Scope,
  patientIds: readonly string[],
  input: Omit<AppointmentList, 'patientId'> = {},
): Promise<ReadonlyMap<string, Page<Appointment>>> {
  const { first, after, ...filter } = parse(AppointmentList, input);
  const action = 'appointment.list';
  await permitRead(scope, { action, resourceType: 'Appointment' });

  return transact(scope, async (scope) => {
    const { rows } = await sql<AppointmentRow>`
      select a.* from unnest(${patientIds.filter(isUuid)}::uuid[]) as patient (id) cross join lateral (
        select * from appointments where patient_id = patient.id and ${where(filter, after)}
        order by starts_at, id limit ${first + 1}
      ) a order by a.starts_at, a.id`.execute(scope.db);
    const byPatient = [...Map.groupBy(rows, ({ patient_id }) => patient_id)];
    const visible = byPatient.flatMap(([, rows]) => rows.slice(0, first));
    const opened = byId(await shown(scope, action, visible));
    return new Map(byPatient.map(([patient, rows]) => [patient, pageOf(rows, first, opened)]));
  });
}

/** Plain comparisons, as the indexes have them: under row-level security nothing else would use them. */
function where({ patientId, providerId, status, from, to }: Filter, after: string | null = null) {
  const conditions = [
    patientId && sql`patient_id = ${patientId}::uuid`,
    providerId && sql`provider_id = ${providerId}::uuid`,
    status && sql`status = any(${status}::text[])`,
    from && sql`starts_at >= ${from.toString()}::timestamptz`,
    to && sql`starts_at < ${to.toString()}::timestamptz`,
    after && afterPlace(after),
  ].flatMap((condition) => condition || []);
  return conditions.length === 0 ? sql<boolean>`true` : sql<boolean>`${sql.join(conditions, sql` and `)}`;
}

const Place = z.tuple([z.iso.datetime(), z.uuid()]);

function afterPlace(cursor: string) {
  const [startsAt, id] = decodeCursor(cursor, Place);
  return sql`(starts_at, id) > (${startsAt}::timestamptz, ${id}::uuid)`;
}

function matching({ db }: Scope, filter: Filter, after: string | null = null) {
  return db.selectFrom('appointments').selectAll().where(where(filter, after)).orderBy('starts_at').orderBy('id');
}

const byId = (appointments: readonly Appointment[]) => new Map(appointments.map((node) => [node.id, node]));

function pageOf(rows: readonly AppointmentRow[], first: number, opened: ReadonlyMap<string, Appointment>) {
  return toPage(rows, first, {
    node: ({ id }) => opened.get(id) as Appointment,
    key: ({ starts_at, id }) => [starts_at.toISOString(), id],
  });
}

/** Opens the rows and records who was shown. */
async function shown(scope: Scope, action: string, rows: readonly AppointmentRow[]): Promise<Appointment[]> {
  await audit.record(scope, {
    action,
    resourceType: 'Appointment',
    resourceIds: rows.map(({ id }) => id),
    patientIds: [...new Set(rows.map(({ patient_id }) => patient_id))],
  });
  return toAppointments(scope, rows);
}
