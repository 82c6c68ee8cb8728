/** What a payer that is slow, or gone, does to those who work meanwhile. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { asSuperuser } from '@careflex/core/testing';
import { startSimulators } from '@careflex/simulators/main';
import { SIMULATED } from '@careflex/simulators/simulated';
import { dataOf, useApi } from './support/api.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const simulators = await startSimulators({ credentials: SIMULATED.credentials });
after(() => simulators[Symbol.asyncDispose]());
const api = useApi({ environment: { BENEFITS_API_URL: simulators.payerUrl } });

async function payer(what: string, body: object): Promise<void> {
  const response = await fetch(`${simulators.url}/simulator/payer/${what}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  assert.ok(response.ok, await response.text());
}
beforeEach(() => payer('reset', {}));

const year = new Date().getFullYear();
const period = { start: `${year}-01-01`, end: `${year + 2}-12-31` };

/** A patient with $200.00 for rides here, and with so much of it at the payer. */
async function newMember(used: string) {
  const [member, planId] = [randomUUID(), randomUUID()];
  const patientId = await newPatient(api, { externalId: member });
  const input = { patientId, type: 'TRANSPORTATION', unit: 'MONEY', allocated: '200', externalPlanId: planId };
  const benefit = { ...input, periodStart: period.start, periodEnd: period.end };
  const CREATE = `mutation($input: CreateBenefitInput!) { it: createBenefit(input: $input) { ... on Benefit { id } } }`;
  const { id } = dataOf<It>(await api.graphql(CREATE, { input: benefit }, { as: 'agent' }), 'it');
  const benefits = [{ code: 'TRANSPORTATION', allowed: '200', used }];
  await payer('members', { member, plans: [{ ...period, id: planId, benefits }] });
  return { patientId, member, benefitId: id };
}

const CHECK = `query($id: ID!) { patientBenefits(patientId: $id) { id }
  it: checkEligibility(patientId: $id, benefitType: TRANSPORTATION, amount: "60") {
    decision reasons available source stale benefit { id } } }`;

describe('checkEligibility over the API', () => {
  test('says what the payer grants', async () => {
    const { patientId, benefitId } = await newMember('150');
    const seen = [];
    for (let n = 0; n < 2; n++) seen.push(dataOf(await api.graphql(CHECK, { id: patientId }, { as: 'agent' }), 'it'));
    const narrow = {
      decision: 'INELIGIBLE',
      reasons: ['INSUFFICIENT'],
      available: '50.00',
      benefit: { id: benefitId },
    };
    assert.deepEqual(seen, [
      { ...narrow, source: 'PAYER', stale: false },
      { ...narrow, source: 'CACHE', stale: false },
    ]);
  });

  test('holds no transaction open while it waits for the payer', async () => {
    const { patientId, member } = await newMember('0');
    await payer('scripts', { member, delayMs: 3_600_000 });
    const checking = api.graphql(CHECK, { id: patientId }, { as: 'agent' });
    while (simulators.payer.asked.length === 0) await sleep(5);
    // What the other fields read is committed in the next turn of the loop.
    let open: object[] = [{}];
    for (let tries = 0; open.length > 0 && tries < 400; tries++) {
      open = await asSuperuser(
        `select state from pg_stat_activity where datname = current_database() and xact_start is not null
          and usename = 'careflex_app'`,
      );
      await sleep(5);
    }
    assert.deepEqual(open, []);
    const meanwhile = await api.graphql('{ me { role } }', {}, { as: 'agent' });
    assert.deepEqual(meanwhile.body.data, { me: { role: 'AGENT' } });
    // It answers now, and has forgotten the plan.
    await payer('reset', {});
    assert.deepEqual(dataOf<{ reasons: string[] }>(await checking, 'it').reasons, ['PAYER_ERROR']);
  });
});

describe('a booking that a benefit pays for', () => {
  test('asks no payer, whatever its state', async () => {
    const COVER = `mutation($coverage: ServiceCoverageInput) {
      it: updateCareService(service: TRANSPORTATION, input: { coverage: $coverage }) { __typename } }`;
    const coverage = { type: 'TRANSPORTATION', unit: 'MONEY', amount: '25', onNoShow: 'USE' };
    await api.graphql(COVER, { coverage }, { as: 'admin' });
    const { patientId, benefitId } = await newMember('200');
    const before = simulators.payer.asked.length;
    await payer('scripts', { reply: 'never', times: null });
    const input = { patientId, providerId: await newProvider(api), service: 'TRANSPORTATION', startsAt: halfHour(0) };
    const visit = dataOf<It>(await api.graphql(SCHEDULE, { input }, { as: 'agent' }), 'it');
    assert.equal(visit.status, 'SCHEDULED');
    const MOVE = `mutation($id: ID!, $startsAt: DateTime!) {
      it: rescheduleAppointment(id: $id, input: { startsAt: $startsAt }) { ... on Appointment { status } } }`;
    await api.graphql(MOVE, { id: visit.id, startsAt: halfHour(4) }, { as: 'agent' });
    const CANCEL = `mutation($id: ID!) {
      it: cancelAppointment(id: $id, input: { reason: PATIENT }) { ... on Appointment { status } } }`;
    assert.equal(dataOf<It>(await api.graphql(CANCEL, { id: visit.id }, { as: 'agent' }), 'it').status, 'CANCELLED');
    const LEDGER = `query($id: ID!) { it: benefit(id: $id) { entries(first: 9) { edges { node { kind } } } } }`;
    const { entries } = dataOf<{ entries: { edges: { node: { kind: string } }[] } }>(
      await api.graphql(LEDGER, { id: benefitId }, { as: 'agent' }),
      'it',
    );
    const kinds = new Set(entries.edges.map(({ node }) => node.kind));
    assert.deepEqual([kinds.has('HOLD'), kinds.has('RELEASE')], [true, true]);
    assert.equal(simulators.payer.asked.length, before);
  });
});
