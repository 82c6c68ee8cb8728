/** The end of a period: what is left of a benefit expires, and whoever still has something is listed before that. */
import { Decimal } from 'decimal.js';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { emitAll } from '#platform/events';
import { parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import type { Benefit } from './benefit.ts';
import { resolveDrifts } from './drift-record.ts';
import { post } from './ledger.ts';
import { shown } from './list.ts';
import { permitStaff } from './policy.ts';
import type { BenefitRow } from './tables.ts';

const BATCH = 200;

/**
 * Ends benefits whose last local day is over in the plan's zone, a batch a transaction: what is left is written off, the
 * end is told, once, and what differed from the payer is settled. What is still held stays until it is released. Safe to
 * repeat and to run in several processes at once. For the system. Returns how many ended. Throws Forbidden.
 */
export async function expireEnded(scope: Scope): Promise<number> {
  const entry = { action: 'benefit.expire', resourceType: 'Benefit' };
  await audit.permit(scope, scope.actor.role === 'system', entry);
  for (let expired = 0; ;) {
    const batch = await transact(scope, expireBatch);
    expired += batch;
    if (batch < BATCH) return expired;
  }
}

async function expireBatch(scope: Scope): Promise<number> {
  const rows = await ended(scope);
  for (const row of rows) {
    const available = new Decimal(row.available);
    const serviceDate = Temporal.PlainDate.from(row.period_end);
    if (!available.isZero())
      await post(scope, row, { action: 'benefit.expire', kind: 'EXPIRE', amount: available, serviceDate });
  }
  await tell(
    scope,
    rows.filter(({ ended_at }) => ended_at === null),
  );
  return rows.length;
}

/** Also of those that had nothing left. */
async function tell(scope: Scope, rows: readonly BenefitRow[]): Promise<void> {
  if (rows.length === 0) return;
  const ids = sql<string>`any(${rows.map(({ id }) => id)}::uuid[])`;
  await scope.db.updateTable('benefits').set({ ended_at: scope.now.toString() }).where('id', '=', ids).execute();
  await emitAll(
    scope,
    'benefit.expired',
    rows.map(({ id, patient_id }) => ({ benefitId: id, patientId: patient_id })),
  );
  const drifts = await scope.db
    .selectFrom('benefit_drifts')
    .select('id')
    .where('benefit_id', '=', ids)
    .where('status', 'in', ['OPEN', 'DISPUTED'])
    .execute();
  await resolveDrifts(
    scope,
    drifts.map(({ id }) => id),
  );
}

/** No zone is more than 14 hours ahead of UTC: where it is not yet tomorrow there, it is nowhere. */
function ended({ db, now }: Scope): Promise<BenefitRow[]> {
  const soonest = now.toZonedDateTimeISO('UTC').add({ hours: 14 }).toPlainDate().toString();
  return db
    .selectFrom('benefits')
    .selectAll()
    .where((eb) => eb.or([eb('ended_at', 'is', null), eb('available', '>', '0')]))
    .where('period_end', '<', soonest)
    .where(sql<boolean>`period_end < (${now.toString()}::timestamptz at time zone time_zone)::date`)
    .orderBy('period_end')
    .orderBy('id')
    .limit(BATCH)
    .forNoKeyUpdate()
    .skipLocked()
    .execute();
}

const Unspent = PageInput.extend({
  withinDays: z
    .int('expected whole days')
    .min(0, 'expected at least 0')
    .max(366, 'expected at most 366')
    .nullish()
    .transform((days) => days ?? 30),
});
export type Unspent = z.input<typeof Unspent>;

/**
 * Benefits that have something left and end soon, those that end first at the front: whom to remind. Staff only.
 * Throws InvalidInput, Forbidden.
 */
export async function unspentBenefits(scope: Scope, input: Unspent = {}): Promise<Page<Benefit>> {
  const { first, after, withinDays } = parse(Unspent, input);
  const action = 'benefit.listUnspent';
  await permitStaff(scope, action);
  return transact(scope, async (scope) => {
    const today = sql`(${scope.now.toString()}::timestamptz at time zone time_zone)::date`;
    const rows = await scope.db
      .selectFrom('benefits')
      .selectAll()
      .where('available', '>', '0')
      .where(sql<boolean>`period_end between ${today} and ${today} + ${withinDays}::int`)
      .where(sql<boolean>`period_start <= ${today}`)
      .where(afterPlace(after))
      .orderBy('period_end')
      .orderBy('id')
      .limit(first + 1)
      .execute();
    const benefits = await shown(scope, action, rows.slice(0, first));
    const opened = new Map(benefits.map((benefit) => [benefit.id, benefit]));
    return toPage(rows, first, {
      node: ({ id }) => opened.get(id) as Benefit,
      key: ({ period_end, id }) => [period_end, id],
    });
  });
}

const Place = z.tuple([z.iso.date(), z.uuid()]);

function afterPlace(cursor: string | null) {
  if (cursor === null) return sql<boolean>`true`;
  const [day, id] = decodeCursor(cursor, Place);
  return sql<boolean>`(period_end, id) > (${day}::date, ${id}::uuid)`;
}
