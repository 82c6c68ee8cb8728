import * as scheduling from '@careflex/core/scheduling';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';

const readers = { staff: true, patient: true } as const;

export const CareServiceType = builder.enumType('CareServiceType', { values: scheduling.CARE_SERVICES });

export const Provider = builder.objectRef<scheduling.Provider>('Provider').implement({
  description: 'Who gives the care: a clinician, a driver, a kitchen.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    speciality: t.exposeString('speciality', { nullable: true }),
    timeZone: t.exposeString('timeZone', { description: 'IANA zone of the place of work.' }),
    services: t.field({ type: [CareServiceType], resolve: ({ services }) => [...services] }),
    organization: t.string({ nullable: true, resolve: ({ organization }) => organization?.name ?? null }),
    location: t.string({ nullable: true, resolve: ({ location }) => location?.name ?? null }),
  }),
});
const ProviderConnection = connectionOf(Provider, 'Provider', readers);

builder.queryFields((t) => ({
  providers: t.field({
    type: ProviderConnection,
    description: 'Active providers by name.',
    authScopes: readers,
    complexity: pageCost,
    args: {
      service: t.arg({ type: CareServiceType }),
      search: t.arg.string({ description: 'Beginnings of words of the name, in any order.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await scheduling.providers(scope, args)),
  }),
}));
