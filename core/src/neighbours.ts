/**
 * Neighbours: the systems outside that the platform calls, and how the calls to each of them fare in every process.
 *
 * Admins alone see and steer them, on record. What they order holds for all processes, wherever it was ordered and over
 * restarts: a neighbour that is tripped is called by nobody until it is reset. Of an error only its code is kept.
 */
import './neighbours/tables.ts';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { once } from '#platform/idempotency';
import { isPrintable, NOT_PRINTABLE, parse } from '#platform/input';
import { afterCommit, asSystem, type Scope, transact } from '#platform/scope';
import { Attendant, type AttendantOptions, type Neighbours, ORDERS_CHANNEL } from './neighbours/attendant.ts';
import { findIntegrations, type Integration, type Neighbour, NEIGHBOURS } from './neighbours/state.ts';

export type { Neighbours } from './neighbours/attendant.ts';
export type { CallEnd, Integration, IntegrationProcess, Neighbour } from './neighbours/state.ts';
export { NEIGHBOURS } from './neighbours/state.ts';

/** The guards of this process and their attendant. Nothing connects before the first call, or {@link Neighbours.attend}. */
export function openNeighbours(options: AttendantOptions): Neighbours {
  return new Attendant(options);
}

/** Every neighbour with the processes that have something to call. Throws Forbidden. */
export async function integrations(scope: Scope): Promise<Integration[]> {
  await permit(scope, 'integration.list');
  return transact(scope, async (scope) => {
    const found = await transact(asSystem(scope), findIntegrations);
    await record(scope, 'integration.list', { resourceIds: found.map(({ name }) => name) });
    return found;
  });
}

/** The same, for the metrics: by the system, and so not on record. */
export async function states(scope: Scope): Promise<Integration[]> {
  return transact(asSystem(scope), findIntegrations);
}

const Trip = z.object({
  /** For whoever wonders, never of a patient: it is stored readable. */
  reason: z.string().trim().min(1, 'expected a reason').max(200).refine(isPrintable, NOT_PRINTABLE),
});
export type Trip = z.input<typeof Trip> & Keyed;

export interface Keyed {
  readonly idempotencyKey?: string | null | undefined;
}

/**
 * No process calls the neighbour from now on: within a second those that run refuse at once. Again, it takes the new
 * reason. Throws NotFound, InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function trip(scope: Scope, name: string, { idempotencyKey, ...input }: Trip): Promise<Integration> {
  const { reason } = parse(Trip, input);
  const order = { tripped_at: scope.now.toString(), tripped_by: scope.actor.id, reason };
  return steer(scope, name, { action: 'integration.trip', idempotencyKey, order });
}

/**
 * Calls go out again: after a trip, and where a process refused by itself after too many failures. Throws NotFound,
 * IdempotencyMismatch, Forbidden.
 */
export async function reset(scope: Scope, name: string, { idempotencyKey }: Keyed = {}): Promise<Integration> {
  const order = { tripped_at: null, tripped_by: null, reason: null };
  return steer(scope, name, { action: 'integration.reset', idempotencyKey, order });
}

interface Steering extends Keyed {
  readonly action: 'integration.trip' | 'integration.reset';
  readonly order: {
    readonly tripped_at: string | null;
    readonly tripped_by: string | null;
    readonly reason: string | null;
  };
}

async function steer(scope: Scope, name: string, { action, idempotencyKey, order }: Steering): Promise<Integration> {
  await permit(scope, action, name);
  if (!isNeighbour(name)) throw new NotFound('The integration');
  const of = { key: idempotencyKey, operation: action, input: { name, reason: order.reason } };
  return transact(scope, async (scope) => {
    await once(scope, of, async () => {
      await transact(asSystem(scope), ({ db }) =>
        db
          .insertInto('neighbours')
          .values({ name, ...order, revision: 1 })
          .onConflict((conflict) =>
            conflict.column('name').doUpdateSet({ ...order, revision: sql`neighbours.revision + 1` }),
          )
          .execute(),
      );
      await record(scope, action, { resourceId: name });
      afterCommit(scope, () => scope.announce?.(ORDERS_CHANNEL, name));
      // Keys remember an id, and an order has none but its giver's.
      return scope.actor.id;
    });
    const found = (await transact(asSystem(scope), findIntegrations)).find((integration) => integration.name === name);
    if (!found) throw new NotFound('The integration');
    return found;
  });
}

function isNeighbour(name: string): name is Neighbour {
  return (NEIGHBOURS as readonly string[]).includes(name);
}

type Action = 'integration.list' | Steering['action'];

async function permit(scope: Scope, action: Action, resourceId: string | null = null): Promise<void> {
  await audit.permit(scope, scope.actor.role === 'admin', { action, resourceType: 'Integration', resourceId });
}

type Recorded = { readonly resourceId: string } | { readonly resourceIds: readonly string[] };

async function record(scope: Scope, action: Action, of: Recorded): Promise<void> {
  await audit.record(scope, { action, resourceType: 'Integration', ...of });
}
