/** Who may see and steer jobs: admins. */
import * as audit from '#audit';
import type { Scope } from '#platform/scope';

type Action =
  | 'queue.list'
  | 'queue.pause'
  | 'queue.resume'
  | 'job.list'
  | 'job.read'
  | 'job.retry'
  | 'job.cancel'
  | 'job.discard'
  | 'job.redrive'
  | 'schedule.list'
  | 'schedule.run';

interface Target {
  readonly type: 'JobQueue' | 'Job' | 'JobSchedule';
  readonly id?: string | null;
}

/** Throws Forbidden, and has the refusal on record, unless the actor may. */
export async function permit(scope: Scope, action: Action, { type, id = null }: Target): Promise<void> {
  await audit.permit(scope, scope.actor.role === 'admin', { action, resourceType: type, resourceId: id });
}

/** Records what was done. Call it inside `transact`. */
export async function record(
  scope: Scope,
  action: Action,
  { type, id = null, ...more }: Target & { resourceIds?: readonly string[] },
): Promise<void> {
  await audit.record(scope, { action, resourceType: type, resourceId: id, ...more });
}
