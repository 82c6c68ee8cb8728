/** Spending from a benefit. */
import { onViolation } from '#platform/database';
import { InvalidInput, NotFound } from '#platform/errors';
import { isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { covers, localDay, toBenefit } from './benefit.ts';
import { mustFit, Usage } from './input.ts';
import { post, type Recorded, recorded } from './ledger.ts';
import { permitStaff, visibleBenefit } from './policy.ts';
import type { BenefitRow } from './tables.ts';

/**
 * Spends from a benefit. Staff only. Throws InvalidInput (also for a day outside its period), NotFound,
 * InsufficientBenefit, IdempotencyMismatch, Forbidden.
 */
export async function recordUsage(scope: Scope, benefitId: string, input: Usage): Promise<Recorded> {
  const { idempotencyKey: key, ...usage } = parse(Usage, input);
  const action = 'benefit.recordUsage';
  await permitStaff(scope, action, benefitId);
  if (usage.appointmentId && !isUuid(usage.appointmentId)) throw new NotFound('Appointment');

  return transact(scope, async (scope) => {
    const benefit = await visibleBenefit(scope, benefitId, action);
    mustFit(usage.amount, benefit.unit);
    const { amount, appointmentId = null } = usage;
    const serviceDate = dayOf(scope, benefit, usage.serviceDate);
    const once = { key, input: { action, ...usage } };
    const entryId = await post(scope, benefit, { action, kind: 'USE', amount, appointmentId, serviceDate, once }).catch(
      onViolation('benefit_entries_appointment_id_fkey', () => new NotFound('Appointment')),
    );
    return recorded(scope, benefit.id, entryId);
  });
}

/** The day it counts for: today in the plan's zone unless given. Throws InvalidInput for one outside the period. */
function dayOf({ now }: Scope, row: BenefitRow, given: Temporal.PlainDate | null | undefined): Temporal.PlainDate {
  const benefit = toBenefit(row, now);
  const day = given ?? localDay(benefit, now);
  if (covers(benefit, day)) return day;
  const message = `expected a day from ${row.period_start} to ${row.period_end}, the period of the benefit`;
  throw new InvalidInput([{ path: ['serviceDate'], message }]);
}
