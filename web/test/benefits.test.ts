import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dataOf, useApi } from './support/api.ts';
import { halfHour, newPatient, newProvider } from './support/visits.ts';

const api = useApi();
const year = new Date().getFullYear();

interface Shown {
  readonly __typename: string;
  readonly id: string;
  readonly code?: string;
  readonly [field: string]: unknown;
}
const run = async (query: string, variables: object, as: 'agent' | 'admin' = 'agent') =>
  dataOf<Shown>(await api.graphql(query, variables, { as }), 'it');

const CREATE = `mutation($input: CreateBenefitInput!) { it: createBenefit(input: $input) {
  __typename ... on Benefit { id status unit allocated used held available periodEnd timeZone }
  ... on Problem { code message } ... on InvalidInput { issues { path } } } }`;
const USE = `mutation($id: ID!, $amount: Decimal!, $key: String) {
  it: recordBenefitUsage(benefitId: $id, input: { amount: $amount }, idempotencyKey: $key) {
    __typename ... on BenefitEntry { id kind amount benefit { used available } }
    ... on InsufficientBenefit { available required } ... on Problem { code } } }`;
const REVERSE = `mutation($id: ID!, $amount: Decimal) {
  it: reverseBenefitUsage(entryId: $id, amount: $amount, reason: "no ride") {
    __typename ... on BenefitEntry { id kind amount reverses reason benefit { available } }
    ... on ReversalTooLarge { reversible } ... on Problem { code } } }`;
const ADJUST = `mutation($id: ID!, $input: AdjustBenefitInput!) { it: adjustBenefit(benefitId: $id, input: $input) {
  __typename ... on BenefitEntry { kind adds amount benefit { allocated } } ... on Problem { code } } }`;

async function newBenefit(more: object = {}): Promise<Shown> {
  const input = {
    patientId: await newPatient(api),
    type: 'TRANSPORTATION',
    unit: 'MONEY',
    allocated: '200',
    periodStart: `${year}-01-01`,
    periodEnd: `${year}-12-31`,
    timeZone: 'Pacific/Apia',
    ...more,
  };
  return run(CREATE, { input });
}

