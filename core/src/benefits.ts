/**
 * Benefits: what a plan allows a patient, what is left of it, and what it was spent on.
 *
 * The ledger is append-only, and a benefit's amounts are the sums of its entries: allocated less used less held is
 * available, and never below zero, whoever spends at the same time. Money is exact: text in the API, `numeric` in the
 * database, a decimal in between. Staff see and spend every patient's benefits, a patient sees their own.
 */
import './benefits/tables.ts';

export {
  type Benefit,
  BENEFIT_STATUSES,
  BENEFIT_TYPES,
  BENEFIT_UNITS,
  type BenefitStatus,
  type BenefitType,
  type BenefitUnit,
} from './benefits/benefit.ts';
export { adjust } from './benefits/adjustment.ts';
export { checkEligibility, type Eligibility, type EligibilityCheck } from './benefits/eligibility.ts';
export { DECISIONS, ELIGIBILITY_REASONS } from './benefits/decision.ts';
export { DRIFT_KINDS, type DriftKind } from './benefits/drift.ts';
export { acceptDrift, disputeDrift } from './benefits/drift-decision.ts';
export {
  type BenefitDrift,
  benefitDrifts,
  DRIFT_STATUSES,
  type DriftList,
  type DriftStatus,
} from './benefits/drift-list.ts';
export type { DriftChanged } from './benefits/drift-record.ts';
export { type BenefitEntry, ENTRY_KINDS, type EntryKind } from './benefits/entry.ts';
export {
  BenefitNotCovering,
  DriftNotCorrectable,
  DriftSettled,
  InsufficientBenefit,
  NotAtPayer,
  PayerFailed,
  ReversalTooLarge,
  StaleDrift,
} from './benefits/errors.ts';
export { createBenefit } from './benefits/allocation.ts';
export { expireEnded, unspentBenefits } from './benefits/expiry.ts';
export {
  activeBenefits,
  benefitsByIds,
  benefitsOfPatients,
  entriesOfBenefits,
  findBenefit,
  patientBenefits,
} from './benefits/list.ts';
export { amount } from './benefits/input.ts';
export type { Adjustment, NewBenefit, Reversal, Usage } from './benefits/input.ts';
export type { BenefitChanged, Recorded } from './benefits/ledger.ts';
export { type Disagreement, ledgerDisagreements, repairLedger } from './benefits/proof.ts';

export { reverseUsage } from './benefits/reversal.ts';
export { syncBenefits, type SyncOptions } from './benefits/sync.ts';
export {
  type FailedSync,
  SYNC_STATES,
  syncFailures,
  type SyncRun,
  syncRuns,
  type SyncState,
  syncWaitSeconds,
} from './benefits/sync-list.ts';
export { type PatientSync, syncPatient } from './benefits/sync-patient.ts';
export { SYNC_FAILURE_CODES, type SyncFailureCode } from './benefits/sync-run.ts';
export { recordUsage } from './benefits/usage.ts';
export {
  type Cost,
  coversVisitAt,
  coverVisit,
  type Settlement,
  settleVisit,
  type VisitState,
} from './benefits/visit.ts';
