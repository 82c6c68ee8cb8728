/** What plans allow patients, what is left of it, and whether it pays. */
import * as benefits from '@careflex/core/benefits';
import type { Scope } from '@careflex/core/platform/scope';
import { appointmentsOf } from './appointment-problems.ts';
import { Appointment, patientsOf, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { Patient } from './patients.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;
const admin = { admin: true } as const;

export const BenefitType = builder.enumType('BenefitType', { values: benefits.BENEFIT_TYPES });
export const BenefitUnit = builder.enumType('BenefitUnit', { values: benefits.BENEFIT_UNITS });
const BenefitStatus = builder.enumType('BenefitStatus', { values: benefits.BENEFIT_STATUSES });
const EligibilityDecision = builder.enumType('EligibilityDecision', { values: benefits.DECISIONS });

/** Money with its two places, counts without. */
export const amountIn = (unit: benefits.BenefitUnit, amount: benefits.Benefit['used']): string =>
  unit === 'MONEY' ? amount.toFixed(2) : amount.toFixed();

export const Benefit = builder.objectRef<benefits.Benefit>('Benefit').implement({
  description: 'One allowance of one patient, of one type, in one period.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    patient: t.loadable({
      type: Patient,
      load: (ids: string[], { scope }) => patientsOf(scope, ids),
      resolve: ({ patientId }) => patientId,
    }),
    type: t.expose('type', { type: BenefitType }),
    unit: t.expose('unit', { type: BenefitUnit }),
    status: t.expose('status', { type: BenefitStatus, description: 'Now, by the calendar of the plan’s zone.' }),
    allocated: t.field({ type: 'Decimal', resolve: ({ unit, allocated }) => amountIn(unit, allocated) }),
    used: t.field({ type: 'Decimal', resolve: ({ unit, used }) => amountIn(unit, used) }),
    held: t.field({ type: 'Decimal', resolve: ({ unit, held }) => amountIn(unit, held) }),
    available: t.field({
      type: 'Decimal',
      description: 'Allocated, less used and held.',
      resolve: ({ unit, available }) => amountIn(unit, available),
    }),
    periodStart: t.field({ type: 'Date', resolve: ({ periodStart }) => periodStart.toString() }),
    periodEnd: t.field({
      type: 'Date',
      description: 'The last day, in the plan’s zone.',
      resolve: ({ periodEnd }) => periodEnd.toString(),
    }),
    timeZone: t.exposeString('timeZone', { description: 'The plan’s, IANA.' }),
    externalPlanId: t.exposeString('externalPlanId', { nullable: true }),
    lastSyncedAt: t.expose('lastSyncedAt', { type: 'DateTime', nullable: true }),
    version: t.exposeInt('version', { description: 'Grows by one with every entry.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});
const BenefitConnection = connectionOf(Benefit, 'Benefit', readers);

/** An entry as it is shown: with its benefit, where that is at hand. */
interface ShownEntry extends benefits.BenefitEntry {
  readonly benefit?: benefits.Benefit;
}

const BenefitEntry = builder.objectRef<ShownEntry>('BenefitEntry').implement({
  description: 'An entry of the ledger. It never changes.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    kind: t.exposeString('kind', {
      description: 'ALLOCATE, HOLD, RELEASE, USE, REVERSE, ADJUST, EXPIRE or SYNC_CORRECTION.',
    }),
    amount: t.field({
      type: 'Decimal',
      description: 'Greater than zero; the kind gives the direction.',
      resolve: ({ unit, amount }) => amountIn(unit, amount),
    }),
    adds: t.exposeBoolean('adds', {
      description: 'Of an adjustment or correction: whether it adds to what is allocated, or takes from it.',
    }),
    benefit: t.field({
      type: Benefit,
      complexity: ONE_RECORD,
      description: 'As it stands.',
      resolve: async ({ benefit, benefitId }, _args, { scope }) =>
        benefit ?? ((await benefits.findBenefit(scope, benefitId)) as benefits.Benefit),
    }),
    appointment: t.loadable({
      type: Appointment,
      nullable: true,
      load: (ids: string[], { scope }) => appointmentsOf(scope, ids),
      resolve: ({ appointmentId }) => appointmentId,
    }),
    serviceDate: t.field({
      type: 'Date',
      description: 'The day that it counts for, in the plan’s zone.',
      resolve: ({ serviceDate }) => serviceDate.toString(),
    }),
    recordedAt: t.expose('recordedAt', { type: 'DateTime' }),
    reverses: t.exposeID('reverses', { nullable: true, description: 'The entry that it takes back.' }),
    reason: t.exposeString('reason', { nullable: true }),
    repair: t.exposeBoolean('repair', {
      description: 'Written because ledger and amounts did not agree; it moved no amount.',
    }),
  }),
});
const BenefitEntryConnection = connectionOf(BenefitEntry, 'BenefitEntry', readers);

