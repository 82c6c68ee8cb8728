/** Payer against ledger: the runs that ask, and what differs. */
import * as benefits from '@careflex/core/benefits';
import { patientsOf } from './appointments.ts';
import { amountIn, Benefit, benefitsOf, BenefitType, BenefitUnit } from './benefits.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { Patient } from './patients.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { WRITE } from './results.ts';

const staff = { staff: true } as const;

const DriftKind = builder.enumType('BenefitDriftKind', {
  description: 'What differs. Of LESS_LEFT and MORE_LEFT the payer has less or more left than the ledger.',
  values: benefits.DRIFT_KINDS,
});
const DriftStatus = builder.enumType('BenefitDriftStatus', {
  description: 'RESOLVED: it closed by itself, since both agree again or the period is over.',
  values: benefits.DRIFT_STATUSES,
});

/** Null for the side that has none. */
const shown = (unit: benefits.BenefitUnit, amount: benefits.Benefit['used'] | null | undefined) =>
  amount ? amountIn(unit, amount) : null;

const BenefitDrift = builder.objectRef<benefits.BenefitDrift>('BenefitDrift').implement({
  description:
    'A difference between the payer and the ledger, for a person to decide; amounts as they were when the payer was asked last.',
  authScopes: staff,
  fields: (t) => ({
    id: t.exposeID('id'),
    kind: t.expose('kind', { type: DriftKind }),
    status: t.expose('status', { type: DriftStatus }),
    fault: t.exposeString('fault', {
      nullable: true,
      description: 'Of NOT_CREDIBLE: why the payer’s answer cannot be believed, by code.',
    }),
    patient: t.loadable({
      type: Patient,
      load: (ids: string[], { scope }) => patientsOf(scope, ids),
      resolve: ({ patientId }) => patientId,
    }),
    benefit: t.loadable({
      type: Benefit,
      nullable: true,
      description: 'As it stands by now; null where the payer has one that is not on record.',
      loaderOptions: { cache: false },
      load: (ids: string[], { scope }) => benefitsOf(scope, ids),
      resolve: ({ benefitId }) => benefitId,
    }),
    externalPlanId: t.exposeString('externalPlanId'),
    type: t.expose('type', { type: BenefitType }),
    unit: t.expose('unit', { type: BenefitUnit }),
    allocatedHere: t.field({
      type: 'Decimal',
      nullable: true,
      resolve: ({ unit, here }) => shown(unit, here?.allocated),
    }),
    usedHere: t.field({ type: 'Decimal', nullable: true, resolve: ({ unit, here }) => shown(unit, here?.used) }),
    allocatedThere: t.field({
      type: 'Decimal',
      nullable: true,
      resolve: ({ unit, there }) => shown(unit, there?.allocated),
    }),
    usedThere: t.field({ type: 'Decimal', nullable: true, resolve: ({ unit, there }) => shown(unit, there?.used) }),
    difference: t.field({
      type: 'Decimal',
      nullable: true,
      description: 'What is left at the payer less what is left here: what a correction would add.',
      resolve: ({ unit, difference }) => shown(unit, difference),
    }),
    asOf: t.expose('asOf', { type: 'DateTime', description: 'When the payer said so last.' }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it was disputed.' }),
    entryId: t.exposeID('entryId', { nullable: true, description: 'The correction that it was accepted with.' }),
    settledBy: t.exposeID('settledBy', {
      nullable: true,
      description: 'The user; null also where it closed by itself.',
    }),
    settledAt: t.expose('settledAt', { type: 'DateTime', nullable: true }),
    version: t.exposeInt('version', {
      description: 'Grows when there is something else to decide, and with each decision.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});
const BenefitDriftConnection = connectionOf(BenefitDrift, 'BenefitDrift', staff);

const SyncState = builder.enumType('BenefitSyncState', {
  description: 'WAITING: the payer does not answer. It goes on by itself.',
  values: benefits.SYNC_STATES,
});

const BenefitSyncRun = builder.objectRef<benefits.SyncRun>('BenefitSyncRun').implement({
  description: 'A pass over every patient with a benefit at the payer.',
  authScopes: staff,
  fields: (t) => ({
    id: t.exposeID('id'),
    state: t.expose('state', { type: SyncState }),
    patients: t.exposeInt('patients', { description: 'How many there were to ask when it started.' }),
    synced: t.exposeInt('synced'),
    failed: t.exposeInt('failed', { description: 'There was no usable answer; see benefitSyncFailures.' }),
    drifted: t.exposeInt('drifted', { description: 'Differences that it met, known ones too.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it last got on, or tried to.' }),
    waitingSince: t.expose('waitingSince', { type: 'DateTime', nullable: true }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true }),
  }),
});
const BenefitSyncRunConnection = connectionOf(BenefitSyncRun, 'BenefitSyncRun', staff);

const FailureCode = builder.enumType('BenefitSyncFailureCode', { values: benefits.SYNC_FAILURE_CODES });
const BenefitSyncFailure = builder.objectRef<benefits.FailedSync>('BenefitSyncFailure').implement({
  description: 'A patient for whom a run got no usable answer. The next run asks again.',
  authScopes: staff,
  fields: (t) => ({
    patient: t.loadable({
      type: Patient,
      load: (ids: string[], { scope }) => patientsOf(scope, ids),
      resolve: ({ patientId }) => patientId,
    }),
    code: t.expose('code', { type: FailureCode }),
    detail: t.exposeString('detail', { nullable: true, description: 'What the other side calls it: `503`.' }),
    failedAt: t.expose('failedAt', { type: 'DateTime' }),
  }),
});
const BenefitSyncFailureConnection = connectionOf(BenefitSyncFailure, 'BenefitSyncFailure', staff);

const BenefitSync = builder.objectRef<benefits.PatientSync>('BenefitSync').implement({
  description: 'What the payer says of a patient’s benefits, compared. No amount was moved.',
  authScopes: staff,
  fields: (t) => ({
    asOf: t.expose('asOf', {
      type: 'DateTime',
      nullable: true,
      description:
        'By the payer’s clock; null where the patient has no benefit with an `externalPlanId`: nothing was asked.',
    }),
    benefits: t.field({ type: [Benefit], resolve: ({ benefits }) => [...benefits] }),
    drifts: t.field({
      type: [BenefitDrift],
      description: 'Open and disputed ones.',
      resolve: ({ drifts }) => [...drifts],
    }),
  }),
});

const problem = { interfaces: [Problem], authScopes: staff };
builder.objectType(benefits.DriftSettled, {
  name: 'DriftSettled',
  description: 'It was accepted before, or has closed by itself.',
  ...problem,
  fields: (t) => ({ status: t.expose('status', { type: DriftStatus }) }),
});
builder.objectType(benefits.DriftNotCorrectable, {
  name: 'DriftNotCorrectable',
  description: 'No amount can be corrected so that both agree.',
  ...problem,
  fields: (t) => ({ kind: t.expose('kind', { type: DriftKind }) }),
});
builder.objectType(benefits.StaleDrift, {
  name: 'StaleDrift',
  description: 'The drift was changed since the version that was named.',
  ...problem,
  fields: (t) => ({ currentVersion: t.exposeInt('currentVersion') }),
});
builder.objectType(benefits.NotAtPayer, {
  name: 'NotAtPayer',
  description: 'No payer is configured, or the patient has no `externalId` by which it could know them.',
  ...problem,
});
builder.objectType(benefits.PayerFailed, {
  name: 'PayerFailed',
  description: 'PAYER_UNREACHABLE or PAYER_ERROR: no usable answer; nothing was changed.',
  ...problem,
});

builder.queryFields((t) => ({
  benefitDrifts: t.field({
    type: BenefitDriftConnection,
    description: 'The oldest first; without `status`, the open ones.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      status: t.arg({ type: [DriftStatus] }),
      patientId: t.arg.id(),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await benefits.benefitDrifts(scope, args)),
  }),
  benefitSyncRuns: t.field({
    type: BenefitSyncRunConnection,
    description: 'The newest first.',
    authScopes: staff,
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await benefits.syncRuns(scope, args)),
  }),
  benefitSyncFailures: t.field({
    type: BenefitSyncFailureConnection,
    authScopes: staff,
    complexity: pageCost,
    args: { runId: t.arg.id({ required: true }), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, { runId, ...page }, { scope }) =>
      toConnection(await benefits.syncFailures(scope, runId, page)),
  }),
}));

const DECIDING = [InvalidInput, NotFound, IdempotencyMismatch, benefits.DriftSettled, benefits.StaleDrift];

builder.mutationFields((t) => {
  const decision = {
    id: t.arg.id({ required: true }),
    version: t.arg.int({ description: 'The version you have seen; a newer one makes the decision fail.' }),
    idempotencyKey: t.arg.string(),
  };
  return {
    syncBenefits: t.field({
      type: BenefitSync,
      description: 'Asks the payer now. It moves no amount.',
      authScopes: staff,
      complexity: WRITE,
      errors: { types: [NotFound, benefits.NotAtPayer, benefits.PayerFailed] },
      args: { patientId: t.arg.id({ required: true }) },
      resolve: (_root, { patientId }, { scope, app }) => benefits.syncPatient(scope, patientId, app.integrations.payer),
    }),
    acceptDrift: t.field({
      type: BenefitDrift,
      description: 'The payer is right: a correction changes what is allocated by the difference.',
      authScopes: staff,
      complexity: WRITE,
      errors: { types: [...DECIDING, benefits.DriftNotCorrectable, benefits.InsufficientBenefit] },
      args: decision,
      resolve: (_root, { id, ...input }, { scope }) => benefits.acceptDrift(scope, id, input),
    }),
    disputeDrift: t.field({
      type: BenefitDrift,
      description: 'The payer is not right. It stays disputed until there is something else to decide.',
      authScopes: staff,
      complexity: WRITE,
      errors: { types: DECIDING },
      args: { ...decision, reason: t.arg.string({ required: true }) },
      resolve: (_root, { id, ...input }, { scope }) => benefits.disputeDrift(scope, id, input),
    }),
  };
});
