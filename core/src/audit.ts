/**
 * Audit: who did what to which record, reads and refusals included. Written in the transaction of what it
 * describes; never updated, never deleted.
 */
import './audit/tables.ts';
import { Forbidden } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';

export interface Entry {
  /** A verb phrase: `patient.read`, `patient.update`, `session.login`. */
  readonly action: string;
  /** The GraphQL type's name, such as `Patient`. */
  readonly resourceType: string;
  readonly resourceId?: string | null;
  /** For a list or a search: the ids that were returned. */
  readonly resourceIds?: readonly string[];
  /** Names only; values of PII never stand in the trail. */
  readonly changedFields?: readonly string[];
  readonly outcome?: 'SUCCESS' | 'DENIED' | 'FAILURE';
}

/** Records one action of the scope's actor. Call it inside `transact`, so that it fails closed. */
export async function record(scope: Scope, entry: Entry): Promise<void> {
  await scope.db
    .insertInto('audit_entries')
    .values({
      at: scope.now.toString(),
      user_id: scope.actor.id,
      user_role: scope.actor.role,
      action: entry.action,
      resource_type: entry.resourceType,
      resource_id: entry.resourceId ?? null,
      resource_ids: [...(entry.resourceIds ?? [])],
      changed_fields: [...(entry.changedFields ?? [])],
      purpose: scope.request.purpose ?? null,
      outcome: entry.outcome ?? 'SUCCESS',
      request_id: scope.request.id,
      ip_address: scope.request.ip,
      user_agent: scope.request.userAgent,
    })
    .execute();
}

/** Passes when `allowed`; else records the refusal in a transaction of its own and throws {@link Forbidden}. */
export async function permit(scope: Scope, allowed: boolean, entry: Entry): Promise<void> {
  if (allowed) return;
  await transact(scope, (scope) => record(scope, { ...entry, outcome: 'DENIED' }));
  throw new Forbidden(entry.action);
}
