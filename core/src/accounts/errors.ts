import { DomainError } from '#platform/errors';

/** This key was made by an earlier call with the same idempotency key; nothing is made again. */
export class ApiKeyShown extends DomainError {
  readonly code = 'API_KEY_SHOWN';
  readonly apiKeyId: string;
  constructor(apiKeyId: string) {
    super('The key was made, and shown that once; if its answer was lost, revoke it and make another');
    this.apiKeyId = apiKeyId;
  }
}

/** Another user has this e-mail address. */
export class EmailInUse extends DomainError {
  readonly code = 'EMAIL_IN_USE';
  constructor() {
    super('There is already a user with this e-mail address');
  }
}

/** The patient already has a user. Told only to whom has proven to be that patient. */
export class AlreadyRegistered extends DomainError {
  readonly code = 'ALREADY_REGISTERED';
  constructor() {
    super('You are registered already; sign in, or ask the clinic to reset your password');
  }
}

/** One answer for a wrong code, a spent one, an expired one and one that never was. */
export class VerificationFailed extends DomainError {
  readonly code = 'VERIFICATION_FAILED';
  constructor(message = 'The code or the date of birth is wrong, or the code has expired') {
    super(message);
  }
}

/** The current password that was given for a change is not the user's. */
export class WrongPassword extends DomainError {
  readonly code = 'WRONG_PASSWORD';
  constructor() {
    super('The current password is wrong');
  }
}

/** The issuer's subject is linked to a user already, or the user to another subject of that issuer. */
export class IdentityInUse extends DomainError {
  readonly code = 'IDENTITY_IN_USE';
  constructor() {
    super('This subject, or this user, is already linked at the issuer');
  }
}
