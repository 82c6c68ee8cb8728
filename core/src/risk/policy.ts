/** Who may see and steer the scores: staff see them, admins choose the models, and no patient is told a number. */
import * as audit from '#audit';
import type { Scope } from '#platform/scope';

export async function permitStaff(scope: Scope, action: string): Promise<void> {
  const { role } = scope.actor;
  const allowed = role === 'admin' || role === 'agent' || role === 'system';
  await audit.permit(scope, allowed, { action, resourceType: 'Appointment' });
}

/** Throws Forbidden, and has the refusal on record, unless the actor may. */
export async function permitAdmin(scope: Scope, action: string, id: string | null = null): Promise<void> {
  const { role } = scope.actor;
  const allowed = role === 'admin' || role === 'system';
  await audit.permit(scope, allowed, { action, resourceType: 'RiskModel', resourceId: id });
}

export async function permitSystem(scope: Scope, action: string): Promise<void> {
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'RiskModel' });
}
