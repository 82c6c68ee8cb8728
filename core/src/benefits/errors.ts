import type { Decimal } from 'decimal.js';
import { DomainError } from '#platform/errors';

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
