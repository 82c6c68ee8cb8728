/** Who may read the directory, and who may write it. The database's policies say the same once more. */
import * as audit from '#audit';
import type { Actor, Scope } from '#platform/scope';

const READERS = new Set<Actor['role']>(['admin', 'agent', 'patient', 'system']);
const WRITERS = new Set<Actor['role']>(['admin', 'system']);

export async function permitRead(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, READERS.has(scope.actor.role), entry);
}

export async function permitWrite(scope: Scope, entry: audit.Entry): Promise<void> {
  await audit.permit(scope, WRITERS.has(scope.actor.role), entry);
}
