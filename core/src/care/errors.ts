import { DomainError } from '#platform/errors';

/** Another live patient has this e-mail address. Says nothing about whom. */
export class EmailTaken extends DomainError {
  readonly code = 'EMAIL_TAKEN';
  constructor() {
    super('Another patient has this e-mail address');
  }
}

/**
 * Patients give no new e-mail address themselves: it would tell whether another patient has it, and keep out whom it
 * belongs to. The clinic writes it, once they know whose it is.
 */
export class EmailUnproven extends DomainError {
  readonly code = 'EMAIL_UNPROVEN';
  /** The clinic's number in E.164, where it is known. */
  readonly phone: string | null;
  constructor(phone: string | null) {
    super(`To change your e-mail address please call the clinic${phone === null ? '' : ` at ${phone}`}`);
    this.phone = phone;
  }
}

export class ExternalIdTaken extends DomainError {
  readonly code = 'EXTERNAL_ID_TAKEN';
  constructor() {
    super('Another patient has this external id');
  }
}

/** The patient was changed since the caller read it. */
export class StalePatient extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super('The patient was changed by someone else in the meantime');
    this.currentVersion = currentVersion;
  }
}

/** The generation of the search index that a cursor belongs to has been replaced. */
export class SearchExpired extends DomainError {
  readonly code = 'SEARCH_EXPIRED';
  constructor() {
    super('The search index was rebuilt since this page; start the search again');
  }
}
