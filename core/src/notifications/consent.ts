/** Consent, opt-out, and the numbers and addresses that they belong to. */

export const PURPOSES = ['CARE_REMINDER', 'BENEFITS_NOTICE', 'SURVEY'] as const;
export type Purpose = (typeof PURPOSES)[number];

export const CONSENT_STATUSES = ['GIVEN', 'WITHDRAWN'] as const;
export type ConsentStatus = (typeof CONSENT_STATUSES)[number];

export const CONSENT_SOURCES = ['PATIENT', 'AGENT', 'WRITTEN_FORM', 'IMPORT', 'INBOUND_MESSAGE'] as const;
export type ConsentSource = (typeof CONSENT_SOURCES)[number];

export type OptOutSource = 'INBOUND_MESSAGE' | 'PROVIDER' | 'PATIENT' | 'AGENT';

/** SMS and VOICE go to a phone. */
export type ContactKind = 'PHONE' | 'EMAIL';
