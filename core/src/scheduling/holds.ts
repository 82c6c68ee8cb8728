/** Holds that have lapsed: they give up their time, as soon as somebody wants it and at the latest a second later. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { asSystem, type Scope, transact } from '#platform/scope';
import type { AppointmentRow } from './appointment.ts';
import { recordChange } from './change.ts';

const BATCH = 100;

/** Cancels those of the holds that have lapsed. The caller may have found them in the way, and need not see them. */
export async function lapse(scope: Scope, ids: readonly string[]): Promise<void> {
  await transact(asSystem(scope), async (scope) => {
    const rows = await lapsed(scope)
      .where('id', '=', sql<string>`any(${ids}::uuid[])`)
      .forUpdate()
      .execute();
    for (const row of rows) await expire(scope, row);
  });
}

/**
 * Cancels the holds that have lapsed, a batch at a time; those that somebody is changing are left to them. For the
 * system; safe to call from any process at any time, every second is meant. Returns how many. Throws Forbidden.
 */
export async function expireHolds(scope: Scope): Promise<number> {
  const act = { action: 'appointment.expire', resourceType: 'Appointment' };
  await audit.permit(scope, scope.actor.role === 'system', act);
  for (let expired = 0; ;) {
    const found = await transact(scope, async (scope) => {
      const rows = await lapsed(scope).limit(BATCH).forUpdate().skipLocked().execute();
      for (const row of rows) await expire(scope, row);
      return rows.length;
    });
    expired += found;
    if (found < BATCH) return expired;
  }
}

/** In the order of ids: whoever locks several of them never waits in a circle. */
function lapsed({ db, now }: Scope) {
  return db
    .selectFrom('appointments')
    .selectAll()
    .where('status', '=', 'HELD')
    .where('expires_at', '<=', sql<Date>`${now.toString()}::timestamptz`)
    .orderBy('id');
}

async function expire(scope: Scope, { id, version }: AppointmentRow): Promise<void> {
  const row = await scope.db
    .updateTable('appointments')
    .set({
      status: 'CANCELLED',
      cancellation_reason: 'EXPIRED',
      version: version + 1,
      updated_at: scope.now.toString(),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await recordChange(scope, row, {
    topic: 'appointment.cancelled',
    action: 'appointment.expire',
    from: 'HELD',
    changedFields: ['status', 'cancellationReason'],
  });
}
