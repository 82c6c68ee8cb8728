import { DomainError } from '#platform/errors';
import type { Patient } from './patient.ts';

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

/** The patient was changed since the caller read it; `current` is how it stands now. */
export class StalePatient extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly current: Patient;
  constructor(current: Patient) {
    super('The patient was changed by someone else in the meantime');
    this.current = current;
  }
}

/** The generation of the search index that a cursor belongs to has been replaced. */
export class SearchExpired extends DomainError {
  readonly code = 'SEARCH_EXPIRED';
  constructor() {
    super('The search index was rebuilt since this page; start the search again');
  }
}
