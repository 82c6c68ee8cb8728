import { DomainError } from '#platform/errors';

/** Another live patient has this e-mail address. Says nothing about whom. */
export class EmailTaken extends DomainError {
  readonly code = 'EMAIL_TAKEN';
  constructor() {
    super('Another patient has this e-mail address');
  }
}

/**
 * Patients write no new e-mail address without a proof that it is theirs: it would tell whether another patient has
 * it, and keep out whom it belongs to.
 */
export class EmailUnproven extends DomainError {
  readonly code = 'EMAIL_UNPROVEN';
  /** The clinic's number in E.164, where it is known. */
  readonly phone: string | null;
  constructor(phone: string | null) {
    super(unproven('e-mail address', phone));
    this.phone = phone;
  }
}

/** Nor a new first phone: whoever has it is told of visits, and may register. */
export class PhoneUnproven extends DomainError {
  readonly code = 'PHONE_UNPROVEN';
  /** The clinic's number in E.164, where it is known. */
  readonly phone: string | null;
  constructor(phone: string | null) {
    super(unproven('phone', phone));
    this.phone = phone;
  }
}

function unproven(contact: string, phone: string | null): string {
  const clinic = `call the clinic${phone === null ? '' : ` at ${phone}`}`;
  return `To change your ${contact} please prove it with requestContactChange, or ${clinic}`;
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
