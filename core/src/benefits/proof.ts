/**
 * The proof that a benefit's amounts are the sums of its ledger.
 *
 * They always agree, unless somebody reached into the database. Then the ledger, which cannot be changed, gets entries
 * that say by how much: the amounts that people have seen and booked on stay, and what is wrong with them is corrected
 * as everything is, by an adjustment.
 */
import { randomUUIDv7 } from 'node:crypto';
import { Decimal } from 'decimal.js';
import { sql } from 'kysely';
import * as audit from '#audit';
import { type Scope, transact } from '#platform/scope';
import { localDay } from './benefit.ts';
import type { EntryKind } from './entry.ts';
import { permitAdmin } from './policy.ts';

/** By how much the amounts of a benefit exceed what its ledger says. */
export interface Disagreement {
  readonly benefitId: string;
  readonly patientId: string;
  readonly allocated: Decimal;
  readonly used: Decimal;
  readonly held: Decimal;
}

/** Benefits whose amounts are not the sums of their entries: none, if all is well. Admins and the system. Throws Forbidden. */
export async function ledgerDisagreements(scope: Scope): Promise<Disagreement[]> {
  const action = 'benefit.proveLedger';
  await permitAdmin(scope, action);
  return transact(scope, async (scope) => {
    await audit.record(scope, { action, resourceType: 'Benefit' });
    return (await disagreeing(scope)).map(toDisagreement);
  });
}

/**
 * Writes the entries that make the ledger agree with the amounts; both stay as they were. Returns what it found.
 * Admins and the system. Throws Forbidden.
 */
export async function repairLedger(scope: Scope): Promise<Disagreement[]> {
  const action = 'benefit.repairLedger';
  await permitAdmin(scope, action);
  return transact(scope, async (scope) => {
    // Nobody changes them meanwhile; what was found before the lock is looked at again.
    await lockAll(
      scope,
      (await disagreeing(scope)).map(({ id }) => id),
    );
    const found = await disagreeing(scope);
    for (const row of found) await repair(scope, row, action);
    return found.map(toDisagreement);
  });
}

async function repair(scope: Scope, row: Row, action: string): Promise<void> {
  const { allocated, used, held } = toDisagreement(row);
  const wanted: [Decimal, EntryKind, EntryKind][] = [
    [allocated, 'ADJUST', 'ADJUST'],
    [used, 'USE', 'REVERSE'],
    [held, 'HOLD', 'RELEASE'],
  ];
  const entries = wanted.filter(([delta]) => !delta.isZero());
  await scope.db
    .insertInto('benefit_entries')
    .values(
      entries.map(([delta, more, less]) => ({
        id: randomUUIDv7(),
        benefit_id: row.id,
        unit: row.unit,
        kind: delta.isPositive() ? more : less,
        amount: delta.abs().toFixed(2),
        direction: more === 'ADJUST' && delta.isNegative() ? (-1 as const) : (1 as const),
        service_date: localDay({ timeZone: row.time_zone }, scope.now).toString(),
        repair: true,
        appointment_id: null,
        reverses: null,
        reason: null,
        key_hash: null,
        input_hash: null,
        recorded_by: scope.actor.id,
        recorded_role: scope.actor.role,
        recorded_at: scope.now.toString(),
      })),
    )
    .execute();
  const about = { resourceType: 'Benefit', resourceId: row.id, patientIds: [row.patient_id] };
  await audit.record(scope, { action, ...about, changedFields: ['entries'] });
}

async function lockAll({ db }: Scope, ids: readonly string[]): Promise<void> {
  await sql`select from benefits where id = any(${ids}::uuid[]) order by id for no key update`.execute(db);
}

interface Row {
  readonly id: string;
  readonly patient_id: string;
  readonly unit: 'MONEY' | 'COUNT';
  readonly time_zone: string;
  readonly allocated: string;
  readonly used: string;
  readonly held: string;
}

async function disagreeing({ db }: Scope): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select b.id, b.patient_id, b.unit, b.time_zone,
      b.allocated - coalesce(sum(e.allocated_delta), 0) as allocated,
      b.used - coalesce(sum(e.used_delta), 0) as used,
      b.held - coalesce(sum(e.held_delta), 0) as held
    from benefits b left join benefit_entries e on e.benefit_id = b.id
    group by b.id
    having (b.allocated, b.used, b.held) is distinct from (coalesce(sum(e.allocated_delta), 0),
      coalesce(sum(e.used_delta), 0), coalesce(sum(e.held_delta), 0))
    order by b.id`.execute(db);
  return rows;
}

const toDisagreement = ({ id, patient_id, allocated, used, held }: Row): Disagreement => ({
  benefitId: id,
  patientId: patient_id,
  allocated: new Decimal(allocated),
  used: new Decimal(used),
  held: new Decimal(held),
});
