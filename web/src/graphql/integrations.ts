/** The systems outside, as an admin sees and steers the calls to them. */
import { GUARD_STATES } from '@careflex/core/integrations/guard';
import * as neighbours from '@careflex/core/neighbours';
import { builder } from './builder.ts';
import { IdempotencyMismatch, InvalidInput, NotFound } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const admin = { admin: true } as const;

const IntegrationState = builder.enumType('IntegrationState', {
  description:
    'OPEN refuses calls for some seconds after too many failures, HALF_OPEN tries with one, TRIPPED refuses until a reset.',
  values: GUARD_STATES,
});

const IntegrationCalls = builder.objectRef<neighbours.Integration['calls']>('IntegrationCalls').implement({
  description: 'By how they ended, of all processes that ever were.',
  authScopes: admin,
  fields: (t) => ({
    succeeded: t.exposeFloat('succeeded'),
    refused: t.exposeFloat('refused', { description: 'The other side said no.' }),
    failed: t.exposeFloat('failed', { description: 'It was not reached, or did not answer in time.' }),
    rejected: t.exposeFloat('rejected', { description: 'Never begun: tripped, open, or too many at once.' }),
  }),
});

const IntegrationProcess = builder.objectRef<neighbours.IntegrationProcess>('IntegrationProcess').implement({
  description: 'One process and its calls since it was started.',
  authScopes: admin,
  fields: (t) => ({
    node: t.exposeString('node', { description: 'Host and process id.' }),
    state: t.expose('state', { type: IntegrationState }),
    succeeded: t.exposeInt('succeeded'),
    refused: t.exposeInt('refused'),
    failed: t.exposeInt('failed'),
    rejected: t.exposeInt('rejected'),
    retries: t.exposeInt('retries', { description: 'Attempts after the first one of a call.' }),
    timeouts: t.exposeInt('timeouts', { description: 'Attempts that took too long.' }),
    running: t.exposeInt('running', { description: 'Calls under way.' }),
    waiting: t.exposeInt('waiting', { description: 'Calls that wait for one to end.' }),
    lastErrorCode: t.exposeString('lastErrorCode', {
      nullable: true,
      description: 'Of the last attempt that failed: a status, the provider’s number, or a name such as ECONNRESET.',
    }),
    lastErrorAt: t.expose('lastErrorAt', { type: 'DateTime', nullable: true }),
    reportedAt: t.expose('reportedAt', { type: 'DateTime' }),
  }),
});

const TrippedIntegration = builder
  .objectRef<NonNullable<neighbours.Integration['tripped']>>('TrippedIntegration')
  .implement({
    authScopes: admin,
    fields: (t) => ({
      at: t.expose('at', { type: 'DateTime' }),
      by: t.exposeID('by', { description: 'The user.' }),
      reason: t.exposeString('reason'),
    }),
  });

const Integration = builder.objectRef<neighbours.Integration>('Integration').implement({
  description: 'A system outside that the platform calls.',
  authScopes: admin,
  fields: (t) => ({
    name: t.exposeString('name'),
    state: t.expose('state', { type: IntegrationState, description: 'Of all processes the worst.' }),
    tripped: t.expose('tripped', {
      type: TrippedIntegration,
      nullable: true,
      description: 'By whom it is stopped, while it is.',
    }),
    calls: t.expose('calls', { type: IntegrationCalls }),
    processes: t.field({
      type: [IntegrationProcess],
      description: 'Those that live.',
      complexity: ONE_RECORD,
      resolve: ({ processes }) => [...processes],
    }),
  }),
});

builder.queryFields((t) => ({
  integrations: t.field({
    type: [Integration],
    description: 'Every system outside, whether it was called yet or not.',
    authScopes: admin,
    complexity: { field: ONE_RECORD, multiplier: neighbours.NEIGHBOURS.length },
    resolve: (_root, _args, { scope }) => neighbours.integrations(scope),
  }),
}));

builder.mutationFields((t) => ({
  tripIntegration: t.field({
    type: Integration,
    description:
      'Within a second no process calls it any more, nor one that starts later, until it is reset. What runs goes on.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      name: t.arg.string({ required: true }),
      reason: t.arg.string({ required: true, description: 'For whoever wonders; nothing of a patient.' }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { name, ...trip }, { scope }) => neighbours.trip(scope, name, trip),
  }),
  resetIntegration: t.field({
    type: Integration,
    description: 'Calls go out again, after a trip and after too many failures.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { name: t.arg.string({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { name, ...of }, { scope }) => neighbours.reset(scope, name, of),
  }),
}));
