import type { Decimal } from 'decimal.js';
import { DomainError } from '#platform/errors';
import type { EligibilityReason } from './decision.ts';

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
