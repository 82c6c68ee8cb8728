/** Who will probably not come, so that staff can help. */
import * as risk from '@careflex/core/risk';
import { Appointment, AppointmentConnection, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { pageCost, toConnection } from './connection.ts';
import { ONE_RECORD } from './results.ts';

const staff = { staff: true } as const;

const RiskBand = builder.enumType('RiskBand', { values: risk.RISK_BANDS });

const NoShowRisk = builder.objectRef<risk.NoShowRisk>('NoShowRisk').implement({
  description:
    'How likely it is that the patient does not come. For helping: never for refusing or double-booking a visit.',
  authScopes: staff,
  fields: (t) => ({
    probability: t.exposeFloat('probability', { description: 'Above 0, below 1.' }),
    band: t.expose('band', { type: RiskBand }),
    reasons: t.field({
      type: ['String'],
      description: 'At most three, in words, the weightiest first.',
      resolve: ({ reasons }) => [...reasons],
    }),
    model: t.exposeString('model', { description: 'The version of the model that said so.' }),
    scoredAt: t.expose('scoredAt', { type: 'DateTime' }),
  }),
});

builder.objectField(Appointment, 'risk', (t) =>
  t.loadable({
    type: NoShowRisk,
    nullable: true,
    description:
      'About a second behind the visit; null before its first score, of a hold, and for patients, who are not told a number.',
    authScopes: readers,
    complexity: ONE_RECORD,
    // Not kept: a later mutation of the same operation changes it.
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }) => {
      const found = await risk.risksOf(scope, ids);
      return ids.map((id) => found.get(id) ?? null);
    },
    resolve: ({ id }, _args, { scope }) => (scope.actor.role === 'patient' ? null : id),
  }),
);

builder.queryField('appointmentsByRisk', (t) =>
  t.field({
    type: AppointmentConnection,
    description:
      'Visits to come, the riskiest first. One patient in ten is never on it, so that it can be told what it is good for.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      from: t.arg({ type: 'DateTime', description: 'Starts from this instant on; now unless given.' }),
      to: t.arg({
        type: 'DateTime',
        description: 'Starts before this instant: a week after `from` unless given, 92 days at most.',
      }),
      band: t.arg({ type: [RiskBand] }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await risk.appointmentsByRisk(scope, args)),
  }),
);
