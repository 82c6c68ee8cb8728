/** The row of an appointment, for one transaction alone to change; and changes that are done once per key. */
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { type Once, once } from '#platform/idempotency';
import { isUuid } from '#platform/input';
import type { Scope } from '#platform/scope';
import { type Appointment, type AppointmentRow, toAppointments } from './appointment.ts';

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

/** Does the change once per key. A repeat shows the appointment as it stands by now. */
export async function repeatable(scope: Scope, of: Once, change: () => Promise<AppointmentRow>): Promise<Appointment> {
  const done: AppointmentRow[] = [];
  const id = await once(scope, of, async () => {
    const row = await change();
    done.push(row);
    return row.id;
  });
  const row = done[0] ?? (await shownAgain(scope, id));
  const [appointment] = await toAppointments(scope, [row]);
  return appointment as Appointment;
}

async function shownAgain(scope: Scope, id: string): Promise<AppointmentRow> {
  const row = await scope.db.selectFrom('appointments').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const about = { resourceType: 'Appointment', resourceId: id, patientIds: [row.patient_id] };
  await audit.record(scope, { action: 'appointment.read', ...about });
  return row;
}
