/** The reminder ledger, as tests look at it. */
import { react } from '../../src/reactions.ts';
import type { Scope } from '../../src/platform/scope.ts';
import { asSystem, transact } from '../../src/platform/scope.ts';
import * as notifications from '#notifications';

/** A scope in which what follows from a change follows. */
export const reacting = (scope: Scope): Scope => ({ ...scope, react: react as NonNullable<Scope['react']> });

export interface LedgerRow {
  readonly id: string;
  readonly revision: number;
  readonly kind: notifications.Kind;
  readonly channel: string;
  readonly status: notifications.NotificationStatus;
  readonly reason: notifications.Reason | null;
  readonly due_at: Date;
  readonly expires_at: Date;
}

/** The rows of a visit, by revision, and within one as the kinds come. */
export async function ledgerOf(scope: Scope, appointmentId: string): Promise<LedgerRow[]> {
  const rows = await transact(asSystem(scope), ({ db }) =>
    db.selectFrom('notifications').selectAll().where('appointment_id', '=', appointmentId).orderBy('id').execute(),
  );
  const order = ({ revision, kind }: LedgerRow) => revision * 10 + notifications.KINDS.indexOf(kind);
  return rows.toSorted((a, b) => order(a) - order(b));
}

/** `0 REMINDER_24H PLANNED`, `0 REMINDER_2H SKIPPED BOOKED_TOO_LATE`. */
export async function ledgerLines(scope: Scope, appointmentId: string): Promise<string[]> {
  const rows = await ledgerOf(scope, appointmentId);
  return rows.map(({ revision, kind, status, reason }) =>
    [revision, kind, status, reason].filter((x) => x !== null).join(' '),
  );
}

/** As if the delivery had come so far with it. */
export async function becomes(
  scope: Scope,
  appointmentId: string,
  { kind, status }: Pick<LedgerRow, 'kind' | 'status'>,
): Promise<void> {
  const at = scope.now.toString();
  await transact(asSystem(scope), ({ db }) =>
    db
      .updateTable('notifications')
      .set({ status, attempts: 1, sent_at: at, reason: status === 'UNKNOWN' ? 'OUTCOME_UNKNOWN' : null })
      .where('appointment_id', '=', appointmentId)
      .where('kind', '=', kind)
      .where('status', '=', 'PLANNED')
      .execute(),
  );
}
