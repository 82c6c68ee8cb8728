/** What becomes of the visits of a patient who will not come any more. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { type Scope, transact } from '#platform/scope';
import type { AppointmentStatus, CancellationReason } from './appointment.ts';
import { recordChange } from './change.ts';

const AHEAD: readonly AppointmentStatus[] = ['SCHEDULED', 'CONFIRMED'];

/**
 * Cancels every hold of the patient, and every visit that has not begun. For the system, in the transaction of what
 * ends them. Returns how many. Throws Forbidden.
 */
export async function callOff(scope: Scope, patientId: string, reason: CancellationReason): Promise<number> {
  const action = 'appointment.cancel';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Appointment' });

  return transact(scope, async (scope) => {
    const now = scope.now.toString();
    const rows = await scope.db
      .selectFrom('appointments')
      .selectAll()
      .where('patient_id', '=', patientId)
      .where((eb) =>
        eb.or([
          eb('status', '=', 'HELD'),
          eb.and([
            eb('status', '=', sql<AppointmentStatus>`any(${AHEAD})`),
            eb('starts_at', '>', sql<Date>`${now}::timestamptz`),
          ]),
        ]),
      )
      .orderBy('id')
      .forUpdate()
      .execute();
    for (const before of rows) {
      const row = await scope.db
        .updateTable('appointments')
        .set({ status: 'CANCELLED', cancellation_reason: reason, version: before.version + 1, updated_at: now })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const changedFields = ['status', 'cancellationReason'];
      await recordChange(scope, row, { topic: 'appointment.cancelled', action, from: before.status, changedFields });
    }
    return rows.length;
  });
}
