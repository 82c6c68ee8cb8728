/** Who will probably not come, so that staff can help. */
import * as risk from '@careflex/core/risk';
import { Appointment, AppointmentConnection, readers } from './appointments.ts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { IdempotencyMismatch, NotFound, Problem } from './problems.ts';
import { Done, ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;
const admin = { admin: true } as const;

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

const RiskModelKind = builder.enumType('RiskModelKind', {
  description:
    'STATISTICAL needs no history; ADVANCED learns from it; LEGACY is the earlier system’s rule, to compare with.',
  values: risk.MODEL_KINDS,
});
const RiskAlarm = builder.enumType('RiskAlarm', { values: risk.RISK_ALARMS });
const RiskGroupKind = builder.enumType('RiskGroupKind', { values: risk.RISK_GROUPS });

const RiskMeasures = builder.objectRef<risk.Measures>('RiskMeasures').implement({
  description: 'How good predictions were, beside what happened.',
  authScopes: admin,
  fields: (t) => ({
    visits: t.exposeInt('visits'),
    noShows: t.exposeInt('noShows'),
    auc: t.exposeFloat('auc', {
      nullable: true,
      description: 'How often the one who missed had the higher score; null where nobody or everybody did.',
    }),
    brier: t.exposeFloat('brier', {
      nullable: true,
      description: 'The mean of squared errors: smaller is better. Null without visits, like the other means.',
    }),
    brierSkill: t.exposeFloat('brierSkill', {
      nullable: true,
      description: 'Above 0: better than to say the base rate of everybody.',
    }),
    logLoss: t.exposeFloat('logLoss', { nullable: true }),
    calibrationError: t.exposeFloat('calibrationError', { nullable: true }),
    observedOverExpected: t.exposeFloat('observedOverExpected', { nullable: true }),
  }),
});

const HeldOut = builder.objectRef<NonNullable<risk.StoredModel['heldOut']>>('RiskHeldOut').implement({
  description: 'On the last weeks, which neither had seen.',
  authScopes: admin,
  fields: (t) => ({
    model: t.expose('model', { type: RiskMeasures }),
    statistical: t.expose('statistical', { type: RiskMeasures }),
  }),
});

const RiskModel = builder.objectRef<risk.StoredModel>('RiskModel').implement({
  authScopes: admin,
  fields: (t) => ({
    id: t.exposeID('id'),
    version: t.exposeString('version'),
    kind: t.expose('kind', { type: RiskModelKind }),
    trainedFrom: t.field({
      type: 'Date',
      nullable: true,
      description: 'The day of the first visit that it learned from.',
      resolve: ({ trainedFrom }) => trainedFrom?.toString() ?? null,
    }),
    trainedUntil: t.field({
      type: 'Date',
      nullable: true,
      resolve: ({ trainedUntil }) => trainedUntil?.toString() ?? null,
    }),
    visits: t.exposeInt('visits'),
    noShows: t.exposeInt('noShows'),
    heldOut: t.expose('heldOut', { type: HeldOut, nullable: true }),
    active: t.exposeBoolean('active', { description: 'Whether visits are scored by it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});
const RiskModelConnection = connectionOf(RiskModel, 'RiskModel', admin);

const CalibrationBin = builder.objectRef<risk.CalibrationBin>('RiskCalibrationBin').implement({
  description: 'A tenth of the visits, by their score.',
  authScopes: admin,
  fields: (t) => ({
    visits: t.exposeInt('visits'),
    expected: t.exposeFloat('expected', { description: 'The mean of what was said.' }),
    observed: t.exposeFloat('observed', { description: 'The share that did not come.' }),
  }),
});

const RiskGroup = builder.objectRef<risk.RiskGroup>('RiskGroup').implement({
  authScopes: admin,
  fields: (t) => ({
    by: t.expose('by', { type: RiskGroupKind }),
    value: t.exposeString('value', { description: 'Such as 30-39, TELEHEALTH, a provider’s id, true.' }),
    visits: t.exposeInt('visits'),
    expected: t.exposeFloat('expected'),
    observed: t.exposeFloat('observed'),
  }),
});

const RiskDrift = builder.objectRef<risk.RiskReport['drift'][number]>('RiskDrift').implement({
  description: 'How far an input is from what the model learned from: the population stability index.',
  authScopes: admin,
  fields: (t) => ({
    input: t.exposeString('input'),
    index: t.exposeFloat('index', { description: 'Over 0.25 much has changed.' }),
  }),
});

const RiskReport = builder.objectRef<risk.RiskReport>('RiskReport').implement({
  description: 'What was said of visits a day before them, beside what came of them.',
  authScopes: admin,
  fields: (t) => ({
    from: t.expose('from', { type: 'DateTime' }),
    to: t.field({ type: 'DateTime', resolve: ({ until }) => until }),
    model: t.exposeString('model', { description: 'The version in use now.' }),
    measures: t.expose('measures', { type: RiskMeasures }),
    statistical: t.expose('statistical', {
      type: RiskMeasures,
      description: 'The statistical model on the same visits.',
    }),
    calibration: t.field({ type: [CalibrationBin], resolve: ({ calibration }) => [...calibration] }),
    groups: t.field({ type: [RiskGroup], resolve: ({ groups }) => [...groups] }),
    drift: t.field({ type: [RiskDrift], resolve: ({ drift }) => [...drift] }),
    alarms: t.field({ type: [RiskAlarm], resolve: ({ alarms }) => [...alarms] }),
  }),
});

builder.queryFields((t) => ({
  riskModels: t.field({
    type: RiskModelConnection,
    description: 'The models that were trained, the newest first. Where none is active the built-in one is used.',
    authScopes: admin,
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await risk.riskModels(scope, args)),
  }),
  riskReport: t.field({
    type: RiskReport,
    authScopes: admin,
    complexity: { field: ONE_RECORD, multiplier: 20 },
    args: {
      from: t.arg({
        type: 'DateTime',
        description: 'Visits from this instant on; four weeks before `to` unless given.',
      }),
      to: t.arg({ type: 'DateTime', description: 'Visits before this instant; now unless given. A year at most.' }),
    },
    resolve: (_root, args, { scope }) => risk.riskReport(scope, args),
  }),
}));

builder.objectType(risk.NothingToRollBack, {
  name: 'NothingToRollBack',
  description: 'No model was activated.',
  interfaces: [Problem],
  authScopes: admin,
});

const LearningKind = builder.enumType('RiskLearningKind', { values: ['STATISTICAL', 'ADVANCED'] as const });
const ActiveModel = builder.objectRef<{ model: risk.StoredModel | null }>('ActiveRiskModel').implement({
  authScopes: admin,
  fields: (t) => ({
    model: t.expose('model', { type: RiskModel, nullable: true, description: 'Null: the built-in one.' }),
  }),
});

builder.mutationFields((t) => ({
  activateRiskModel: t.field({
    type: RiskModel,
    description: 'Has the model used from now on, and every visit to come scored anew.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { id, ...of }, { scope }) => risk.activateModel(scope, id, of),
  }),
  rollBackRiskModel: t.field({
    type: ActiveModel,
    description: 'Goes back to the model that was used before the last one that somebody chose.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [risk.NothingToRollBack, IdempotencyMismatch] },
    args: { idempotencyKey: t.arg.string() },
    resolve: async (_root, of, { scope }) => ({ model: await risk.rollBackModel(scope, of) }),
  }),
  trainRiskModel: t.field({
    type: Done,
    description: 'Has a model trained by a job, whose id is answered; it is used once it is activated.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [IdempotencyMismatch] },
    args: { kind: t.arg({ type: LearningKind, required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, input, { scope }) => ({ id: await risk.requestTraining(scope, input) }),
  }),
}));
