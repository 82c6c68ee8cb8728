import { type Event, newestSequence } from '@careflex/core/platform/events';
import { asSystem, transact } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { Appointment, readers } from './appointments.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { ONE_RECORD } from './results.ts';

type AppointmentChange = Event<scheduling.AppointmentTopic>;

const AppointmentEvent = builder.objectRef<AppointmentChange>('AppointmentEvent').implement({
  description: 'Something that happened to an appointment. The appointment is as it is when the event is delivered.',
  authScopes: readers,
  fields: (t) => ({
    sequence: t.exposeInt('sequence', { description: 'Resume with it: `appointmentEvents(since: …)`.' }),
    kind: t.string({
      description:
        'HELD, SCHEDULED, RESCHEDULED, CONFIRMED, CHECKED_IN, STARTED, COMPLETED, MISSED, CANCELLED, CORRECTED, UPDATED.',
      resolve: ({ topic }) => topic.replace('appointment.', '').toUpperCase(),
    }),
    at: t.expose('occurredAt', { type: 'DateTime' }),
    appointment: t.field({
      type: Appointment,
      resolve: ({ payload }, _args, { scope }) => scheduling.getAppointment(scope, payload.appointmentId),
    }),
  }),
});

interface Filter {
  readonly patientId?: string | null | undefined;
  readonly providerId?: string | null | undefined;
}

async function follow({ scope, feed }: Context, following: scheduling.Following, since?: number | null) {
  const matches = await scheduling.followAppointments(scope, following);
  return feed.follow({ matches, since }) as Promise<AsyncIterable<AppointmentChange>>;
}

const current = ({ payload }: AppointmentChange, _args: object, { scope }: Context) =>
  scheduling.getAppointment(scope, payload.appointmentId);

const UPDATES = scheduling.APPOINTMENT_TOPICS.filter(
  (topic) => topic !== 'appointment.held' && topic !== 'appointment.scheduled',
);

builder.queryFields((t) => ({
  latestSequence: t.int({
    description:
      'The sequence of the newest event. Ask for it, load a screen, then follow `appointmentEvents` since it: nothing that changed in between is missed.',
    authScopes: readers,
    complexity: ONE_RECORD,
    resolve: (_root, _args, { scope }) => transact(scope, (scope) => newestSequence(asSystem(scope))),
  }),
}));

builder.subscriptionFields((t) => {
  const filter = { patientId: t.arg.id(), providerId: t.arg.id() };
  return {
    appointmentScheduled: t.field({
      type: Appointment,
      description: 'Each visit that is booked, of all that the caller may see, of one patient or of one provider.',
      authScopes: readers,
      complexity: ONE_RECORD,
      args: filter,
      subscribe: (_root, { patientId, providerId }: Filter, context) =>
        follow(context, { patientId, providerId, topics: ['appointment.scheduled'] }),
      resolve: current,
    }),
    appointmentUpdated: t.field({
      type: Appointment,
      description: 'Each visit that is moved, confirmed, cancelled or changed otherwise after it was booked.',
      authScopes: readers,
      complexity: ONE_RECORD,
      args: filter,
      subscribe: (_root, { patientId, providerId }: Filter, context) =>
        follow(context, { patientId, providerId, topics: UPDATES }),
      resolve: current,
    }),
    appointmentEvents: t.field({
      type: AppointmentEvent,
      description:
        'Everything that happens to appointments, each event once and in the order of its sequence. `since` begins behind the event with that sequence and replays what was missed; without it, with what happens from now on.',
      authScopes: readers,
      complexity: ONE_RECORD,
      args: { since: t.arg.int(), ...filter },
      subscribe: (_root, { since, patientId, providerId }, context) =>
        follow(context, { patientId, providerId }, since),
      resolve: (event) => event,
    }),
  };
});
