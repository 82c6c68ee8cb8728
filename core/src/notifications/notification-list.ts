/** Reading the ledger: what a patient is told of visits, and was, with its words. Every read is on record. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import { isStaff } from './consent-policy.ts';
import type { Notification } from './message.ts';
import { bodyPlace } from './outgoing.ts';
import type { NotificationRow } from './tables.ts';

export interface ShownNotification extends Notification {
  /** What it says; null before it is on its way, and once the patient is erased. */
  readonly body: string | null;
}

const resourceType = 'Notification';

/** Lets staff and patients through. Throws Forbidden. */
export async function permitRead(scope: Scope, action: string): Promise<void> {
  const allowed = isStaff(scope.actor) || scope.actor.role === 'patient';
  await audit.permit(scope, allowed, { action, resourceType });
}

/**
 * A page of each patient's messages, the one that is due last first: for loaders, in one statement. Those whom the
 * caller may not see have none. Throws InvalidInput, Forbidden.
 */
export async function notificationsOfPatients(
  scope: Scope,
  patientIds: readonly string[],
  input: PageInput = {},
): Promise<ReadonlyMap<string, Page<ShownNotification>>> {
  const { first, after } = parse(PageInput, input);
  const action = 'notification.list';
  await permitRead(scope, action);

  return transact(scope, async (scope) => {
    const { rows } = await sql<NotificationRow>`
      select n.* from unnest(${patientIds.filter(isUuid)}::uuid[]) as patient (id) cross join lateral (
        select * from notifications where patient_id = patient.id and ${afterPlace(after)}
        order by due_at desc, id desc limit ${first + 1}
      ) n order by n.due_at desc, n.id desc`.execute(scope.db);
    const byPatient = [...Map.groupBy(rows, ({ patient_id }) => patient_id)];
    const seen = await shown(
      scope,
      action,
      byPatient.flatMap(([, rows]) => rows.slice(0, first)),
    );
    const node = ({ id }: NotificationRow) => seen.get(id) as ShownNotification;
    return new Map(byPatient.map(([id, rows]) => [id, toPage(rows, first, { node, key: (row) => [row.id] })]));
  });
}

function afterPlace(after: string | null) {
  if (after === null) return sql<boolean>`true`;
  const [id] = decodeCursor(after, z.tuple([z.uuid()]));
  return sql<boolean>`(due_at, id) < (select c.due_at, c.id from notifications c where c.id = ${id})`;
}

/** The messages of each visit, of every revision, in the order in which they are due: for loaders. Throws Forbidden. */
export async function notificationsOfAppointments(
  scope: Scope,
  appointmentIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ShownNotification[]>> {
  const action = 'notification.list';
  await permitRead(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('notifications')
      .selectAll()
      .where('appointment_id', '=', sql<string>`any(${appointmentIds.filter(isUuid)}::uuid[])`)
      .orderBy('due_at')
      .orderBy('id')
      .execute();
    const seen = await shown(scope, action, rows);
    return Map.groupBy(seen.values(), ({ appointmentId }) => appointmentId);
  });
}

/** The message with this id. Throws NotFound, Forbidden. */
export async function getNotification(scope: Scope, id: string): Promise<ShownNotification> {
  const action = 'notification.read';
  await permitRead(scope, action);
  if (!isUuid(id)) throw new NotFound('Notification');
  return transact(scope, async (scope) => {
    const rows = await scope.db.selectFrom('notifications').selectAll().where('id', '=', id).execute();
    const [notification] = (await shown(scope, action, rows)).values();
    if (notification === undefined) throw new NotFound('Notification');
    return notification;
  });
}

/** The message with this id, or null. Throws Forbidden. */
export async function findNotification(scope: Scope, id: string): Promise<ShownNotification | null> {
  return getNotification(scope, id).catch((thrown: unknown) => {
    if (thrown instanceof NotFound) return null;
    throw thrown;
  });
}

/** In the order of the rows. */
async function shown(
  scope: Scope,
  action: string,
  rows: readonly NotificationRow[],
): Promise<ReadonlyMap<string, ShownNotification>> {
  const patientIds = [...new Set(rows.map(({ patient_id }) => patient_id))];
  const keys = rows.some(({ body }) => body !== null) ? await care.keysOf(scope, patientIds) : new Map();
  await audit.record(scope, { action, resourceType, resourceIds: rows.map(({ id }) => id), patientIds });
  return new Map(rows.map((row) => [row.id, toNotification(row, keys.get(row.patient_id))]));
}

function toNotification(row: NotificationRow, key: care.PatientKey | undefined): ShownNotification {
  return {
    id: row.id,
    appointmentId: row.appointment_id,
    revision: row.revision,
    patientId: row.patient_id,
    kind: row.kind,
    channel: row.channel,
    status: row.status,
    reason: row.reason,
    dueAt: row.due_at.toTemporalInstant(),
    expiresAt: row.expires_at.toTemporalInstant(),
    attempts: row.attempts,
    sentAt: row.sent_at?.toTemporalInstant() ?? null,
    deliveredAt: row.delivered_at?.toTemporalInstant() ?? null,
    mergedInto: row.merged_into,
    createdAt: row.created_at.toTemporalInstant(),
    updatedAt: row.updated_at.toTemporalInstant(),
    // The words are those of the message that carries it.
    body: row.body && key ? key.open(bodyPlace(row.id), row.body) : null,
  };
}
