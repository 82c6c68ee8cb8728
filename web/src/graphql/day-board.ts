/** Everybody's day side by side. */
import * as scheduling from '@careflex/core/scheduling';
import { Appointment } from './appointments.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { CareServiceType, Provider } from './directory.ts';
import { Slot } from './slots.ts';

const staff = { staff: true } as const;

const TimeRange = builder.objectRef<scheduling.TimeRange>('TimeRange').implement({
  description: 'From the start until just before the end.',
  authScopes: staff,
  fields: (t) => ({
    startsAt: t.expose('startsAt', { type: 'DateTime' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
  }),
});

const DayBoardRow = builder.objectRef<scheduling.DayBoardRow>('DayBoardRow').implement({
  description: 'One provider’s day.',
  authScopes: staff,
  fields: (t) => ({
    provider: t.expose('provider', { type: Provider }),
    appointments: t.field({
      type: [Appointment],
      description: 'Visits and holds, in the order of their start; without what was cancelled.',
      resolve: ({ appointments }) => [...appointments],
    }),
    workingHours: t.field({ type: [TimeRange], resolve: ({ workingHours }) => [...workingHours] }),
    timeOff: t.field({ type: [TimeRange], resolve: ({ timeOff }) => [...timeOff] }),
    freeTime: t.field({
      type: [TimeRange],
      description: 'Hours at work that nothing takes.',
      resolve: ({ freeTime }) => [...freeTime],
    }),
    freeSlots: t.field({
      type: [Slot],
      description: 'Where a visit of the service could begin; none unless a service was named.',
      resolve: ({ freeSlots }) => [...freeSlots],
    }),
  }),
});
const DayBoardConnection = connectionOf(DayBoardRow, 'DayBoard', staff);

builder.queryFields((t) => ({
  dayBoard: t.field({
    type: DayBoardConnection,
    description: 'Providers by name, each with their visits, holds, time off and free slots of the day.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      date: t.arg({ type: 'Date', required: true }),
      timeZone: t.arg.string({ description: 'Whose day it is; the clinic’s unless given.' }),
      service: t.arg({ type: CareServiceType, description: 'Only who offers it.' }),
      search: t.arg.string({ description: 'Beginnings of words of the provider’s name, in any order.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await scheduling.dayBoard(scope, args)),
  }),
}));
