/**
 * What every change of an appointment leaves behind, in its own transaction: a row of its history, what the benefit that
 * pays for it has to do with it, an audit record, an event. They are numbered alike: one of each for every version.
 */
import type { Insertable } from 'kysely';
import * as audit from '#audit';
import type { PatientKey } from '#care';
import { type Database, unansweredStatement } from '#platform/database';
import { emit } from '#platform/events';
import type { Scope } from '#platform/scope';
import type { AppointmentRow, AppointmentStatus } from './appointment.ts';
import { settle } from './coverage.ts';

declare module '#platform/events' {
  interface Events {
    'appointment.held': AppointmentChanged;
    'appointment.scheduled': AppointmentChanged;
    'appointment.rescheduled': AppointmentChanged;
    'appointment.confirmed': AppointmentChanged;
    'appointment.checked_in': AppointmentChanged;
    'appointment.started': AppointmentChanged;
    'appointment.completed': AppointmentChanged;
    'appointment.missed': AppointmentChanged;
    /** Also a hold that was given up or has lapsed. */
    'appointment.cancelled': AppointmentChanged;
    'appointment.corrected': AppointmentChanged;
    /** Its notes. */
    'appointment.updated': AppointmentChanged;
  }
}

export interface AppointmentChanged {
  readonly appointmentId: string;
  readonly patientId: string;
  readonly providerId: string;
  /** Whose visit it was before, when it has moved to another provider: they have to hear of it too. */
  readonly previousProviderId?: string;
  readonly version: number;
}

export const APPOINTMENT_TOPICS = [
  'appointment.held',
  'appointment.scheduled',
  'appointment.rescheduled',
  'appointment.confirmed',
  'appointment.checked_in',
  'appointment.started',
  'appointment.completed',
  'appointment.missed',
  'appointment.cancelled',
  'appointment.corrected',
  'appointment.updated',
] as const;
export type AppointmentTopic = (typeof APPOINTMENT_TOPICS)[number];

export interface Change {
  readonly topic: AppointmentTopic;
  /** For the audit trail: `appointment.cancel`. */
  readonly action: string;
  /** Null for a new appointment. */
  readonly from: AppointmentStatus | null;
  readonly changedFields: readonly string[];
  /** Of the row before, where that can be another one. */
  readonly previousProviderId?: string;
  /** Words of a person, sealed. */
  readonly reason?: { readonly text: string; readonly key: PatientKey } | null;
}

/** Where the reason of a change is sealed for. */
export const reasonOf = (appointmentId: string, version: number) => ({
  table: 'appointment_changes',
  column: 'reason',
  row: `${appointmentId} ${version}`,
});

/** Writes down what became of the row. */
export async function recordChange(scope: Scope, row: AppointmentRow, change: Change): Promise<void> {
  const { id, version } = row;
  const { action, changedFields, reason } = change;
  await insertChange(scope.db, {
    appointment_id: id,
    version,
    revision: row.revision,
    from_status: change.from,
    to_status: row.status,
    starts_at: row.starts_at.toISOString(),
    ends_at: row.ends_at.toISOString(),
    provider_id: row.provider_id,
    actor_id: scope.actor.id,
    actor_role: scope.actor.role,
    cancellation_reason: row.cancellation_reason,
    reason: reason ? reason.key.seal(reasonOf(id, version), reason.text) : null,
    at: scope.now.toString(),
  });
  await settle(scope, row, change.from);
  await audit.record(scope, {
    action,
    resourceType: 'Appointment',
    resourceId: id,
    patientIds: [row.patient_id],
    changedFields,
  });
  const { patient_id: patientId, provider_id: providerId } = row;
  const { previousProviderId = providerId } = change;
  const moved = previousProviderId === providerId ? {} : { previousProviderId };
  await emit(scope, change.topic, { appointmentId: id, patientId, providerId, ...moved, version });
}

type NewChange = Required<Insertable<Database['appointment_changes']>>;

const insertChange = unansweredStatement<NewChange>((db, change) =>
  db
    .insertInto('appointment_changes')
    .values({
      appointment_id: change.appointment_id,
      version: change.version,
      revision: change.revision,
      from_status: change.from_status,
      to_status: change.to_status,
      starts_at: change.starts_at,
      ends_at: change.ends_at,
      provider_id: change.provider_id,
      actor_id: change.actor_id,
      actor_role: change.actor_role,
      cancellation_reason: change.cancellation_reason,
      reason: change.reason,
      at: change.at,
    })
    .$castTo<never>(),
);