builder.objectField(Benefit, 'entries', (t) =>
  t.loadable({
    type: BenefitEntryConnection,
    description: 'Newest first.',
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    byPath: true,
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }, args) => {
      const pages = await benefits.entriesOfBenefits(scope, ids, args);
      return ids.map((id) => toConnection<ShownEntry>(pages.get(id) ?? { items: [], hasNextPage: false }));
    },
    resolve: ({ id }) => id,
  }),
);

builder.objectField(Patient, 'benefits', (t) =>
  t.loadableList({
    type: Benefit,
    description: 'Those that end first at the front.',
    complexity: { field: ONE_RECORD, multiplier: 5 },
    loaderOptions: { cache: false },
    load: async (ids: string[], { scope }) => {
      const found = await benefits.benefitsOfPatients(scope, ids);
      return ids.map((id) => found.get(id) ?? []);
    },
    resolve: ({ id }) => id,
  }),
);

const Eligibility = builder.objectRef<benefits.Eligibility>('Eligibility').implement({
  description: 'Whether a benefit would pay. A check reserves nothing.',
  authScopes: readers,
  fields: (t) => ({
    decision: t.expose('decision', { type: EligibilityDecision }),
    reasons: t.stringList({
      description:
        'NO_BENEFIT, NOT_STARTED, EXPIRED, DEPLETED, INSUFFICIENT, SUSPENDED, PATIENT_INACTIVE; all that stand in the way. ' +
        'Where it is UNKNOWN: PAYER_UNREACHABLE or PAYER_ERROR.',
      resolve: ({ reasons }) => [...reasons],
    }),
    benefit: t.field({
      type: Benefit,
      nullable: true,
      description: 'The one that would pay, or that comes nearest to it.',
      resolve: ({ benefit }) => benefit,
    }),
    available: t.field({
      type: 'Decimal',
      nullable: true,
      description: 'Of that benefit, as far as both sides grant it; null where nobody can say.',
      resolve: ({ unit, available }) => unit && available && amountIn(unit, available),
    }),
    required: t.field({
      type: 'Decimal',
      resolve: ({ unit, required }) => amountIn(unit ?? 'MONEY', required),
    }),
    unit: t.expose('unit', { type: BenefitUnit, nullable: true }),
    serviceDate: t.field({ type: 'Date', resolve: ({ serviceDate }) => serviceDate.toString() }),
    asOf: t.expose('asOf', { type: 'DateTime', description: 'By the payer’s clock where it was asked.' }),
    source: t.exposeString('source', {
      description: 'LOCAL: what is on record here. PAYER: its answer as well. CACHE: what it answered before.',
    }),
    stale: t.exposeBoolean('stale', {
      description: 'The payer fails, and what it answered before, as of then, is too old to decide by.',
    }),
  }),
});

builder.queryFields((t) => ({
  benefit: t.field({
    type: Benefit,
    nullable: true,
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => benefits.findBenefit(scope, id),
  }),
  patientBenefits: t.field({
    type: [Benefit],
    description: 'All of a patient’s, those that end first at the front.',
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { patientId: t.arg.id({ required: true }) },
    resolve: (_root, { patientId }, { scope }) => benefits.patientBenefits(scope, patientId),
  }),
  activeBenefits: t.field({
    type: [Benefit],
    description: 'Those that can be spent from now, those that end first at the front.',
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { patientId: t.arg.id({ required: true }) },
    resolve: (_root, { patientId }, { scope }) => benefits.activeBenefits(scope, patientId),
  }),
  unspentBenefits: t.field({
    type: BenefitConnection,
    description: 'What has something left and ends soon: whom to remind. Those that end first at the front.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      withinDays: t.arg.int({ description: 'By the calendar of each plan’s zone; 30 unless given.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await benefits.unspentBenefits(scope, args)),
  }),
  checkEligibility: t.field({
    type: Eligibility,
    description:
      'Asks the payer as well, where the ledger says yes and the plan is a payer’s. It can only narrow the answer.',
    authScopes: readers,
    complexity: WRITE,
    args: {
      patientId: t.arg.id({ required: true }),
      benefitType: t.arg({ type: BenefitType, required: true }),
      amount: t.arg({ type: 'Decimal', required: true }),
      serviceDate: t.arg({ type: 'Date', description: 'Today in the plan’s zone unless given.' }),
    },
    resolve: (_root, args, { scope, app }) => benefits.checkEligibility(scope, args, app.integrations.payer),
  }),
}));

builder.objectType(benefits.InsufficientBenefit, {
  name: 'InsufficientBenefit',
  description: 'Nothing was taken: not as much is available.',
  interfaces: [Problem],
  authScopes: staff,
  fields: (t) => ({
    available: t.field({ type: 'Decimal', resolve: ({ available }) => available.toFixed(2) }),
    required: t.field({ type: 'Decimal', resolve: ({ required }) => required.toFixed(2) }),
  }),
});

builder.objectType(benefits.ReversalTooLarge, {
  name: 'ReversalTooLarge',
  description: 'More would be taken back than is left of what was used.',
  interfaces: [Problem],
  authScopes: staff,
  fields: (t) => ({
    reversible: t.field({ type: 'Decimal', resolve: ({ reversible }) => reversible.toFixed(2) }),
  }),
});

