/** A new benefit, with the first entry of its ledger. */
import { randomUUIDv7 } from 'node:crypto';
import type { z } from 'zod';
import * as care from '#care';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { Benefit } from './benefit.ts';
import { NewBenefit } from './input.ts';
import { current, post } from './ledger.ts';
import { permitStaff } from './policy.ts';

const ACTION = 'benefit.create';

/**
 * Gives a patient an allowance. Staff only. Throws InvalidInput, NotFound (no such patient), IdempotencyMismatch,
 * Forbidden.
 */
export async function createBenefit(scope: Scope, input: NewBenefit): Promise<Benefit> {
  const { idempotencyKey: key, ...given } = parse(NewBenefit, input);
  await permitStaff(scope, ACTION);

  return transact(scope, async (scope) => {
    const id = await once(scope, { key, operation: ACTION, input: given }, () => insert(scope, given));
    return current(scope, id);
  });
}

type Given = Omit<z.output<typeof NewBenefit>, 'idempotencyKey'>;

async function insert(scope: Scope, given: Given): Promise<string> {
  const { patientId } = await care.holdPatient(scope, given.patientId);
  const now = scope.now.toString();
  const row = await scope.db
    .insertInto('benefits')
    .values({
      id: randomUUIDv7(),
      patient_id: patientId,
      type: given.type,
      unit: given.unit,
      period_start: given.periodStart.toString(),
      period_end: given.periodEnd.toString(),
      time_zone: given.timeZone ?? scope.clinic.timeZone,
      external_plan_id: given.externalPlanId,
      // The first entry brings it.
      allocated: '0',
      created_at: now,
      updated_at: now,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await emit(scope, 'benefit.created', { benefitId: row.id, patientId });
  const { allocated: amount, periodStart: serviceDate } = given;
  await post(scope, row, { action: ACTION, kind: 'ALLOCATE', amount, serviceDate });
  return row.id;
}
