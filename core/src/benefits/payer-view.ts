/**
 * A benefit as far as both sides grant it: the ledger here, and what the payer says of it, now or when it was asked last.
 * The narrower of both counts.
 */
import { Decimal } from 'decimal.js';
import { sql } from 'kysely';
import type { PayerAnswer, PayerBenefit } from '#integrations/benefits-api';
import type { Scope } from '#platform/scope';
import { type Benefit, isAfter } from './benefit.ts';
import { compare, isInForce } from './drift.ts';

/** What the payer says of one benefit. */
export interface Said {
  readonly inForce: boolean;
  /** Null where it lists none, or says nothing that can be believed. */
  readonly there: Pick<PayerBenefit, 'allocated' | 'used' | 'periodStart' | 'periodEnd'> | null;
  /** Why it cannot be believed, by code. */
  readonly fault: string | null;
  readonly asOf: Temporal.Instant;
}

/** By the benefit's id. Of one whose period has not begun a payer may say nothing. */
export type View = ReadonlyMap<string, Said>;

export function viewOf(benefits: readonly Benefit[], answer: PayerAnswer, now: Temporal.Instant): View {
  const said = compare(benefits, answer, now).flatMap(({ benefit, there, fault }) =>
    benefit === null
      ? []
      : [[benefit.id, { inForce: isInForce(answer, benefit), there, fault, asOf: answer.asOf }] as const],
  );
  return new Map(said);
}

/** What it said last, of those of the benefits that it was ever asked about. For the system, inside `transact`. */
export async function lastViewOf({ db }: Scope, benefitIds: readonly string[]): Promise<View> {
  const rows = await db
    .selectFrom('benefit_snapshots')
    .distinctOn('benefit_id')
    .select(['benefit_id', 'in_force', 'allocated', 'used', 'period_start', 'period_end', 'fault', 'seen_at'])
    .where('benefit_id', '=', sql<string>`any(${benefitIds}::uuid[])`)
    .orderBy('benefit_id')
    .orderBy('id', 'desc')
    .execute();
  return new Map(
    rows.map((row) => [
      row.benefit_id,
      {
        inForce: row.in_force,
        there: row.allocated === null ? null : thereOf(row),
        fault: row.fault,
        asOf: row.seen_at.toTemporalInstant(),
      },
    ]),
  );
}

interface Amounts {
  readonly allocated: string | null;
  readonly used: string | null;
  readonly period_start: string | null;
  readonly period_end: string | null;
}

function thereOf({ allocated, used, period_start, period_end }: Amounts): Said['there'] {
  return {
    allocated: new Decimal(allocated ?? 0),
    used: new Decimal(used ?? 0),
    periodStart: Temporal.PlainDate.from(period_start ?? ''),
    periodEnd: Temporal.PlainDate.from(period_end ?? ''),
  };
}

/** `NONE`: the payer grants nothing. `UNKNOWN`: what it says cannot be believed. */
export function narrow(benefit: Benefit, said: Said | undefined): Benefit | 'NONE' | 'UNKNOWN' {
  if (said === undefined) return benefit;
  const { inForce, there, fault } = said;
  if (!inForce) return 'NONE';
  if (there === null) return fault === null ? 'NONE' : 'UNKNOWN';
  // The payer does not know what is held, and will be asked for it.
  const left = Decimal.max(there.allocated.minus(there.used).minus(benefit.held), 0);
  return {
    ...benefit,
    available: Decimal.min(benefit.available, left),
    periodStart: isAfter(there.periodStart, benefit.periodStart) ? there.periodStart : benefit.periodStart,
    periodEnd: isAfter(benefit.periodEnd, there.periodEnd) ? there.periodEnd : benefit.periodEnd,
  };
}