builder.objectType(benefits.BenefitNotCovering, {
  name: 'BenefitNotCovering',
  description: 'No benefit pays for the visit. Ask again with `acceptUncovered` to have it all the same.',
  interfaces: [Problem],
  authScopes: readers,
  fields: (t) => ({
    reasons: t.stringList({ description: 'As of checkEligibility.', resolve: ({ reasons }) => [...reasons] }),
    available: t.field({
      type: 'Decimal',
      nullable: true,
      description: 'Of the benefit that comes nearest to it.',
      resolve: ({ available }) => available && available.toFixed(2),
    }),
    required: t.field({ type: 'Decimal', resolve: ({ required }) => required.toFixed(2) }),
  }),
});

builder.objectFields(Appointment, (t) => ({
  benefit: t.loadable({
    type: Benefit,
    nullable: true,
    description: 'What pays for it: held until it has been, then spent.',
    load: (ids: string[], { scope }) => benefitsOf(scope, ids),
    resolve: ({ benefitId }) => benefitId,
  }),
  benefitAmount: t.field({
    type: 'Decimal',
    nullable: true,
    resolve: ({ benefitAmount }) => benefitAmount,
  }),
}));

export async function benefitsOf(scope: Scope, ids: readonly string[]): Promise<(benefits.Benefit | null)[]> {
  const found = await benefits.benefitsByIds(scope, ids);
  return ids.map((id) => found.get(id) ?? null);
}

const CreateBenefitInput = builder.inputType('CreateBenefitInput', {
  fields: (t) => ({
    patientId: t.id({ required: true }),
    type: t.field({ type: BenefitType, required: true }),
    unit: t.field({ type: BenefitUnit, required: true }),
    allocated: t.field({ type: 'Decimal', required: true }),
    periodStart: t.field({ type: 'Date', required: true }),
    periodEnd: t.field({ type: 'Date', required: true, description: 'The last day.' }),
    timeZone: t.string({ description: 'The plan’s, IANA; the clinic’s unless given.' }),
    externalPlanId: t.string(),
  }),
});

const RecordBenefitUsageInput = builder.inputType('RecordBenefitUsageInput', {
  fields: (t) => ({
    amount: t.field({ type: 'Decimal', required: true }),
    serviceDate: t.field({ type: 'Date', description: 'In the plan’s zone, in the period; today unless given.' }),
    appointmentId: t.id({ description: 'The visit that it pays for.' }),
  }),
});

const AdjustmentDirection = builder.enumType('AdjustmentDirection', {
  description: 'To what is allocated, or from it.',
  values: ['ADD', 'TAKE'] as const,
});

const AdjustBenefitInput = builder.inputType('AdjustBenefitInput', {
  fields: (t) => ({
    amount: t.field({ type: 'Decimal', required: true }),
    direction: t.field({ type: AdjustmentDirection, required: true }),
    reason: t.string({ required: true }),
  }),
});

const shown = ({ entry, benefit }: benefits.Recorded): ShownEntry => ({ ...entry, benefit });
const SPENDING = [InvalidInput, NotFound, benefits.InsufficientBenefit, IdempotencyMismatch];

builder.mutationFields((t) => ({
  createBenefit: t.field({
    type: Benefit,
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [InvalidInput, NotFound, IdempotencyMismatch] },
    args: { input: t.arg({ type: CreateBenefitInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) =>
      benefits.createBenefit(scope, { ...input, idempotencyKey }),
  }),
  recordBenefitUsage: t.field({
    type: BenefitEntry,
    description: 'The key counts per benefit, whoever calls.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: SPENDING },
    args: {
      benefitId: t.arg.id({ required: true }),
      input: t.arg({ type: RecordBenefitUsageInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { benefitId, input, idempotencyKey }, { scope }) =>
      shown(await benefits.recordUsage(scope, benefitId, { ...input, idempotencyKey })),
  }),
  reverseBenefitUsage: t.field({
    type: BenefitEntry,
    description: 'Gives back to the period that it came from; when that is over it expires at once.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [InvalidInput, NotFound, benefits.ReversalTooLarge, IdempotencyMismatch] },
    args: {
      entryId: t.arg.id({ required: true }),
      amount: t.arg({ type: 'Decimal', description: 'All that is left of it unless given.' }),
      reason: t.arg.string({ required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { entryId, ...reversal }, { scope }) =>
      shown(await benefits.reverseUsage(scope, entryId, reversal)),
  }),
  adjustBenefit: t.field({
    type: BenefitEntry,
    authScopes: admin,
    complexity: WRITE,
    errors: { types: SPENDING },
    args: {
      benefitId: t.arg.id({ required: true }),
      input: t.arg({ type: AdjustBenefitInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { benefitId, input, idempotencyKey }, { scope }) =>
      shown(await benefits.adjust(scope, benefitId, { ...input, idempotencyKey })),
  }),
}));
