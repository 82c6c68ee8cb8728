/** An appointment: one visit of one patient with one provider, over the half-open range `[startsAt, endsAt)`. */
import type { Selectable } from 'kysely';
import * as care from '#care';
import type { Database } from '#platform/database';
import type { Scope } from '#platform/scope';
import { instantOf } from '#platform/times';
import type { ConflictRule } from './conflict.ts';
import type { CareServiceType } from './speciality.ts';

export const APPOINTMENT_STATUSES = [
  'HELD',
  'SCHEDULED',
  'CONFIRMED',
  'CHECKED_IN',
  'IN_PROGRESS',
  'COMPLETED',
  'CANCELLED',
  'NO_SHOW',
] as const;
export type AppointmentStatus = (typeof APPOINTMENT_STATUSES)[number];

export const CANCELLATION_REASONS = ['PATIENT', 'PROVIDER', 'ORGANISATION', 'EXPIRED', 'ERROR'] as const;
export type CancellationReason = (typeof CANCELLATION_REASONS)[number];

export interface Appointment {
  readonly id: string;
  readonly patientId: string;
  readonly providerId: string;
  readonly service: CareServiceType;
  readonly status: AppointmentStatus;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  readonly minutes: number;
  /** IANA: the zone that gave the time its meaning. */
  readonly timeZone: string;
  /** When a hold lapses; null for everything else. */
  readonly expiresAt: Temporal.Instant | null;
  /** The user who holds it; null for everything but a hold. */
  readonly heldBy: string | null;
  /** Null also once the patient is erased. */
  readonly notes: string | null;
  readonly cancellationReason: CancellationReason | null;
  /** The rules that staff broke on purpose. */
  readonly overrides: readonly ConflictRule[];
  readonly seriesId: string | null;
  /** The benefit that pays, and how much; null where none does. */
  readonly benefitId: string | null;
  readonly benefitAmount: string | null;
  /** Grows by one with every change. */
  readonly version: number;
  /** Grows by one when it is moved. */
  readonly revision: number;
  readonly createdAt: Temporal.Instant;
  readonly updatedAt: Temporal.Instant;
}

export type AppointmentRow = Selectable<Database['appointments']>;

/** Opens the rows: one query for the keys, and none where there is nothing to open. */
export async function toAppointments(scope: Scope, rows: readonly AppointmentRow[]): Promise<Appointment[]> {
  const sealed = rows.filter(({ notes }) => notes !== null);
  const keys = await care.keysOf(scope, [...new Set(sealed.map(({ patient_id }) => patient_id))]);
  return rows.map((row) => toAppointment(row, keys.get(row.patient_id)));
}

/** Without a key the notes stay closed. */
export function toAppointment(row: AppointmentRow, key: care.PatientKey | undefined): Appointment {
  const held = row.status === 'HELD';
  return {
    id: row.id,
    patientId: row.patient_id,
    providerId: row.provider_id,
    service: row.service,
    status: row.status,
    startsAt: instantOf(row.starts_at),
    endsAt: instantOf(row.ends_at),
    minutes: (row.ends_at.getTime() - row.starts_at.getTime()) / 60_000,
    timeZone: row.time_zone,
    expiresAt: held && row.expires_at ? instantOf(row.expires_at) : null,
    heldBy: held ? row.held_by : null,
    notes: row.notes && key ? key.open(notesOf(row.id), row.notes) : null,
    cancellationReason: row.cancellation_reason,
    overrides: row.overrides,
    seriesId: row.series_id,
    benefitId: row.benefit_id,
    benefitAmount: row.benefit_amount,
    version: row.version,
    revision: row.revision,
    createdAt: instantOf(row.created_at),
    updatedAt: instantOf(row.updated_at),
  };
}

/** Where the notes of an appointment are sealed for. */
export const notesOf = (appointmentId: string) => ({ table: 'appointments', column: 'notes', row: appointmentId });
