/** Eligibility: whether a patient's benefit would pay. A check reserves nothing; only a hold does. */
import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { idOf, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Benefit, BENEFIT_TYPES, type BenefitUnit, localDay, toBenefit } from './benefit.ts';
import { type Decision, decide, type EligibilityReason } from './decision.ts';
import { amount, date } from './input.ts';
import { permitPatient } from './policy.ts';

const EligibilityCheck = z.object({
  patientId: z.string().max(100),
  benefitType: z.enum(BENEFIT_TYPES),
  amount,
  /** Today in the plan's zone unless given. */
  serviceDate: date.nullish().transform((day) => day ?? null),
});
export type EligibilityCheck = z.input<typeof EligibilityCheck>;

export interface Eligibility {
  readonly decision: Decision;
  readonly reasons: readonly EligibilityReason[];
  /** The one that would pay, or comes nearest to it. */
  readonly benefit: Benefit | null;
  readonly available: Decimal | null;
  readonly required: Decimal;
  readonly unit: BenefitUnit | null;
  readonly serviceDate: Temporal.PlainDate;
  readonly asOf: Temporal.Instant;
  /** What the answer rests on. */
  readonly source: 'LOCAL';
}

/** Staff for everybody, patients for themselves. Throws InvalidInput, NotFound (no such patient), Forbidden. */
export async function checkEligibility(scope: Scope, input: EligibilityCheck): Promise<Eligibility> {
  const { benefitType, amount: required, serviceDate, ...check } = parse(EligibilityCheck, input);
  const patientId = idOf(check.patientId);
  const action = 'benefit.checkEligibility';
  await permitPatient(scope, patientId, action);

  return transact(scope, async (scope) => {
    const { status: patientStatus } = await care.standingOf(scope, patientId);
    const rows = await scope.db
      .selectFrom('benefits')
      .selectAll()
      .where('patient_id', '=', patientId)
      .where('type', '=', benefitType)
      .execute();
    await audit.record(scope, { action, resourceType: 'Benefit', patientIds: [patientId] });
    const benefits = rows.map((row) => toBenefit(row, scope.now));
    const dayOf = (benefit: Benefit) => serviceDate ?? localDay(benefit, scope.now);
    const { decision, reasons, benefit } = decide({ patientStatus, benefits, required, dayOf, now: scope.now });
    const today = scope.now.toZonedDateTimeISO(benefit?.timeZone ?? scope.clinic.timeZone).toPlainDate();
    return {
      decision,
      reasons,
      benefit,
      available: benefit?.available ?? null,
      required,
      unit: benefit?.unit ?? null,
      serviceDate: serviceDate ?? today,
      asOf: scope.now,
      source: 'LOCAL',
    };
  });
}
