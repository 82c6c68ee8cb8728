/** Booking, moving and changing appointments. */
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { PROBLEMS } from './appointment-problems.ts';
import { Appointment, AppointmentStatus, CancellationReason, ConflictRule, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { CareServiceType } from './directory.ts';
import { WRITE } from './results.ts';

const staff = { staff: true } as const;
const SEEN = 'The version you have seen; a newer one makes the change fail.';

const Disambiguation = builder.enumType('Disambiguation', {
  description: 'Which of two: clocks that are set back show an hour twice.',
  values: scheduling.DISAMBIGUATIONS,
});

const OverrideInput = builder.inputType('OverrideInput', {
  description: 'The rules to break on purpose, and why. For admins, and agents with a grant.',
  fields: (t) => ({
    rules: t.field({ type: [ConflictRule], required: true }),
    reason: t.string({ required: true }),
  }),
});

const HoldSlotInput = builder.inputType('HoldSlotInput', {
  fields: (t) => ({
    patientId: t.id({ required: true }),
    providerId: t.id({ required: true }),
    service: t.field({ type: CareServiceType, required: true }),
    startsAt: t.field({ type: 'DateTime', description: 'Either an instant or a local time.' }),
    localStart: t.field({ type: 'LocalDateTime', description: 'Read in `timeZone`, the provider’s unless given.' }),
    timeZone: t.string(),
    disambiguation: t.field({ type: Disambiguation, description: 'EARLIER unless given.' }),
    minutes: t.int({ description: 'As long as the service usually is, unless given.' }),
    expiresInMinutes: t.int({ description: '1 to 15; 3 unless given.' }),
    acceptUncovered: t.boolean({ description: 'Book it also when no benefit pays for it.' }),
  }),
});

const ScheduleAppointmentInput = builder.inputType('ScheduleAppointmentInput', {
  fields: (t) => ({
    patientId: t.id({ required: true }),
    providerId: t.id({ required: true }),
    service: t.field({ type: CareServiceType, required: true }),
    startsAt: t.field({ type: 'DateTime', description: 'Either an instant or a local time, unless there is a hold.' }),
    localStart: t.field({ type: 'LocalDateTime', description: 'Read in `timeZone`, the provider’s unless given.' }),
    timeZone: t.string(),
    disambiguation: t.field({ type: Disambiguation, description: 'EARLIER unless given.' }),
    minutes: t.int({ description: 'As long as the service usually is, unless given.' }),
    notes: t.string(),
    holdId: t.id({ description: 'Turns this hold into the appointment.' }),
    acceptUncovered: t.boolean({ description: 'Book it also when no benefit pays for it.' }),
    override: t.field({ type: OverrideInput }),
  }),
});

const RescheduleAppointmentInput = builder.inputType('RescheduleAppointmentInput', {
  description: 'What is left out stays as it is.',
  fields: (t) => ({
    startsAt: t.field({ type: 'DateTime', description: 'Either an instant or a local time.' }),
    localStart: t.field({
      type: 'LocalDateTime',
      description: 'Read in `timeZone`, the appointment’s own unless given.',
    }),
    timeZone: t.string(),
    disambiguation: t.field({ type: Disambiguation, description: 'EARLIER unless given.' }),
    minutes: t.int(),
    providerId: t.id(),
    reason: t.string(),
    acceptUncovered: t.boolean({ description: 'Book it also when no benefit pays for it.' }),
    override: t.field({ type: OverrideInput }),
  }),
});

const CancelAppointmentInput = builder.inputType('CancelAppointmentInput', {
  fields: (t) => ({
    reason: t.field({ type: CancellationReason, required: true, description: 'EXPIRED is not for people.' }),
    note: t.string({ description: 'In words.' }),
  }),
});

const UpdateAppointmentInput = builder.inputType('UpdateAppointmentInput', {
  fields: (t) => ({ notes: t.string({ description: 'Null clears.' }) }),
});

builder.mutationFields((t) => ({
  holdSlot: t.field({
    type: Appointment,
    description: 'Keeps a time for some minutes, in which nobody else can have it.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: PROBLEMS.hold },
    args: { input: t.arg({ type: HoldSlotInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) => {
      const { expiresInMinutes, ...request } = input;
      return scheduling.hold(scope, {
        ...request,
        ...(typeof expiresInMinutes === 'number' ? { expiresInMinutes } : {}),
        idempotencyKey,
      });
    },
  }),
  scheduleAppointment: t.field({
    type: Appointment,
    authScopes: readers,
    complexity: WRITE,
    errors: { types: PROBLEMS.schedule },
    args: { input: t.arg({ type: ScheduleAppointmentInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) => scheduling.schedule(scope, { ...input, idempotencyKey }),
  }),
  rescheduleAppointment: t.field({
    type: Appointment,
    description: 'It keeps its id and is SCHEDULED again. Patients: up to 24 hours before.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: PROBLEMS.reschedule },
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: RescheduleAppointmentInput, required: true }),
      version: t.arg.int({ description: SEEN }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input, ...rest }, { scope }) => scheduling.reschedule(scope, id, { ...input, ...rest }),
  }),
}));

builder.mutationFields((t) => ({
  cancelAppointment: t.field({
    type: Appointment,
    description: 'Also gives up a hold. Patients: up to 24 hours before the visit.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: PROBLEMS.cancel },
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: CancelAppointmentInput, required: true }),
      version: t.arg.int({ description: SEEN }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input: { reason, note }, ...rest }, { scope }) =>
      scheduling.cancel(scope, id, { reason: reason as 'ERROR', note, ...rest }),
  }),
  updateAppointmentStatus: t.field({
    type: Appointment,
    description:
      'Any move of the status machine. CANCELLED needs a coded reason; a correction, up to 30 days after the visit, one in words.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: PROBLEMS.takeBack },
    args: {
      id: t.arg.id({ required: true }),
      status: t.arg({ type: AppointmentStatus, required: true }),
      reason: t.arg.string(),
      cancellationReason: t.arg({ type: CancellationReason }),
      override: t.arg({ type: OverrideInput }),
      acceptUncovered: t.arg.boolean({ description: 'Of a correction: also when no benefit pays for it any more.' }),
      version: t.arg.int({ description: SEEN }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, cancellationReason, ...change }, { scope }) =>
      scheduling.changeStatus(scope, id, { ...change, cancellationReason: cancellationReason as 'ERROR' | null }),
  }),
  updateAppointment: t.field({
    type: Appointment,
    description: 'Changes the notes.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: PROBLEMS.update },
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateAppointmentInput, required: true }),
      version: t.arg.int({ description: SEEN }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input, ...rest }, { scope }) => scheduling.update(scope, id, { ...input, ...rest }),
  }),
}));

