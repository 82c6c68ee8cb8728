/** Who may do what to accounts. What is not named here, nobody may. */
import * as audit from '#audit';
import type { Actor, Role, Scope } from '#platform/scope';

const ADMINS: readonly Role[] = ['admin', 'system'];
const EVERYBODY: readonly Role[] = ['admin', 'agent', 'auditor', 'patient'];

const POLICY = {
  'user.create': ADMINS,
  'user.list': ADMINS,
  'user.update': ADMINS,
  'user.resetPassword': ADMINS,
  'user.changePassword': EVERYBODY,
  'user.link': ADMINS,
  'user.unlink': ADMINS,
  'user.me': EVERYBODY,
  'user.names': ['admin', 'agent', 'system'],
  'user.close': ['system'],
  'user.erase': ['system'],
  'contact.request': ['patient'],
  'contact.confirm': ['patient'],
  'session.list': EVERYBODY,
  'session.logout': EVERYBODY,
  'session.revoke': EVERYBODY,
  'session.revokeAll': ADMINS,
  'apiKey.create': ADMINS,
  'apiKey.list': ADMINS,
  'apiKey.revoke': ADMINS,
} as const satisfies Record<string, readonly Role[]>;

type Action = keyof typeof POLICY;

/** Keys come from people: a leaked one must not be able to make another, to take over a user, or to grant rights. */
const PEOPLE_ONLY = new Set<Action>([
  'apiKey.create',
  'apiKey.revoke',
  'user.create',
  'user.update',
  'user.link',
  'user.unlink',
  'user.changePassword',
  'user.resetPassword',
  'contact.request',
  'contact.confirm',
]);

function may(actor: Actor, action: Action): boolean {
  const roles: readonly Role[] = POLICY[action];
  return roles.includes(actor.role) && !(actor.scopes !== undefined && PEOPLE_ONLY.has(action));
}

interface Target {
  readonly type: 'User' | 'Session' | 'ApiKey' | 'Verification';
  readonly id?: string | null;
}

/** Throws Forbidden, and has the refusal on record, unless the actor may and `allowed` agrees. */
export async function permit(scope: Scope, action: Action, target: Target & { allowed?: boolean }): Promise<void> {
  const allowed = may(scope.actor, action) && (target.allowed ?? true);
  await audit.permit(scope, allowed, { action, resourceType: target.type, resourceId: target.id ?? null });
}

/** Records what was done. Call it inside `transact`. */
export async function record(
  scope: Scope,
  action: Action,
  { type, id, ...more }: Target & Pick<audit.Entry, 'changedFields' | 'resourceIds' | 'outcome'>,
): Promise<void> {
  await audit.record(scope, { action, resourceType: type, resourceId: id ?? null, ...more });
}
