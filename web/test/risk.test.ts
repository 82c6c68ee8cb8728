import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { sequenceEvents } from '@careflex/core/platform/events';
import * as risk from '@careflex/core/risk';
import { dataOf, useApi } from './support/api.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();

/** What a worker does every second. */
async function score(): Promise<void> {
  await sequenceEvents(api.systemScope());
  await risk.followEvents(api.systemScope());
}

async function book(more: object = {}): Promise<It> {
  const input = {
    patientId: await newPatient(api),
    providerId: await newProvider(api),
    service: 'TELEHEALTH',
    startsAt: halfHour(0),
    ...more,
  };
  return dataOf<It>(await api.graphql(SCHEDULE, { input }, { as: 'agent' }), 'it');
}

const RISK = 'risk { probability band reasons model scoredAt }';

interface Risk {
  readonly probability: number;
  readonly band: string;
  readonly reasons: string[];
  readonly model: string;
}

/** Statements about scores. */
let statements = 0;
before(() => {
  const query = Reflect.get(pg.Client.prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(pg.Client.prototype, 'query', function counted(this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    const text = typeof first === 'string' ? first : (first as { text?: string }).text;
    if (/\b(risk_\w+|audit_entries|appointments)\b/.test(text ?? '')) statements++;
    return query.apply(this, args);
  });
});

describe('Appointment.risk', () => {
  test('is null at first, and a score with its reasons a moment later', async () => {
    const { id } = await book();
    const ask = () => api.graphql(`{ it: appointment(id: "${id}") { ${RISK} } }`, {}, { as: 'agent' });
    assert.equal(dataOf<{ risk: Risk | null }>(await ask(), 'it').risk, null);
    await score();
    const found = dataOf<{ risk: Risk | null }>(await ask(), 'it').risk;
    assert.ok(found && found.probability > 0 && found.probability < 1, JSON.stringify(found));
    assert.ok(found.reasons.length > 0);
    assert.equal(found.model, 'statistical-built-in');
  });

  test('is null for patients, of their own visit too', async () => {
    const patient = await api.newPerson('patient');
    const { id } = await book({ patientId: patient.patientId });
    await score();
    const { body } = await api.graphql(`{ it: appointment(id: "${id}") { id ${RISK} } }`, {}, { as: patient });
    assert.equal(body.errors, undefined);
    assert.deepEqual(body.data, { it: { id, risk: null } });
  });

  test('takes as many statements for thirty visits as for three', async () => {
    const providerId = await newProvider(api);
    for (let n = 0; n < 30; n++) await book({ providerId, startsAt: halfHour(n) });
    await score();
    const LIST = `query($providerId: ID!, $first: Int!) {
      it: appointments(providerId: $providerId, first: $first) { edges { node { ${RISK} } } } }`;
    const counts: number[] = [];
    for (const first of [3, 3, 30, 30]) {
      const before = statements;
      const answer = await api.graphql(LIST, { providerId, first }, { as: 'agent' });
      const { edges } = dataOf<{ edges: { node: { risk: Risk | null } }[] }>(answer, 'it');
      assert.equal(edges.filter(({ node }) => node.risk !== null).length, first);
      counts.push(statements - before);
    }
    assert.ok(counts[1] && counts[1] > 2, counts.join());
    assert.equal(counts[3], counts[1], counts.join());
  });
});

describe('appointmentsByRisk', () => {
  test('lists visits to come with their scores, the riskiest first', async () => {
    await book();
    await score();
    const answer = await api.graphql(
      `{ it: appointmentsByRisk(first: 50, to: "${halfHour(160)}") { edges { cursor node { id ${RISK} } } pageInfo { hasNextPage } } }`,
      {},
      { as: 'agent' },
    );
    const { edges } = dataOf<{ edges: { node: { risk: Risk } }[] }>(answer, 'it');
    const chances = edges.map(({ node }) => node.risk.probability);
    assert.ok(chances.length > 5);
    assert.deepEqual(
      chances,
      chances.toSorted((a, b) => b - a),
    );
  });
});

describe('an admin', () => {
  const asAdmin = (query: string) => api.graphql(query, {}, { as: 'admin' });

  test('reads the report, has a model trained by a job, once for a key, and has nothing to go back from at first', async () => {
    const report = dataOf<{ measures: { visits: number; brier: number | null }; alarms: string[] }>(
      await asAdmin(`{ it: riskReport { model measures { visits auc brier observedOverExpected } statistical { brier }
        calibration { visits expected observed } groups { by value visits expected observed } drift { input index } alarms } }`),
      'it',
    );
    assert.deepEqual([report.measures.visits, report.measures.brier, report.alarms], [0, null, []]);

    const TRAIN = 'mutation { it: trainRiskModel(kind: STATISTICAL, idempotencyKey: "t") { ... on Done { id } } }';
    const [first, again] = [await asAdmin(TRAIN), await asAdmin(TRAIN)].map((answer) =>
      dataOf<{ id: string }>(answer, 'it'),
    );
    assert.ok(first && first.id === again?.id);
    const job = await asAdmin(`{ it: job(id: "${first.id}") { queue payload } }`);
    assert.deepEqual(dataOf(job, 'it'), { queue: 'risk-training', payload: { kind: 'STATISTICAL' } });

    const models = await asAdmin(
      '{ it: riskModels { edges { node { version kind active heldOut { model { auc } statistical { auc } } } } } }',
    );
    assert.deepEqual(dataOf(models, 'it'), { edges: [] });
    const back = await asAdmin('mutation { it: rollBackRiskModel { __typename ... on Problem { code } } }');
    assert.deepEqual(dataOf(back, 'it'), { __typename: 'NothingToRollBack', code: 'NOTHING_TO_ROLL_BACK' });
  });
});
