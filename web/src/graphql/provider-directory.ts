/** What an outside directory says of providers, and asking it again. */
import * as scheduling from '@careflex/core/scheduling';
import { Appointment } from './appointments.ts';
import { builder } from './builder.ts';
import { Provider } from './directory.ts';
import { IdempotencyMismatch, NotFound } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;
const admin = { admin: true } as const;

const DirectoryProblem = builder.enumType('DirectoryProblem', {
  description:
    'UNREACHABLE is an outage, REFUSED a no; MALFORMED cannot be read, ENDS_BEFORE_START and FREE_AND_BUSY contradict themselves; a practitioner is UNKNOWN, or AMBIGUOUS where two have the provider’s identifiers.',
  values: scheduling.DIRECTORY_PROBLEMS,
});

const ProviderDirectory = builder.objectRef<scheduling.DirectoryState>('ProviderDirectory').implement({
  description: 'The hours and busy times that an outside directory has of a provider.',
  authScopes: staff,
  fields: (t) => ({
    source: t.exposeString('source', { description: 'Whose directory it is.' }),
    practitioner: t.exposeString('practitioner', { description: 'The id there.' }),
    asOf: t.expose('asOf', {
      type: 'DateTime',
      nullable: true,
      description: 'Of when the word is that counts; null: there was no good one yet, and weekly hours count.',
    }),
    checkedAt: t.expose('checkedAt', { type: 'DateTime' }),
    stale: t.exposeBoolean('stale', {
      description: `The last look failed, or is more than ${scheduling.STALE_MINUTES} minutes old. What was known counts all the same.`,
    }),
    problem: t.expose('problem', { type: DirectoryProblem, nullable: true }),
    coversFrom: t.expose('coversFrom', { type: 'DateTime', nullable: true }),
    coversUntil: t.expose('coversUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'Before and after, weekly hours count.',
    }),
  }),
});

builder.objectFields(Provider, (t) => ({
  directory: t.loadable({
    type: ProviderDirectory,
    nullable: true,
    description: 'Null where no outside directory knows the provider.',
    authScopes: staff,
    complexity: ONE_RECORD,
    load: async (ids: string[], { scope }) => {
      const states = await scheduling.directoryStates(scope, ids);
      return ids.map((id) => states.get(id) ?? null);
    },
    resolve: ({ id }) => id,
  }),
  visitsInBusyTimes: t.loadableList({
    type: Appointment,
    description:
      'Visits and holds ahead, in order, that stand in a time in which the outside directory has the provider busy. They stay until somebody moves them.',
    authScopes: staff,
    complexity: { field: ONE_RECORD, multiplier: 5 },
    load: async (ids: string[], { scope }) => {
      const visits = await scheduling.visitsInBusyTimes(scope, ids);
      return ids.map((id) => [...(visits.get(id) ?? [])]);
    },
    resolve: ({ id }) => id,
  }),
}));

const SyncRequested = builder.objectRef<{ readonly jobId: string }>('ProviderSyncRequested').implement({
  description: 'A worker asks the directory within a second.',
  authScopes: admin,
  fields: (t) => ({ jobId: t.exposeID('jobId', { description: 'For `job`, which tells how it ended.' }) }),
});

builder.mutationFields((t) => ({
  syncProviders: t.field({
    type: SyncRequested,
    description: 'Has the outside directory asked about every provider that it knows, besides the usual times.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [IdempotencyMismatch] },
    args: { idempotencyKey: t.arg.string() },
    resolve: async (_root, of, { scope }) => ({ jobId: await scheduling.requestSync(scope, of) }),
  }),
  syncProvider: t.field({
    type: SyncRequested,
    description: 'Has it asked about one.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, ...of }, { scope }) => ({
      jobId: await scheduling.requestSync(scope, { providerId: id, ...of }),
    }),
  }),
}));
