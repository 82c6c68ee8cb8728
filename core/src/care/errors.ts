import { DomainError } from '#platform/errors';

/** Another live patient has this e-mail address. Says nothing about whom. */
export class EmailTaken extends DomainError {
  readonly code = 'EMAIL_TAKEN';
  constructor() {
    super('Another patient has this e-mail address');
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