type Step = (scope: Scope, id: string, step: scheduling.Step) => Promise<scheduling.Appointment>;

interface StepField {
  readonly step: Step;
  readonly audience: typeof readers | typeof staff;
  readonly problems?: typeof PROBLEMS.complete;
}

/** A mutation of its own for each move of the day. */
function stepField(name: string, description: string, { step, audience, problems = PROBLEMS.step }: StepField) {
  builder.mutationField(name, (t) =>
    t.field({
      type: Appointment,
      description,
      authScopes: audience,
      complexity: WRITE,
      errors: { types: problems },
      args: {
        id: t.arg.id({ required: true }),
        reason: t.arg.string(),
        version: t.arg.int({ description: SEEN }),
        idempotencyKey: t.arg.string(),
      },
      resolve: (_root, { id, ...given }, { scope }) => step(scope, id, given),
    }),
  );
}

stepField('confirmAppointment', 'The patient comes.', { step: scheduling.confirm, audience: readers });
stepField('checkInAppointment', 'The patient is here.', { step: scheduling.checkIn, audience: staff });
stepField('startAppointment', 'The visit has begun.', { step: scheduling.start, audience: staff });
stepField('completeAppointment', 'The visit is over: not before its start.', {
  step: scheduling.complete,
  audience: staff,
  problems: PROBLEMS.complete,
});
stepField('markNoShow', 'The patient did not come: 15 minutes after the start at the earliest.', {
  step: scheduling.markNoShow,
  audience: staff,
});
