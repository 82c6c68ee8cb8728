import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, useApi } from './support/api.ts';
import { newPatient } from './support/visits.ts';

const api = useApi();
const year = new Date().getFullYear();

const run = async <T>(query: string, variables: object) =>
  dataOf<T>(await api.graphql(query, variables, { as: 'agent' }), 'it');

/** A drift of $12.50 as the sync finds it. */
async function aDrift(): Promise<{ id: string; benefitId: string }> {
  const input = {
    patientId: await newPatient(api),
    type: 'TRANSPORTATION',
    unit: 'MONEY',
    allocated: '200',
    periodStart: `${year}-01-01`,
    periodEnd: `${year}-12-31`,
    externalPlanId: 'plan-1',
  };
  const { id: benefitId } = await run<{ id: string }>(
    'mutation($input: CreateBenefitInput!) { it: createBenefit(input: $input) { ... on Benefit { id } } }',
    { input },
  );
  const id = randomUUID();
  await asSuperuser(
    `insert into benefit_drifts (id, patient_id, benefit_id, about, kind, external_plan_id, type, unit, allocated_here,
       used_here, allocated_there, used_there, difference, as_of, created_at, updated_at)
     values ($1, $2, $3::uuid, $3::text, 'LESS_LEFT', 'plan-1', 'TRANSPORTATION', 'MONEY', 200, 0, 200, 12.5, -12.5, now(), now(), now())`,
    [id, input.patientId, benefitId],
  );
  return { id, benefitId };
}

const ACCEPT = `mutation($id: ID!, $version: Int) { it: acceptDrift(id: $id, version: $version) {
  __typename ... on BenefitDrift { status entryId benefit { allocated entries(first: 1) { edges { node { kind adds amount } } } } }
  ... on StaleDrift { currentVersion } ... on DriftSettled { status } ... on InsufficientBenefit { available required }
  ... on Problem { code } } }`;

describe('drifts over the API', () => {
  test('are listed with both sides, accepted with a correction, and no twice', async () => {
    const { id } = await aDrift();
    const LIST = `query { it: benefitDrifts(first: 100) { edges { node { id kind status difference allocatedHere usedHere
      allocatedThere usedThere version patient { id } benefit { id } } } } }`;
    const { edges } = await run<{ edges: { node: { id: string } }[] }>(LIST, {});
    const {
      patient: _,
      benefit: __,
      ...node
    } = (edges.find(({ node }) => node.id === id) ?? { node: {} }).node as Record<string, unknown>;
    assert.deepEqual(node, {
      id,
      kind: 'LESS_LEFT',
      status: 'OPEN',
      difference: '-12.50',
      allocatedHere: '200.00',
      usedHere: '0.00',
      allocatedThere: '200.00',
      usedThere: '12.50',
      version: 1,
    });
    const stale = await run(ACCEPT, { id, version: 2 });
    assert.deepEqual(stale, { __typename: 'StaleDrift', currentVersion: 1, code: 'STALE_VERSION' });
    const { entryId, ...accepted } = await run<Record<string, unknown>>(ACCEPT, { id });
    assert.equal(typeof entryId, 'string');
    assert.deepEqual(accepted, {
      __typename: 'BenefitDrift',
      status: 'ACCEPTED',
      benefit: {
        allocated: '187.50',
        entries: { edges: [{ node: { kind: 'SYNC_CORRECTION', adds: false, amount: '12.50' } }] },
      },
    });
    const again = await run(ACCEPT, { id });
    assert.deepEqual(again, { __typename: 'DriftSettled', status: 'ACCEPTED', code: 'DRIFT_SETTLED' });
  });

  test('are refused as data where the benefit has not as much', async () => {
    const { id, benefitId } = await aDrift();
    await run(
      `mutation($id: ID!) { it: recordBenefitUsage(benefitId: $id, input: { amount: "190" }) { __typename } }`,
      { id: benefitId },
    );
    assert.deepEqual(await run(ACCEPT, { id }), {
      __typename: 'InsufficientBenefit',
      available: '10.00',
      required: '12.50',
      code: 'INSUFFICIENT_BENEFIT',
    });
  });

  test('are disputed with a reason that is sealed', async () => {
    const { id } = await aDrift();
    const DISPUTE = `mutation($id: ID!, $reason: String!) { it: disputeDrift(id: $id, reason: $reason) {
      __typename ... on BenefitDrift { status reason version settledBy } ... on Problem { code } } }`;
    assert.deepEqual(await run(DISPUTE, { id, reason: ' ' }), { __typename: 'InvalidInput', code: 'INVALID_INPUT' });
    const { settledBy, ...disputed } = await run<Record<string, unknown>>(DISPUTE, { id, reason: 'no such ride' });
    assert.equal(settledBy, (await api.person('agent')).id);
    assert.deepEqual(disputed, { __typename: 'BenefitDrift', status: 'DISPUTED', reason: 'no such ride', version: 2 });
    const [row] = await asSuperuser<{ reason: Buffer }>('select reason from benefit_drifts where id = $1', [id]);
    assert.ok(row && !row.reason.includes('ride'));
  });
});

describe('a run of the sync over the API', () => {
  test('is shown with how far it is, and for whom there was no answer', async () => {
    const id = randomUUID();
    await asSuperuser(
      `insert into benefit_sync_runs (id, patients, synced, failed, drifted, started_at, updated_at, waiting_since)
       values ($1, 10, 4, 1, 2, now(), now(), now())`,
      [id],
    );
    const patientId = await newPatient(api);
    await asSuperuser(
      `insert into benefit_sync_failures (run_id, patient_id, code, detail, failed_at)
       values ($1, $2, 'UNAVAILABLE', '503', now())`,
      [id, patientId],
    );
    const RUNS = `query($id: ID!) { it: benefitSyncRuns(first: 1) { edges { node { id state patients synced failed drifted
      finishedAt } } } failed: benefitSyncFailures(runId: $id) { edges { node { code detail patient { id } } } } }`;
    const { body } = await api.graphql(RUNS, { id }, { as: 'agent' });
    assert.deepEqual(body.data, {
      it: {
        edges: [{ node: { id, state: 'WAITING', patients: 10, synced: 4, failed: 1, drifted: 2, finishedAt: null } }],
      },
      failed: { edges: [{ node: { code: 'UNAVAILABLE', detail: '503', patient: { id: patientId } } }] },
    });
  });
});

describe('syncBenefits', () => {
  const SYNC = `mutation($patientId: ID!) { it: syncBenefits(patientId: $patientId) {
    __typename ... on BenefitSync { asOf benefits { id } drifts { id } } ... on Problem { code } } }`;

  test('says when the payer cannot be asked about the patient, and asks about none without a benefit there', async () => {
    const patientId = await newPatient(api);
    assert.deepEqual(await run(SYNC, { patientId }), {
      __typename: 'BenefitSync',
      asOf: null,
      benefits: [],
      drifts: [],
    });
    assert.deepEqual(await run(SYNC, { patientId: randomUUID() }), { __typename: 'NotFound', code: 'NOT_FOUND' });
    const { benefitId } = await aDrift();
    const BENEFIT = 'query($id: ID!) { it: benefit(id: $id) { patient { id } } }';
    const { patient } = await run<{ patient: { id: string } }>(BENEFIT, { id: benefitId });
    assert.deepEqual(await run(SYNC, { patientId: patient.id }), { __typename: 'NotAtPayer', code: 'NOT_AT_PAYER' });
  });
});
