/**
 * What callers can be expected to handle. Everything else that is thrown is a bug or an outage: it is
 * logged with its request id and masked. A context adds its own errors beside its code; there is no
 * central list, and GraphQL declares per mutation which of them are part of the answer.
 */
export abstract class DomainError extends Error {
  /** Stable and machine-readable; clients switch on it. The message is for people and may change. */
  abstract readonly code: string;
}

/** Also the answer for a record that exists but is not the caller's to know of. */
export class NotFound extends DomainError {
  readonly code = 'NOT_FOUND';
  constructor(what: string) {
    super(`${what} does not exist`);
  }
}

export class Forbidden extends DomainError {
  readonly code = 'FORBIDDEN';
  constructor(action: string) {
    super(`You may not ${action}`);
  }
}

export class Unauthenticated extends DomainError {
  readonly code = 'UNAUTHENTICATED';
  constructor(message = 'Sign in first') {
    super(message);
  }
}

export interface InputIssue {
  /** Where in the input: field names, and indexes as decimal strings. */
  readonly path: readonly string[];
  readonly message: string;
}

/** Every issue of an input at once, each with its path. The input itself is never repeated: it may be PHI. */
export class InvalidInput extends DomainError {
  readonly code = 'INVALID_INPUT';
  readonly issues: readonly InputIssue[];
  constructor(issues: readonly InputIssue[]) {
    super(issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message)).join('; '));
    this.issues = issues;
  }
}

export class IdempotencyMismatch extends DomainError {
  readonly code = 'IDEMPOTENCY_MISMATCH';
  constructor() {
    super('This idempotency key was already used with another input');
  }
}

export class RateLimited extends DomainError {
  readonly code = 'RATE_LIMITED';
  readonly retryAfterSeconds: number;
  constructor(retryAfterSeconds: number) {
    super(`Too many attempts; try again in ${retryAfterSeconds} s`);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
