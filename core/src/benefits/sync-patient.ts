/** One patient's benefits, asked for by a person who waits for the answer. */
import * as audit from '#audit';
import * as care from '#care';
import type { BenefitsApi, PayerAnswer } from '#integrations/benefits-api';
import { NotFound } from '#platform/errors';
import { idOf, isUuid } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import type { Benefit } from './benefit.ts';
import { type BenefitDrift, shownDrifts } from './drift-list.ts';
import { NotAtPayer, PayerFailed } from './errors.ts';
import { patientBenefits } from './list.ts';
import { permitStaff } from './policy.ts';
import { failureOf } from './sync-ask.ts';
import { recordAnswers, toAsk } from './sync-record.ts';

export interface PatientSync {
  readonly patientId: string;
  /** By the payer's clock; null where the patient has no benefit that could be asked about. */
  readonly asOf: Temporal.Instant | null;
  readonly benefits: readonly Benefit[];
  /** Open and disputed ones. */
  readonly drifts: readonly BenefitDrift[];
}

const ACTION = 'benefit.syncPatient';

/**
 * Asks the payer about one patient, and keeps and compares what it says; the ledger stays as it is. Staff only; the
 * system keeps what was said. Throws NotFound, {@link NotAtPayer}, {@link PayerFailed}, Forbidden.
 */
export async function syncPatient(scope: Scope, id: string, api: BenefitsApi): Promise<PatientSync> {
  await permitStaff(scope, ACTION, id);
  if (!isUuid(id)) throw new NotFound('Patient');
  const patientId = idOf(id);
  const asked = await transact(scope, async (scope) => {
    await care.standingOf(scope, patientId);
    await audit.record(scope, { action: ACTION, resourceType: 'Benefit', patientIds: [patientId] });
    const [asked] = await transact(asSystem(scope), (scope) => toAsk(scope, [patientId]));
    return asked;
  });
  if (asked === undefined) return standing(scope, patientId, null);
  if (!api.configured || asked.memberId === null) throw new NotAtPayer();
  const answer = await ask(api, { memberId: asked.memberId, planIds: asked.planIds });
  await transact(asSystem(scope), (scope) => recordAnswers(scope, new Map([[patientId, answer]])));
  return standing(scope, patientId, answer.asOf);
}

async function ask(api: BenefitsApi, member: Parameters<BenefitsApi['eligibility']>[0]): Promise<PayerAnswer> {
  try {
    return await api.eligibility(member);
  } catch (thrown) {
    throw new PayerFailed(failureOf(thrown).code === 'UNAVAILABLE' ? 'PAYER_UNREACHABLE' : 'PAYER_ERROR');
  }
}

async function standing(scope: Scope, patientId: string, asOf: Temporal.Instant | null): Promise<PatientSync> {
  return transact(scope, async (scope) => {
    const benefits = await patientBenefits(scope, patientId);
    const rows = await scope.db
      .selectFrom('benefit_drifts')
      .selectAll()
      .where('patient_id', '=', patientId)
      .where('status', 'in', ['OPEN', 'DISPUTED'])
      .orderBy('id')
      .execute();
    return { patientId, asOf, benefits, drifts: await shownDrifts(scope, 'benefit.listDrifts', rows) };
  });
}
