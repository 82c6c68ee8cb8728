/** Changing what is allocated, by an admin and for a reason. */
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { localDay, toBenefit } from './benefit.ts';
import { Adjustment, mustFit } from './input.ts';
import { post, type Recorded, recorded } from './ledger.ts';
import { permitAdmin, visibleBenefit } from './policy.ts';

/**
 * Adds to what is allocated, or takes from it as much as is available. Admins only. Throws InvalidInput, NotFound,
 * InsufficientBenefit, IdempotencyMismatch, Forbidden.
 */
export async function adjust(scope: Scope, benefitId: string, input: Adjustment): Promise<Recorded> {
  const { idempotencyKey: key, ...adjustment } = parse(Adjustment, input);
  const action = 'benefit.adjust';
  await permitAdmin(scope, action, benefitId);

  return transact(scope, async (scope) => {
    const benefit = await visibleBenefit(scope, benefitId, action);
    const { amount, direction, reason } = adjustment;
    mustFit(amount, benefit.unit);
    const patientKey = (await care.keysOf(scope, [benefit.patient_id])).get(benefit.patient_id);
    if (!patientKey) throw new NotFound('Patient');
    const entryId = await post(scope, benefit, {
      action,
      kind: 'ADJUST',
      amount,
      direction: direction === 'ADD' ? 1 : -1,
      serviceDate: localDay(toBenefit(benefit, scope.now), scope.now),
      reason: { text: reason, key: patientKey },
      once: { key, input: { action, ...adjustment } },
    });
    return recorded(scope, benefit.id, entryId);
  });
}
