/** What the outside directory has said of providers, as staff see it, and the order to ask it again. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import * as audit from '#audit';
import { NotFound } from '#platform/errors';
import { once } from '#platform/idempotency';
import { idOf, isUuid } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Appointment, type AppointmentRow, toAppointments } from './appointment.ts';
import type { DirectoryProblem } from './directory-times.ts';
import { isStaff, permitWrite } from './policy.ts';
import { findProvidersByIds } from './provider.ts';
import { LIVE, recordListed } from './time-off.ts';

declare module '#platform/jobs' {
  interface Queues {
    /** Of one provider, or of all. */
    'provider-sync': { readonly providerId: string } | Record<string, never>;
  }
}

export interface DirectoryState {
  /** Whose directory it is, and what the provider is called there. */
  readonly source: string;
  readonly practitioner: string;
  readonly checkedAt: Temporal.Instant;
  /** What was wrong the last time; null: nothing. */
  readonly problem: DirectoryProblem | null;
  /** Of when its word is that counts; null: there was none yet. */
  readonly asOf: Temporal.Instant | null;
  readonly coversFrom: Temporal.Instant | null;
  readonly coversUntil: Temporal.Instant | null;
  /** The last look failed, or was too long ago. What it said before counts all the same. */
  readonly stale: boolean;
}

/** It is asked every quarter of an hour. */
export const STALE_MINUTES = 45;

/** By provider, of those that it knows: one query, for loaders. Staff only. Throws Forbidden. */
export async function directoryStates(
  scope: Scope,
  ids: readonly string[],
): Promise<ReadonlyMap<string, DirectoryState>> {
  await permitStaffRead(scope, ids);
  return transact(scope, async ({ db, now }) => {
    const rows = await db
      .selectFrom('provider_directories')
      .selectAll()
      .where('provider_id', '=', sql<string>`any(${ids.filter(isUuid)}::uuid[])`)
      .execute();
    const oldest = now.subtract({ minutes: STALE_MINUTES });
    return new Map(
      rows.map(({ provider_id, source, practitioner, problem, ...at }) => {
        const asOf = at.as_of?.toTemporalInstant() ?? null;
        const state = {
          source,
          practitioner,
          problem,
          asOf,
          checkedAt: at.checked_at.toTemporalInstant(),
          coversFrom: at.covers_from?.toTemporalInstant() ?? null,
          coversUntil: at.covers_until?.toTemporalInstant() ?? null,
          stale: problem !== null || asOf === null || Temporal.Instant.compare(asOf, oldest) < 0,
        };
        return [provider_id, state];
      }),
    );
  });
}

const MOST_VISITS = 1_000;

/**
 * Visits and holds ahead that stand in a time in which the directory has their provider busy, by provider and in the
 * order of time: somebody has to move them, or has booked them there as well. One query, for loaders. Staff only.
 * Throws Forbidden.
 */
export async function visitsInBusyTimes(
  scope: Scope,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly Appointment[]>> {
  await permitStaffRead(scope, ids);
  return transact(scope, async (scope) => {
    const now = scope.now.toString();
    const { rows } = await sql<AppointmentRow>`
      select * from appointments a
      where provider_id = any(${ids.filter(isUuid)}::uuid[]) and ends_at > ${now}::timestamptz
        and (status = any(${[...LIVE]}::text[]) or status = 'HELD' and expires_at > ${now}::timestamptz)
        and exists (
          select from provider_directory_times t
          where t.provider_id = a.provider_id and t.busy and t.ends_at > a.starts_at and t.starts_at < a.ends_at)
      order by starts_at, id limit ${MOST_VISITS}`.execute(scope.db);
    await recordListed(scope, rows);
    return Map.groupBy(await toAppointments(scope, rows), ({ providerId }) => providerId);
  });
}

async function permitStaffRead(scope: Scope, resourceIds: readonly string[]): Promise<void> {
  await audit.permit(scope, isStaff(scope.actor), { action: 'provider.read', resourceType: 'Provider', resourceIds });
}

/**
 * Has the outside directory asked about a provider, or all of them, as soon as a worker is free. Returns the job's id.
 * Throws NotFound, IdempotencyMismatch, Forbidden.
 */
export async function requestSync(
  scope: Scope,
  {
    providerId: of,
    idempotencyKey: key,
  }: { readonly providerId?: string; readonly idempotencyKey?: string | null | undefined } = {},
): Promise<string> {
  const action = 'provider.requestSync';
  const providerId = of === undefined ? null : idOf(of);
  const about = { action, resourceType: 'Provider', resourceId: providerId };
  await permitWrite(scope, about);
  return transact(scope, (scope) =>
    once(scope, { key, operation: action, input: { providerId } }, async () => {
      if (providerId !== null && !(await findProvidersByIds(scope, [providerId])).has(providerId)) {
        throw new NotFound('Provider');
      }
      const id = randomUUID();
      await scope.jobs.enqueue(scope, 'provider-sync', providerId === null ? {} : { providerId }, { id });
      await audit.record(scope, about);
      return id;
    }),
  );
}
