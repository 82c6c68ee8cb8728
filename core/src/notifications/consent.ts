/** Consent: what a patient agreed to get, where, and what proves it. */
import type { Role } from '#platform/scope';

export const PURPOSES = ['CARE_REMINDER', 'BENEFITS_NOTICE', 'SURVEY'] as const;
export type Purpose = (typeof PURPOSES)[number];

export const CONSENT_STATUSES = ['GIVEN', 'WITHDRAWN'] as const;
export type ConsentStatus = (typeof CONSENT_STATUSES)[number];

export const CONSENT_SOURCES = ['PATIENT', 'AGENT', 'WRITTEN_FORM', 'IMPORT', 'INBOUND_MESSAGE'] as const;
export type ConsentSource = (typeof CONSENT_SOURCES)[number];

/** INBOUND_MESSAGE: a word such as STOP. CALL: a key that was pressed in a call. PROVIDER: whom it lets nothing through to. */
export const OPT_OUT_SOURCES = ['INBOUND_MESSAGE', 'CALL', 'PROVIDER', 'PATIENT', 'AGENT'] as const;
export type OptOutSource = (typeof OPT_OUT_SOURCES)[number];

/** SMS and VOICE go to a phone. */
export const CONTACT_KINDS = ['PHONE', 'EMAIL'] as const;
export type ContactKind = (typeof CONTACT_KINDS)[number];

export interface Consent {
  readonly id: string;
  readonly patientId: string;
  readonly contactKind: ContactKind;
  /** The number or address, while it is the one on record; null for a former one, which is kept as a hash only. */
  readonly contact: string | null;
  readonly purpose: Purpose;
  readonly status: ConsentStatus;
  readonly source: ConsentSource;
  /** Which words the patient agreed to. */
  readonly wordingVersion: string;
  /** Who said what, where the form is. For staff; null for patients. */
  readonly evidence: string | null;
  readonly recordedRole: Role;
  readonly recordedAt: Temporal.Instant;
}
