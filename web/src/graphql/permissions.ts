/** Who may use a type or root field, as the schema states it: `authScopes: { staff: true, patient: true }`. */
import type { Actor, Role } from '@careflex/core/platform/scope';

export interface Audiences {
  /** Everybody, signed in or not. */
  public: boolean;
  /** Everybody who is signed in. */
  user: boolean;
  admin: boolean;
  /** Agents and admins. */
  staff: boolean;
  patient: boolean;
  auditor: boolean;
}

const NOBODY: Audiences = { public: true, user: false, admin: false, staff: false, patient: false, auditor: false };

const BY_ROLE: Record<Role, Audiences> = {
  admin: { ...NOBODY, user: true, admin: true, staff: true },
  agent: { ...NOBODY, user: true, staff: true },
  patient: { ...NOBODY, user: true, patient: true },
  auditor: { ...NOBODY, user: true, auditor: true },
  // Nobody signs in as the system.
  system: NOBODY,
};

export function audiencesOf(actor: Actor | null): Audiences {
  return actor === null ? NOBODY : BY_ROLE[actor.role];
}
