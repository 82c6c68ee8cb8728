/** When providers work, what is free with them, and the rules of each service. */
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { Appointment } from './appointments.ts';
import { builder } from './builder.ts';
import { ServiceCoverage, ServiceCoverageInput } from './coverage.ts';
import { CareServiceType, Provider } from './directory.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Done, ONE_RECORD, WRITE } from './results.ts';
import { Slot } from './slots.ts';

const readers = { staff: true, patient: true } as const;
const staff = { staff: true } as const;
const admin = { admin: true } as const;

const WallClockHours = builder.objectRef<scheduling.Hours>('WallClockHours').implement({
  description: 'Of the provider’s wall clock, such as 09:00 to 17:00; 24:00 is the end of the day.',
  authScopes: readers,
  fields: (t) => ({ from: t.exposeString('from'), to: t.exposeString('to') }),
});

const WeeklyHours = builder.objectRef<scheduling.WeeklyHours>('WeeklyHours').implement({
  description: 'Of the provider’s wall clock, every week.',
  authScopes: readers,
  fields: (t) => ({
    weekday: t.exposeInt('weekday', { description: '1 to 7 from Monday.' }),
    from: t.exposeString('from'),
    to: t.exposeString('to', { description: '24:00 is the end of the day.' }),
  }),
});

const ProviderException = builder.objectRef<scheduling.ProviderException>('ProviderException').implement({
  description: 'The hours of one local day instead of the weekly ones; none is a day off.',
  authScopes: readers,
  fields: (t) => ({
    date: t.expose('date', { type: 'Date' }),
    hours: t.field({ type: [WallClockHours], resolve: ({ hours }) => [...hours] }),
    note: t.exposeString('note', { nullable: true, description: 'For staff only.' }),
  }),
});

const TimeOff = builder.objectRef<scheduling.TimeOff>('TimeOff').implement({
  description: 'When a provider is away, whatever their hours and exceptions say.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    startsAt: t.expose('startsAt', { type: 'DateTime' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    note: t.exposeString('note', { nullable: true, description: 'For staff only.' }),
  }),
});

const TimeOffAdded = builder.objectRef<scheduling.TimeOffAdded>('TimeOffAdded').implement({
  authScopes: staff,
  fields: (t) => ({
    timeOff: t.expose('timeOff', { type: TimeOff }),
    appointments: t.field({
      type: [Appointment],
      description: 'The visits and holds that stand in it, in the order of time. They stay until somebody moves them.',
      resolve: ({ appointments }) => [...appointments],
    }),
  }),
});

