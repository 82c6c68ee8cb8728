/** A patient as the rest of the platform sees one. */

export const PATIENT_STATUSES = ['ACTIVE', 'INACTIVE', 'SUSPENDED', 'DECEASED'] as const;
export type PatientStatus = (typeof PATIENT_STATUSES)[number];

export const CHANNELS = ['SMS', 'VOICE', 'EMAIL'] as const;
export type Channel = (typeof CHANNELS)[number];

export interface Preferences {
  /** In the order in which the patient wants to be reached. */
  readonly channels: readonly Channel[];
  /** No messages between these wall-clock times (`20:00`) in the patient's zone; may span midnight. */
  readonly quietHours: { readonly from: string; readonly to: string };
}

export interface Patient {
  readonly id: string;
  readonly externalId: string | null;
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string | null;
  /** E.164: +12125550123. */
  readonly phone: string | null;
  readonly dateOfBirth: Temporal.PlainDate | null;
  /** IANA. */
  readonly timeZone: string;
  /** BCP 47. */
  readonly language: string;
  readonly status: PatientStatus;
  readonly preferences: Preferences;
  readonly version: number;
  readonly deletedAt: Temporal.Instant | null;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}

/** What is seldom needed, and sealed apart from the rest. */
export interface PatientDetails {
  readonly address: Address | null;
  /** E.164, besides the patient's first phone. */
  readonly furtherPhones: readonly string[];
  readonly notes: string | null;
}

export interface Address {
  readonly lines: readonly string[];
  readonly city: string | null;
  readonly state: string | null;
  readonly postalCode: string | null;
  readonly country: string | null;
}
