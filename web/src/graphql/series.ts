/** Visits that repeat. */
import * as scheduling from '@careflex/core/scheduling';
import { Conflict, PROBLEMS } from './appointment-problems.ts';
import { Appointment, CancellationReason, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { CareServiceType } from './directory.ts';
import { localText } from './instant-text.ts';
import { Problem } from './problems.ts';
import { WRITE } from './results.ts';

const SeriesPart = builder.enumType('SeriesPart', {
  description: 'This visit, this and those after it, or all that are still ahead.',
  values: scheduling.SERIES_PARTS,
});

const Occurrence = builder.objectRef<scheduling.Occurrence>('Occurrence').implement({
  description: 'A visit of a series that is not booked yet.',
  authScopes: readers,
  fields: (t) => ({
    startsAt: t.expose('startsAt', { type: 'DateTime' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    localStart: t.string({
      description: 'Such as 2026-03-10T09:00:00-04:00[America/New_York].',
      resolve: ({ startsAt, timeZone }) => localText(startsAt, timeZone),
    }),
    timeZone: t.exposeString('timeZone'),
    conflicts: t.field({
      type: [Conflict],
      description: 'What stands in its way; nothing when it can be booked.',
      resolve: ({ conflicts }) => [...conflicts],
    }),
  }),
});

const AppointmentSeries = builder.objectRef<readonly scheduling.Appointment[]>('AppointmentSeries').implement({
  description: 'The visits of a series as they stand, in the order of their start.',
  authScopes: readers,
  fields: (t) => ({
    id: t.id({ nullable: true, resolve: ([first]) => first?.seriesId ?? null }),
    appointments: t.field({ type: [Appointment], resolve: (visits) => [...visits] }),
  }),
});

builder.objectType(scheduling.SeriesConflict, {
  name: 'SeriesConflict',
  description: 'A series is booked, or moved, as a whole, and some of its visits cannot be.',
  interfaces: [Problem],
  authScopes: readers,
  fields: (t) => ({
    occurrences: t.field({
      type: [Occurrence],
      description: 'Those that cannot be.',
      resolve: ({ occurrences }) => [...occurrences],
    }),
  }),
});

const SeriesInput = builder.inputType('SeriesInput', {
  description: 'Visits at one time on the wall, whatever the clocks do.',
  fields: (t) => ({
    patientId: t.id({ required: true }),
    providerId: t.id({ required: true }),
    service: t.field({ type: CareServiceType, required: true }),
    localStart: t.field({ type: 'LocalDateTime', required: true, description: 'Of the first visit.' }),
    timeZone: t.string({ description: 'The provider’s unless given.' }),
    minutes: t.int({ description: 'As long as the service usually is, unless given.' }),
    everyWeeks: t.int({ description: '1 to 52; 1 unless given.' }),
    weekdays: t.intList({ description: '1 to 7 from Monday; the first visit’s own day unless given.' }),
    count: t.int({ required: true, description: '1 to 104.' }),
    except: t.field({ type: ['Date'], description: 'Local dates to leave out; they count all the same.' }),
    notes: t.string(),
    acceptUncovered: t.boolean({ description: 'Book it also when no benefit pays for it.' }),
  }),
});

const RescheduleSeriesInput = builder.inputType('RescheduleSeriesInput', {
  description: 'What is left out stays as it is.',
  fields: (t) => ({
    part: t.field({ type: SeriesPart, required: true }),
    localStart: t.field({
      type: 'LocalDateTime',
      description: 'Of the visit that is named; the others move by as many days, to the same time on the wall.',
    }),
    timeZone: t.string(),
    minutes: t.int(),
    providerId: t.id(),
    reason: t.string(),
    acceptUncovered: t.boolean({ description: 'Book it also when no benefit pays for it.' }),
  }),
});

const CancelSeriesInput = builder.inputType('CancelSeriesInput', {
  fields: (t) => ({
    part: t.field({ type: SeriesPart, required: true }),
    reason: t.field({ type: CancellationReason, required: true, description: 'EXPIRED is not for people.' }),
    note: t.string({ description: 'In words.' }),
  }),
});

/** Points that a whole series costs. */
const WHOLE_SERIES = { field: WRITE, multiplier: 10 };

builder.queryFields((t) => ({
  previewSeries: t.field({
    type: [Occurrence],
    description: 'The visits that the series would have, each with what stands in its way. Nothing is booked or held.',
    authScopes: readers,
    complexity: WHOLE_SERIES,
    args: { input: t.arg({ type: SeriesInput, required: true }) },
    resolve: (_root, { input }, { scope }) => scheduling.previewSeries(scope, input),
  }),
}));

builder.mutationFields((t) => ({
  scheduleSeries: t.field({
    type: AppointmentSeries,
    description: 'Books all visits or none.',
    authScopes: readers,
    complexity: WHOLE_SERIES,
    errors: { types: [...PROBLEMS.hold, scheduling.SeriesConflict] },
    args: { input: t.arg({ type: SeriesInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) =>
      scheduling.scheduleSeries(scope, { ...input, idempotencyKey }),
  }),
  rescheduleSeries: t.field({
    type: AppointmentSeries,
    description: 'Moves the visit, and others of its series with it: all of them or none.',
    authScopes: readers,
    complexity: WHOLE_SERIES,
    errors: { types: [...PROBLEMS.reschedule, scheduling.SeriesConflict] },
    args: {
      id: t.arg.id({ required: true, description: 'Of one visit of the series.' }),
      input: t.arg({ type: RescheduleSeriesInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input, idempotencyKey }, { scope }) =>
      scheduling.rescheduleSeries(scope, id, { ...input, idempotencyKey }),
  }),
  cancelSeries: t.field({
    type: AppointmentSeries,
    description: 'Calls off the visit, and others of its series with it: all of them or none.',
    authScopes: readers,
    complexity: WHOLE_SERIES,
    errors: { types: PROBLEMS.cancel },
    args: {
      id: t.arg.id({ required: true, description: 'Of one visit of the series.' }),
      input: t.arg({ type: CancelSeriesInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input: { reason, ...input }, idempotencyKey }, { scope }) =>
      scheduling.cancelSeries(scope, id, {
        ...input,
        reason: reason as scheduling.SeriesCancellation['reason'],
        idempotencyKey,
      }),
  }),
}));