const CareService = builder.objectRef<scheduling.CareService>('CareService').implement({
  description: 'How long a visit of the service is, and when it can be booked.',
  authScopes: readers,
  fields: (t) => ({
    service: t.expose('service', { type: CareServiceType }),
    minutes: t.exposeInt('minutes', { description: 'How long a visit is unless it says otherwise.' }),
    bufferBeforeMinutes: t.exposeInt('bufferBeforeMinutes', { description: 'Kept free for the provider.' }),
    bufferAfterMinutes: t.exposeInt('bufferAfterMinutes', { description: 'Kept free for the provider.' }),
    minimumNoticeMinutes: t.exposeInt('minimumNoticeMinutes'),
    horizonDays: t.exposeInt('horizonDays', { description: 'How many times 24 hours ahead it can be booked.' }),
    dailyLimit: t.exposeInt('dailyLimit', { nullable: true, description: 'Visits per provider and local day.' }),
    coverage: t.expose('coverage', {
      type: ServiceCoverage,
      nullable: true,
      description: 'Null: no benefit pays for it.',
    }),
    version: t.exposeInt('version'),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});

builder.objectFields(Provider, (t) => ({
  weeklyHours: t.field({
    type: [WeeklyHours],
    resolve: ({ weeklyHours }) => [...(weeklyHours ?? scheduling.CLINIC_HOURS)],
  }),
  hasOwnHours: t.boolean({
    description: 'If not, the weekly hours are the clinic’s usual ones.',
    resolve: ({ weeklyHours }) => weeklyHours !== null,
  }),
  exceptions: t.loadableList({
    type: ProviderException,
    description: 'From one local day to another, both included, in order.',
    complexity: ONE_RECORD,
    byPath: true,
    args: { from: t.arg({ type: 'Date', required: true }), to: t.arg({ type: 'Date', required: true }) },
    load: async (ids: string[], { scope }, range) =>
      inOrder(ids, await scheduling.exceptionsByProvider(scope, ids, range)),
    resolve: ({ id }) => id,
  }),
  timeOff: t.loadableList({
    type: TimeOff,
    description: 'What has a part between the two times, in order.',
    complexity: ONE_RECORD,
    byPath: true,
    args: { from: t.arg({ type: 'DateTime', required: true }), to: t.arg({ type: 'DateTime', required: true }) },
    load: async (ids: string[], { scope }, range) =>
      inOrder(ids, await scheduling.timeOffByProvider(scope, ids, range)),
    resolve: ({ id }) => id,
  }),
  version: t.exposeInt('version', { description: 'Grows when weekly hours or zone change.' }),
}));

function inOrder<T>(ids: readonly string[], found: ReadonlyMap<string, readonly T[]>): T[][] {
  return ids.map((id) => [...(found.get(id) ?? [])]);
}

const DEFAULT_SLOTS = 100;

builder.queryFields((t) => ({
  provider: t.field({
    type: Provider,
    nullable: true,
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => findProvider(scope, id),
  }),
  careServices: t.field({
    type: [CareService],
    authScopes: readers,
    complexity: { field: ONE_RECORD, multiplier: scheduling.CARE_SERVICES.length },
    resolve: (_root, _args, { scope }) => scheduling.careServices(scope),
  }),
  availableSlots: t.field({
    type: [Slot],
    description:
      'The first starts in the range that can be booked, in the order of time: of all who offer the service or of the named providers, and with a patient of what is free for them too. Patients ask for themselves. Bookings may begin at any other whole minute as well: everyMinutes: 1 shows them all.',
    authScopes: readers,
    // A slot is a small thing beside a record that has to be read and opened.
    complexity: ({ first }) => ({ field: WRITE, multiplier: Math.max(1, (first ?? DEFAULT_SLOTS) / 10) }),
    args: {
      service: t.arg({ type: CareServiceType, required: true }),
      from: t.arg({ type: 'DateTime', required: true }),
      to: t.arg({ type: 'DateTime', required: true, description: 'At most 62 days later.' }),
      providerIds: t.arg.idList(),
      minutes: t.arg.int({ description: 'The length of the visit; the service’s own unless given.' }),
      everyMinutes: t.arg.int({
        description: 'Starts on whole multiples of it after the local midnight; 15 unless given.',
      }),
      patientId: t.arg.id(),
      first: t.arg.int({ description: 'At most 1000; 100 unless given.' }),
    },
    resolve: (_root, args, { scope }) => scheduling.availableSlots(scope, args),
  }),
}));

async function findProvider(scope: Scope, id: string): Promise<scheduling.Provider | null> {
  return (await scheduling.providersByIds(scope, [id])).get(id.toLowerCase()) ?? null;
}

for (const [type, name, what] of [
  [scheduling.StaleProvider, 'StaleProvider', 'The provider’s hours or zone were'],
  [scheduling.StaleCareService, 'StaleCareService', 'The rules of the service were'],
] as const) {
  builder.objectType(type, {
    name,
    description: `${what} changed since the version that was named; read them again.`,
    interfaces: [Problem],
    authScopes: admin,
    fields: (t) => ({ currentVersion: t.exposeInt('currentVersion') }),
  });
}

const hoursFields = { required: true, description: 'Such as 09:00; 24:00 is the end of the day.' } as const;

const WallClockHoursInput = builder.inputType('WallClockHoursInput', {
  fields: (t) => ({ from: t.string(hoursFields), to: t.string(hoursFields) }),
});
const WeeklyHoursInput = builder.inputType('WeeklyHoursInput', {
  fields: (t) => ({
    weekday: t.int({ required: true, description: '1 to 7 from Monday.' }),
    from: t.string(hoursFields),
    to: t.string(hoursFields),
  }),
});
const ProviderExceptionInput = builder.inputType('ProviderExceptionInput', {
  fields: (t) => ({
    date: t.field({ type: 'Date', required: true, description: 'In the provider’s zone.' }),
    hours: t.field({ type: [WallClockHoursInput], required: true, description: 'None is a day off.' }),
    note: t.string({ description: 'For staff only.' }),
  }),
});
const TimeOffInput = builder.inputType('TimeOffInput', {
  fields: (t) => ({
    startsAt: t.field({ type: 'DateTime', required: true }),
    endsAt: t.field({ type: 'DateTime', required: true }),
    note: t.string({ description: 'For staff only.' }),
  }),
});
const UpdateCareServiceInput = builder.inputType('UpdateCareServiceInput', {
  description: 'What is left out stays as it is.',
  fields: (t) => ({
    minutes: t.int(),
    bufferBeforeMinutes: t.int(),
    bufferAfterMinutes: t.int(),
    minimumNoticeMinutes: t.int(),
    horizonDays: t.int(),
    dailyLimit: t.int({ description: 'Null is no limit.' }),
    coverage: t.field({
      type: ServiceCoverageInput,
      description: 'Null: no benefit pays for it. Visits that are booked keep their terms.',
    }),
  }),
});

const VERSION = { description: 'The version you have seen; a newer one makes the change fail.' };

builder.mutationFields((t) => ({
  setWeeklyHours: t.field({
    type: Provider,
    description: 'Visits that are booked stay, also those outside the new hours.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, scheduling.StaleProvider, IdempotencyMismatch] },
    args: {
      providerId: t.arg.id({ required: true }),
      hours: t.arg({ type: [WeeklyHoursInput], description: 'Null: the clinic’s usual hours. Must be given.' }),
      version: t.arg.int(VERSION),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { providerId, ...change }, { scope }) =>
      scheduling.setWeeklyHours(scope, providerId, change as scheduling.WeeklyHoursChange),
  }),
  setProviderTimeZone: t.field({
    type: Provider,
    description: 'The zone in which hours are read. Visits that are booked stay at their instants.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, scheduling.StaleProvider, IdempotencyMismatch] },
    args: {
      providerId: t.arg.id({ required: true }),
      timeZone: t.arg.string({ description: 'IANA. Null: that of the place of work. Must be given.' }),
      version: t.arg.int(VERSION),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { providerId, ...change }, { scope }) =>
      scheduling.setProviderTimeZone(scope, providerId, change as scheduling.TimeZoneChange),
  }),
}));

builder.mutationFields((t) => ({
  setProviderException: t.field({
    type: ProviderException,
    description: 'Adds the hours of one local day, or replaces them.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      providerId: t.arg.id({ required: true }),
      input: t.arg({ type: ProviderExceptionInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { providerId, input, idempotencyKey }, { scope }) =>
      scheduling.setProviderException(scope, providerId, { ...input, idempotencyKey }),
  }),
  removeProviderException: t.field({
    type: Done,
    description: 'The weekly hours count again on that day.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      providerId: t.arg.id({ required: true }),
      date: t.arg({ type: 'Date', required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { providerId, ...removed }, { scope }) => {
      await scheduling.removeProviderException(scope, providerId, removed);
      return { id: providerId };
    },
  }),
}));

builder.mutationFields((t) => ({
  addTimeOff: t.field({
    type: TimeOffAdded,
    description: 'Nothing more can be booked in it. Answers with what is booked in it already.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      providerId: t.arg.id({ required: true }),
      input: t.arg({ type: TimeOffInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { providerId, input, idempotencyKey }, { scope }) =>
      scheduling.addTimeOff(scope, providerId, { ...input, idempotencyKey }),
  }),
  removeTimeOff: t.field({
    type: Done,
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, idempotencyKey }, { scope }) => {
      await scheduling.removeTimeOff(scope, id, { idempotencyKey });
      return { id };
    },
  }),
  updateCareService: t.field({
    type: CareService,
    description: 'Counts for what is booked from now on.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [InvalidInput, scheduling.StaleCareService, IdempotencyMismatch] },
    args: {
      service: t.arg({ type: CareServiceType, required: true }),
      input: t.arg({ type: UpdateCareServiceInput, required: true }),
      version: t.arg.int(VERSION),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { service, input, version, idempotencyKey }, { scope }) =>
      scheduling.updateCareService(scope, service, {
        ...input,
        version,
        idempotencyKey,
      } as scheduling.CareServiceChanges),
  }),
}));
