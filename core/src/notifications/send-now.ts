/** Sending a planned message before it is due. It is only due earlier: consent, opt-outs and quiet hours hold. */
import * as audit from '#audit';
import { DomainError, NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid } from '#platform/input';
import { afterCommit, asSystem, type Scope, transact } from '#platform/scope';
import { isStaff } from './consent-policy.ts';
import { DELIVERY_CHANNEL } from './delivery-channel.ts';
import type { NotificationStatus } from './message.ts';
import { getNotification, type ShownNotification } from './notification-list.ts';

/** Something became of it already, or it is too late for it. */
export class NotPlanned extends DomainError {
  readonly code = 'NOT_PLANNED';
  readonly status: NotificationStatus;
  constructor(status: NotificationStatus) {
    super(status === 'PLANNED' ? 'It is too late for this message' : `This message is ${status.toLowerCase()}`);
    this.status = status;
  }
}

/**
 * Makes a planned message due now and wakes the delivery, which looks at everything else as ever. For staff.
 * Throws NotFound, NotPlanned, IdempotencyMismatch, Forbidden.
 */
export async function sendNow(
  scope: Scope,
  notificationId: string,
  { idempotencyKey: key }: { readonly idempotencyKey?: string | null | undefined } = {},
): Promise<ShownNotification> {
  const id = idOf(notificationId);
  const action = 'notification.sendNow';
  const about = { action, resourceType: 'Notification', resourceId: id };
  await audit.permit(scope, isStaff(scope.actor), about);
  if (!isUuid(id)) throw new NotFound('Notification');

  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { id } }, async () => {
      const { appointment_id: appointmentId, patient_id: patientId } = await hasten(scope, id);
      await audit.record(scope, { ...about, patientIds: [patientId], changedFields: ['dueAt'] });
      await emit(scope, 'notification.hastened', { notificationId: id, appointmentId, patientId });
      afterCommit(scope, () => scope.announce?.(DELIVERY_CHANNEL, ''));
      return id;
    });
    return getNotification(scope, id);
  });
}

/** Staff only read the ledger: the system writes it. */
async function hasten(scope: Scope, id: string) {
  return transact(asSystem(scope), async ({ db, now }) => {
    const at = now.toString();
    const row = await db
      .selectFrom('notifications')
      .select(['status', 'expires_at'])
      .where('id', '=', id)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) throw new NotFound('Notification');
    if (row.status !== 'PLANNED' || row.expires_at.getTime() <= now.epochMilliseconds) throw new NotPlanned(row.status);
    return db
      .updateTable('notifications')
      .set({ due_at: at, updated_at: at })
      .where('id', '=', id)
      .returning(['appointment_id', 'patient_id'])
      .executeTakeFirstOrThrow();
  });
}
