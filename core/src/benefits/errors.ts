import type { Decimal } from 'decimal.js';
import { DomainError } from '#platform/errors';
import type { EligibilityReason } from './decision.ts';
import type { DriftKind } from './drift.ts';

/** Nothing was taken: not as much is available. */
export class InsufficientBenefit extends DomainError {
  readonly code = 'INSUFFICIENT_BENEFIT';
  readonly available: Decimal;
  readonly required: Decimal;
  constructor(available: Decimal, required: Decimal) {
    super(`${required.toFixed(2)} is asked for, and ${available.toFixed(2)} is available`);
    this.available = available;
    this.required = required;
  }
}

/** More would be taken back than is left of what was used. */
export class ReversalTooLarge extends DomainError {
  readonly code = 'REVERSAL_TOO_LARGE';
  readonly reversible: Decimal;
  constructor(reversible: Decimal) {
    super(`${reversible.toFixed(2)} of this entry can be taken back`);
    this.reversible = reversible;
  }
}

/** No benefit of the patient pays for the visit; it can be had all the same, by whoever accepts that. */
export class BenefitNotCovering extends DomainError {
  readonly code = 'BENEFIT_NOT_COVERING';
  readonly reasons: readonly EligibilityReason[];
  /** Of the benefit that comes nearest; null where there is none. */
  readonly available: Decimal | null;
  readonly required: Decimal;
  constructor(reasons: readonly EligibilityReason[], required: Decimal, available: Decimal | null) {
    super(`No benefit pays for this visit (${reasons.join(', ')}); it can be booked if that is accepted`);
    this.reasons = reasons;
    this.required = required;
    this.available = available;
  }
}

/** It is decided, or has closed by itself. */
export class DriftSettled extends DomainError {
  readonly code = 'DRIFT_SETTLED';
  readonly status: 'ACCEPTED' | 'RESOLVED';
  constructor(status: 'ACCEPTED' | 'RESOLVED') {
    super(status === 'ACCEPTED' ? 'This drift is accepted already' : 'Both sides agree by now, or the period is over');
    this.status = status;
  }
}

/** No correction of an amount makes both agree: a person has to do something else. */
export class DriftNotCorrectable extends DomainError {
  readonly code = 'DRIFT_NOT_CORRECTABLE';
  readonly kind: DriftKind;
  constructor(kind: DriftKind) {
    super(`No amount can be corrected here (${kind}); settle it with the payer, or change the benefit`);
    this.kind = kind;
  }
}

/** Another answer of the payer, or another person, changed it since the caller read it. */
export class StaleDrift extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super('The drift was changed in the meantime');
    this.currentVersion = currentVersion;
  }
}

/** The payer cannot be asked about this patient: none is configured, or the patient has no id there. */
export class NotAtPayer extends DomainError {
  readonly code = 'NOT_AT_PAYER';
  constructor() {
    super('The payer cannot be asked about this patient');
  }
}

/** The payer gave no answer that can be used; nothing was changed. */
export class PayerFailed extends DomainError {
  readonly code: 'PAYER_UNREACHABLE' | 'PAYER_ERROR';
  constructor(code: 'PAYER_UNREACHABLE' | 'PAYER_ERROR') {
    super(code === 'PAYER_UNREACHABLE' ? 'The payer does not answer now' : 'The payer gave no usable answer');
    this.code = code;
  }
}
