import * as care from '@careflex/core/care';
import { InvalidInput } from '@careflex/core/platform/errors';
import { isTimeZone } from '@careflex/core/platform/config';
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { CareServiceType, Provider } from './directory.ts';
import { localText } from './instant-text.ts';
import { Patient } from './patients.ts';
import { ONE_RECORD } from './results.ts';
import { UserRole } from './roles.ts';
import { providersOf } from './slots.ts';

export const readers = { staff: true, patient: true } as const;

export const AppointmentStatus = builder.enumType('AppointmentStatus', { values: scheduling.APPOINTMENT_STATUSES });
export const CancellationReason = builder.enumType('CancellationReason', { values: scheduling.CANCELLATION_REASONS });
export const ConflictRule = builder.enumType('ConflictRule', { values: scheduling.CONFLICT_RULES });

const StatusChange = builder.objectRef<scheduling.AppointmentChange>('StatusChange').implement({
  description: 'One version of an appointment, and who made it.',
  authScopes: readers,
  fields: (t) => ({
    version: t.exposeInt('version'),
    from: t.expose('from', { type: AppointmentStatus, nullable: true }),
    to: t.expose('to', { type: AppointmentStatus }),
    at: t.expose('at', { type: 'DateTime' }),
    startsAt: t.expose('startsAt', { type: 'DateTime', description: 'Of the visit, from this change on.' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    cancellationReason: t.expose('cancellationReason', { type: CancellationReason, nullable: true }),
    reason: t.exposeString('reason', { nullable: true, description: 'In words. Patients read their own.' }),
    actorRole: t.expose('actorRole', { type: UserRole }),
  }),
});

export const Appointment = builder.objectRef<scheduling.Appointment>('Appointment').implement({
  description: 'One visit of one patient with one provider; also the hold that may become one.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    patient: t.loadable({
      type: Patient,
      load: (ids: string[], { scope }) => patientsOf(scope, ids),
      resolve: ({ patientId }) => patientId,
    }),
    provider: t.loadable({
      type: Provider,
      load: (ids: string[], { scope }) => providersOf(scope, ids),
      resolve: ({ providerId }) => providerId,
    }),
    service: t.expose('service', { type: CareServiceType }),
    status: t.expose('status', { type: AppointmentStatus }),
    startsAt: t.expose('startsAt', { type: 'DateTime' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    minutes: t.exposeInt('minutes'),
    timeZone: t.exposeString('timeZone', { description: 'The zone that gave the time its meaning, IANA.' }),
    localStart: t.string({
      description: 'Such as 2026-03-10T09:00:00-04:00[America/New_York]: in its own zone unless another is named.',
      args: { timeZone: t.arg.string() },
      resolve: ({ startsAt, timeZone }, { timeZone: asked }) => localText(startsAt, knownZone(asked) ?? timeZone),
    }),
    localStartAmbiguous: t.boolean({
      description: 'Whether clocks that are set back show the local start twice; `startsAt` says which one is meant.',
      resolve: ({ startsAt, timeZone }) => scheduling.isAmbiguous(startsAt, timeZone),
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'When a hold lapses.' }),
    notes: t.exposeString('notes', { nullable: true }),
    cancellationReason: t.expose('cancellationReason', { type: CancellationReason, nullable: true }),
    overrides: t.field({
      type: [ConflictRule],
      description: 'The rules that staff broke on purpose.',
      resolve: ({ overrides }) => [...overrides],
    }),
    seriesId: t.exposeID('seriesId', { nullable: true }),
    version: t.exposeInt('version', { description: 'Grows by one with every change.' }),
    revision: t.exposeInt('revision', { description: 'Grows by one when it is moved, or arranged anew.' }),
    history: t.loadableList({
      type: StatusChange,
      complexity: { field: ONE_RECORD, multiplier: 5 },
      // Not kept: a later mutation of the same operation adds to it.
      loaderOptions: { cache: false },
      load: (ids: string[], { scope }) => changesOf(scope, ids),
      resolve: ({ id }) => id,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});
export const AppointmentConnection = connectionOf(Appointment, 'Appointment', readers);

export async function patientsOf(scope: Scope, ids: readonly string[]): Promise<(care.Patient | Error)[]> {
  const patients = await care.patientsOnRecord(scope, ids);
  return ids.map((id) => patients.get(id) ?? new Error('A record of no patient'));
}

async function changesOf(scope: Scope, ids: readonly string[]): Promise<scheduling.AppointmentChange[][]> {
  const histories = await scheduling.historiesOf(scope, ids);
  return ids.map((id) => [...(histories.get(id) ?? [])]);
}

function knownZone(timeZone: string | null | undefined): string | null {
  if (!timeZone || isTimeZone(timeZone)) return timeZone ?? null;
  const message = 'expected an IANA time zone such as America/New_York';
  throw new InvalidInput([{ path: ['timeZone'], message }]);
}

builder.objectField(Patient, 'appointments', (t) =>
  t.loadable({
    type: AppointmentConnection,
    description: 'In the order of their start.',
    complexity: pageCost,
    args: {
      first: t.arg.int(),
      after: t.arg.string(),
      status: t.arg({ type: [AppointmentStatus] }),
      from: t.arg({ type: 'DateTime', description: 'Starts from this instant on.' }),
      to: t.arg({ type: 'DateTime', description: 'Starts before this instant.' }),
    },
    byPath: true,
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }, args) => {
      const pages = await scheduling.appointmentsOfPatients(scope, ids, args);
      return ids.map((id) => toConnection(pages.get(id) ?? { items: [], hasNextPage: false }));
    },
    resolve: ({ id }) => id,
  }),
);

builder.queryFields((t) => ({
  appointment: t.field({
    type: Appointment,
    nullable: true,
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => scheduling.findAppointment(scope, id),
  }),
  appointments: t.field({
    type: AppointmentConnection,
    description:
      'By any mix of patient, provider, statuses and range, in the order of their start. Patients have their own.',
    authScopes: readers,
    complexity: pageCost,
    args: {
      patientId: t.arg.id(),
      providerId: t.arg.id(),
      status: t.arg({ type: [AppointmentStatus] }),
      from: t.arg({ type: 'DateTime', description: 'Starts from this instant on.' }),
      to: t.arg({ type: 'DateTime', description: 'Starts before this instant.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await scheduling.appointments(scope, args)),
  }),
  upcomingAppointments: t.field({
    type: [Appointment],
    description: 'The next visits of a patient that are not over, from the first on.',
    authScopes: readers,
    complexity: pageCost,
    args: { patientId: t.arg.id({ required: true }), first: t.arg.int() },
    resolve: (_root, { patientId, first }, { scope }) => scheduling.upcomingAppointments(scope, patientId, { first }),
  }),
}));
