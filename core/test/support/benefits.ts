/** A benefit that can be spent from. */
import { sql } from 'kysely';
import * as benefits from '#benefits';
import { asSystem, type Scope, transact } from '../../src/platform/scope.ts';
import { newPatient } from './appointments.ts';

/** $200.00 for transportation in 2026, by New York's calendar, of a new patient unless told otherwise. */
export async function aBenefit(scope: Scope, more: Partial<benefits.NewBenefit> = {}): Promise<benefits.Benefit> {
  return benefits.createBenefit(scope, {
    patientId: more.patientId ?? (await newPatient(scope)),
    type: 'TRANSPORTATION',
    unit: 'MONEY',
    allocated: '200.00',
    periodStart: '2026-01-01',
    periodEnd: '2026-12-31',
    timeZone: 'America/New_York',
    ...more,
  });
}

/** As text: what is allocated, used, held and available. */
export function amountsOf({ allocated, used, held, available }: benefits.Benefit): string[] {
  return [allocated, used, held, available].map((amount) => amount.toFixed(2));
}

export async function reread(scope: Scope, { id }: benefits.Benefit): Promise<benefits.Benefit> {
  const found = await benefits.findBenefit(scope, id);
  if (!found) throw new Error('The benefit is gone');
  return found;
}

/** The kinds and amounts of a ledger, oldest first. */
export async function ledgerOf(scope: Scope, { id }: benefits.Benefit): Promise<string[]> {
  return transact(asSystem(scope), async ({ db }) => {
    const { rows } = await sql<{ line: string }>`
      select kind || ' ' || amount * direction as line from benefit_entries where benefit_id = ${id}
      order by recorded_at, id`.execute(db);
    return rows.map(({ line }) => line);
  });
}

/** The topics of what happened to it, in order. */
export async function topicsOf(scope: Scope, { id }: benefits.Benefit): Promise<string[]> {
  return transact(asSystem(scope), async ({ db }) => {
    const { rows } = await sql<{ topic: string }>`
      select topic from events where payload ->> 'benefitId' = ${id} order by id`.execute(db);
    return rows.map(({ topic }) => topic);
  });
}
