import * as scheduling from '@careflex/core/scheduling';
import { builder } from './builder.ts';
import { Provider } from './directory.ts';
import { localText } from './instant-text.ts';

export const Slot = builder.objectRef<scheduling.Slot>('Slot').implement({
  description: 'A time at which a visit could be.',
  authScopes: { staff: true, patient: true },
  fields: (t) => ({
    provider: t.loadable({
      type: Provider,
      load: (ids: string[], { scope }) => providersOf(scope, ids),
      resolve: ({ providerId }) => providerId,
    }),
    startsAt: t.expose('startsAt', { type: 'DateTime' }),
    endsAt: t.expose('endsAt', { type: 'DateTime' }),
    localStart: t.string({
      description: 'Such as 2026-03-10T09:00:00-04:00[America/New_York].',
      resolve: ({ startsAt, timeZone }) => localText(startsAt, timeZone),
    }),
    timeZone: t.exposeString('timeZone', { description: 'The provider’s, IANA.' }),
  }),
});

/** In the order of the ids. */
export async function providersOf(
  scope: Parameters<typeof scheduling.providersOnRecord>[0],
  ids: readonly string[],
): Promise<(scheduling.Provider | Error)[]> {
  const providers = await scheduling.providersOnRecord(scope, ids);
  return ids.map((id) => providers.get(id) ?? new Error('A visit of no provider'));
}