describe('benefits over the API', () => {
  test('are made, spent, taken back and adjusted, each answer with its amounts', async () => {
    const { id, ...made } = await newBenefit();
    assert.deepEqual(made, {
      __typename: 'Benefit',
      status: 'ACTIVE',
      unit: 'MONEY',
      allocated: '200.00',
      used: '0.00',
      held: '0.00',
      available: '200.00',
      periodEnd: `${year}-12-31`,
      timeZone: 'Pacific/Apia',
    });
    const use = await run(USE, { id, amount: '45.50', key: 'k' });
    assert.deepEqual(await run(USE, { id, amount: '45.50', key: 'k' }), use);
    assert.deepEqual([use['kind'], use['amount']], ['USE', '45.50']);
    assert.deepEqual(use['benefit'], { used: '45.50', available: '154.50' });
    const mismatch = await run(USE, { id, amount: '1', key: 'k' });
    assert.equal(mismatch.code, 'IDEMPOTENCY_MISMATCH');
    const refused = await run(USE, { id, amount: '154.51' });
    assert.deepEqual(refused, {
      __typename: 'InsufficientBenefit',
      available: '154.50',
      required: '154.51',
      code: 'INSUFFICIENT_BENEFIT',
    });
    const back = await run(REVERSE, { id: use.id, amount: '5' });
    assert.deepEqual([back['kind'], back['reverses'], back['reason']], ['REVERSE', use.id, 'no ride']);
    assert.equal((await run(REVERSE, { id: use.id, amount: '41' }))['reversible'], '40.50');
    const adjusted = await run(ADJUST, { id, input: { amount: '9.50', direction: 'TAKE', reason: 'plan' } }, 'admin');
    assert.deepEqual([adjusted['adds'], adjusted['benefit']], [false, { allocated: '190.50' }]);
  });

  test('show their ledger, page by page, with the visit, and count without decimals', async () => {
    const { id } = await newBenefit({ unit: 'COUNT', type: 'MEALS', allocated: '14' });
    await run(USE, { id, amount: '3' });
    const LEDGER = `query($id: ID!, $after: String) { it: benefit(id: $id) { available patient { id }
      entries(first: 1, after: $after) { edges { node { kind amount appointment { id } } } pageInfo { endCursor } } } }`;
    const first = await run(LEDGER, { id });
    const { edges, pageInfo } = first['entries'] as { edges: object[]; pageInfo: { endCursor: string } };
    assert.deepEqual([first['available'], edges], ['11', [{ node: { kind: 'USE', amount: '3', appointment: null } }]]);
    const second = await run(LEDGER, { id, after: pageInfo.endCursor });
    assert.deepEqual((second['entries'] as { edges: object[] }).edges, [
      { node: { kind: 'ALLOCATE', amount: '14', appointment: null } },
    ]);
  });

  test('refuse amounts that are none as bad input, and say every issue of the rest', async () => {
    const { id } = await newBenefit();
    for (const amount of ['NaN', '', '1e12', 'ten']) {
      const { body } = await api.graphql(USE, { id, amount }, { as: 'agent' });
      assert.equal(body.errors?.[0]?.extensions['code'], 'BAD_USER_INPUT', amount);
    }
    for (const amount of ['0', '-1', '0.001', '1000000000000'])
      assert.equal((await run(USE, { id, amount })).code, 'INVALID_INPUT', amount);
    const wrong = await newBenefit({ periodStart: `${year}-12-31`, periodEnd: `${year}-01-01` });
    assert.deepEqual([wrong.code, wrong['issues']], ['INVALID_INPUT', [{ path: ['periodEnd'] }]]);
  });

  test('tell patients what is theirs, and whether it would pay', async () => {
    const patient = await api.person('patient');
    const { id } = await newBenefit({ patientId: patient.patientId });
    const OWN = `query($id: ID!) { active: activeBenefits(patientId: $id) { id status }
      all: patientBenefits(patientId: $id) { id } me { patient { benefits { id } } }
      it: checkEligibility(patientId: $id, benefitType: TRANSPORTATION, amount: "10.00") {
        decision reasons available required source benefit { id } } }`;
    const { body } = await api.graphql(OWN, { id: patient.patientId }, { as: patient });
    assert.deepEqual(body.data, {
      active: [{ id, status: 'ACTIVE' }],
      all: [{ id }],
      me: { patient: { benefits: [{ id }] } },
      it: {
        decision: 'ELIGIBLE',
        reasons: [],
        available: '200.00',
        required: '10.00',
        source: 'LOCAL',
        benefit: { id },
      },
    });
    const other = await newBenefit();
    const foreign = await api.graphql('query($id: ID!) { benefit(id: $id) { id } }', { id: other.id }, { as: patient });
    assert.deepEqual(foreign.body.data, { benefit: null });
  });

  test('pay for visits of a service that says so, or let the caller accept that none does', async () => {
    const cover = `mutation($coverage: ServiceCoverageInput) {
      it: updateCareService(service: TRANSPORTATION, input: { coverage: $coverage }) {
        ... on CareService { coverage { type unit amount onNoShow } } ... on Problem { code } } }`;
    const coverage = { type: 'TRANSPORTATION', unit: 'COUNT', amount: '1', onNoShow: 'USE' };
    const service = await run(cover, { coverage }, 'admin');
    assert.deepEqual(service['coverage'], { ...coverage, amount: '1.00' });
    const patientId = await newPatient(api);
    const trips = await newBenefit({ patientId, unit: 'COUNT', allocated: '1', periodEnd: `${year + 2}-12-31` });
    const BOOK = `mutation($input: ScheduleAppointmentInput!) { it: scheduleAppointment(input: $input) {
      __typename ... on Appointment { id benefitAmount benefit { id held } }
      ... on BenefitNotCovering { reasons available required } ... on Problem { code } } }`;
    const ride = { patientId, providerId: await newProvider(api), service: 'TRANSPORTATION' };
    const first = await run(BOOK, { input: { ...ride, startsAt: halfHour(0) } });
    assert.deepEqual([first['benefitAmount'], first['benefit']], ['1.00', { id: trips.id, held: '1' }]);
    const input = { ...ride, startsAt: halfHour(6) };
    assert.deepEqual(await run(BOOK, { input }), {
      __typename: 'BenefitNotCovering',
      reasons: ['INSUFFICIENT'],
      available: '0.00',
      required: '1.00',
      code: 'BENEFIT_NOT_COVERING',
    });
    const accepted = await run(BOOK, { input: { ...input, acceptUncovered: true } });
    assert.deepEqual([accepted.__typename, accepted['benefit']], ['Appointment', null]);
    const LEDGER = `query($id: ID!) { it: benefit(id: $id) { entries { edges { node { kind appointment { id } } } } } }`;
    const { edges } = (await run(LEDGER, { id: trips.id }))['entries'] as { edges: object[] };
    assert.deepEqual(edges[0], { node: { kind: 'HOLD', appointment: { id: first.id } } });
    await run(cover, { coverage: null }, 'admin');
  });
});
