import { BenefitNotCovering } from '@careflex/core/benefits';
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { Appointment, AppointmentStatus, ConflictRule, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Slot } from './slots.ts';

const refusal = { interfaces: [Problem], authScopes: readers };

export const Conflict = builder.objectRef<scheduling.Conflict>('Conflict').implement({
  description: 'A rule that the time breaks, and what stands in the way.',
  authScopes: readers,
  fields: (t) => ({
    rule: t.expose('rule', { type: ConflictRule }),
    resource: t.exposeString('resource', { description: 'Whose rule it is: Patient, Provider or Service.' }),
    startsAt: t.expose('startsAt', { type: 'DateTime', description: 'Of the range that is blocked.' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    appointment: t.loadable({
      type: Appointment,
      nullable: true,
      description: 'What has the time, where you may know of it.',
      loaderOptions: { cache: false },
      load: (ids: string[], { scope }) => appointmentsOf(scope, ids),
      resolve: ({ appointmentId }) => appointmentId,
    }),
    overridable: t.boolean({
      description: 'Whether you may break the rule on purpose.',
      resolve: (conflict, _args, { scope }) => scheduling.mayOverrideConflict(scope, conflict),
    }),
  }),
});

export async function appointmentsOf(scope: Scope, ids: readonly string[]): Promise<(scheduling.Appointment | null)[]> {
  const found = await scheduling.appointmentsByIds(scope, ids);
  return ids.map((id) => found.get(id) ?? null);
}

builder.objectType(scheduling.AppointmentConflict, {
  name: 'AppointmentConflict',
  description: 'The time cannot be had: every rule that it breaks, and the nearest times that can.',
  ...refusal,
  fields: (t) => ({
    conflicts: t.field({ type: [Conflict], resolve: ({ conflicts }) => [...conflicts] }),
    alternatives: t.field({ type: [Slot], resolve: ({ alternatives }) => [...alternatives] }),
  }),
});

builder.objectType(scheduling.IllegalTransition, {
  name: 'IllegalTransition',
  description: 'The status cannot follow: not ever, not now, or not by you.',
  ...refusal,
  fields: (t) => ({
    from: t.expose('from', { type: AppointmentStatus }),
    to: t.expose('to', { type: AppointmentStatus }),
    allowed: t.field({
      type: [AppointmentStatus],
      description: 'What would be accepted at this moment.',
      resolve: ({ allowed }) => [...allowed],
    }),
  }),
});

builder.objectType(scheduling.StaleVersion, {
  name: 'StaleVersion',
  description: 'The appointment was changed since the version that was named.',
  ...refusal,
  fields: (t) => ({ current: t.expose('current', { type: Appointment }) }),
});

builder.objectType(scheduling.HoldExpired, {
  name: 'HoldExpired',
  description: 'The hold has lapsed; its time may be free still.',
  ...refusal,
  fields: (t) => ({ expiredAt: t.expose('expiredAt', { type: 'DateTime' }) }),
});

builder.objectType(scheduling.TooManyHolds, {
  name: 'TooManyHolds',
  description: 'Patients keep a few times at once: book one of them, or wait until it lapses.',
  ...refusal,
  fields: (t) => ({ limit: t.exposeInt('limit', { description: 'How many at once.' }) }),
});

builder.objectType(scheduling.TooLateToChange, {
  name: 'TooLateToChange',
  description: 'Patients change their visits up to 24 hours before. Now they call the clinic.',
  ...refusal,
  fields: (t) => ({
    until: t.expose('until', { type: 'DateTime', description: 'Until when it was possible.' }),
    phone: t.exposeString('phone', { nullable: true, description: 'Whom to call, E.164.' }),
  }),
});

const ProviderUnavailability = builder.enumType('ProviderUnavailability', { values: scheduling.UNAVAILABILITIES });
builder.objectType(scheduling.ProviderUnavailable, {
  name: 'ProviderUnavailable',
  description: 'The provider takes no such visits.',
  ...refusal,
  fields: (t) => ({ reason: t.expose('reason', { type: ProviderUnavailability }) }),
});

builder.objectType(scheduling.PatientNotBookable, {
  name: 'PatientNotBookable',
  description: 'The patient can have no new visits.',
  ...refusal,
});

const CHANGE = [NotFound, InvalidInput, IdempotencyMismatch];
const BOOKING = [
  ...CHANGE,
  scheduling.AppointmentConflict,
  scheduling.ProviderUnavailable,
  scheduling.PatientNotBookable,
  BenefitNotCovering,
];

/** What each kind of mutation may answer instead of the appointment. */
export const PROBLEMS = {
  hold: [...BOOKING, scheduling.TooManyHolds],
  schedule: [...BOOKING, scheduling.HoldExpired, scheduling.IllegalTransition],
  reschedule: [...BOOKING, scheduling.IllegalTransition, scheduling.StaleVersion, scheduling.TooLateToChange],
  update: [...CHANGE, scheduling.StaleVersion],
  step: [...CHANGE, scheduling.IllegalTransition, scheduling.StaleVersion],
  /** Of one that was noted as missed, whose time somebody may have taken since. */
  complete: [
    ...CHANGE,
    scheduling.IllegalTransition,
    scheduling.StaleVersion,
    scheduling.AppointmentConflict,
    BenefitNotCovering,
  ],
  cancel: [...CHANGE, scheduling.IllegalTransition, scheduling.StaleVersion, scheduling.TooLateToChange],
  takeBack: [
    ...BOOKING,
    scheduling.HoldExpired,
    scheduling.IllegalTransition,
    scheduling.StaleVersion,
    scheduling.TooLateToChange,
  ],
};
