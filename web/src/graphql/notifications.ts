/** What patients are told of their visits: planned, sent, or not, and why. */
import * as notifications from '@careflex/core/notifications';
import type { Event } from '@careflex/core/platform/events';
import { Appointment, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { NotificationChannel, Patient } from './patients.ts';
import { IdempotencyMismatch, NotFound, Problem } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;

const NotificationStatus = builder.enumType('NotificationStatus', { values: notifications.NOTIFICATION_STATUSES });

const Notification = builder.objectRef<notifications.ShownNotification>('Notification').implement({
  description: 'A message about one revision of one visit.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    appointmentId: t.exposeID('appointmentId'),
    revision: t.exposeInt('revision', { description: 'Of the visit that it is about.' }),
    channel: t.expose('channel', { type: NotificationChannel }),
    kind: t.exposeString('kind', {
      description: 'CONFIRMATION, REMINDER_24H, REMINDER_2H, CHANGED, CANCELLED or MISSED.',
    }),
    status: t.expose('status', { type: NotificationStatus }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it is not sent, or nobody knows whether it was; coded.',
    }),
    dueAt: t.expose('dueAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'It is not sent after that.' }),
    sentAt: t.expose('sentAt', { type: 'DateTime', nullable: true }),
    deliveredAt: t.expose('deliveredAt', { type: 'DateTime', nullable: true }),
    mergedInto: t.exposeID('mergedInto', {
      nullable: true,
      description: 'Of several visits in one message: the one that carries it.',
    }),
    body: t.exposeString('body', { nullable: true, description: 'What it says, once it is on its way.' }),
    forecast: t.loadable({
      type: 'String',
      nullable: true,
      description:
        'Of a planned one, what will become of it as things stand: WILL_BE_SENT, or why not, such as NO_CONSENT or OPTED_OUT.',
      complexity: ONE_RECORD,
      loaderOptions: { cache: false },
      load: async (rows: notifications.ShownNotification[], { scope }) => {
        const forecasts = await notifications.forecastsOf(scope, rows);
        return rows.map(({ id }) => forecasts.get(id) ?? null);
      },
      resolve: (notification) => notification,
    }),
  }),
});
const NotificationConnection = connectionOf(Notification, 'Notification', readers);

builder.objectField(Patient, 'notifications', (t) =>
  t.loadable({
    type: NotificationConnection,
    description: 'What is due last comes first.',
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    byPath: true,
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }, args) => {
      const pages = await notifications.notificationsOfPatients(scope, ids, args);
      return ids.map((id) => toConnection(pages.get(id) ?? { items: [], hasNextPage: false }));
    },
    resolve: ({ id }) => id,
  }),
);

builder.objectField(Appointment, 'reminders', (t) =>
  t.loadableList({
    type: Notification,
    description: 'Everything that the patient is told of the visit, in the order in which it is due.',
    complexity: { field: ONE_RECORD, multiplier: 5 },
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }) => {
      const found = await notifications.notificationsOfAppointments(scope, ids);
      return ids.map((id) => [...(found.get(id) ?? [])]);
    },
    resolve: ({ id }) => id,
  }),
);

builder.objectType(notifications.NotPlanned, {
  name: 'NotPlanned',
  description: 'Something has become of the message already, or it is too late for it.',
  interfaces: [Problem],
  authScopes: staff,
  fields: (t) => ({ status: t.expose('status', { type: NotificationStatus }) }),
});

builder.queryField('notification', (t) =>
  t.field({
    type: Notification,
    nullable: true,
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => notifications.findNotification(scope, id),
  }),
);

builder.mutationField('sendNow', (t) =>
  t.field({
    type: Notification,
    description: 'Makes a planned message due now. Consent, opt-outs, quiet hours and limits hold as ever.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [NotFound, notifications.NotPlanned, IdempotencyMismatch] },
    args: { notificationId: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { notificationId, idempotencyKey }, { scope }) =>
      notifications.sendNow(scope, notificationId, { idempotencyKey }),
  }),
);

builder.subscriptionField('notificationUpdated', (t) =>
  t.field({
    type: Notification,
    description:
      'Each message that is sent, delivered, skipped, postponed, sent on another way or has failed, of all that the caller may see, of one patient or of one visit, as it is when that is delivered.',
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { patientId: t.arg.id(), appointmentId: t.arg.id() },
    subscribe: async (_root, following, { scope, feed }) =>
      feed.follow({ matches: await notifications.followNotifications(scope, following) }) as Promise<
        AsyncIterable<Event<notifications.NotificationTopic>>
      >,
    resolve: ({ payload }, _args, { scope }) => notifications.getNotification(scope, payload.notificationId),
  }),
);
