/** The payer, as any client of FHIR sees it. What the platform makes of it is in core/test/benefits-api.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { control, simulate } from './support/world.ts';

const PLAN = { id: 'P-1', start: '2026-01-01', end: '2026-12-31' };
const RIDES = { code: 'TRANSPORTATION', allowed: '200', used: '20.50' };

interface Bundle {
  readonly total: number;
  readonly link: readonly { readonly relation: string; readonly url: string }[];
  readonly entry?: readonly { readonly resource: { readonly id: string } }[];
}

const question = (more: object = {}) => ({
  resourceType: 'CoverageEligibilityRequest',
  status: 'active',
  purpose: ['benefits'],
  patient: { identifier: { value: 'M-1' } },
  created: '2026-03-02',
  insurer: { display: 'x' },
  insurance: [{ coverage: { reference: 'Coverage/P-1' } }],
  ...more,
});

const ask = (base: string, body: unknown) =>
  fetch(`${base}/CoverageEligibilityRequest`, { method: 'POST', body: JSON.stringify(body) });

const search = (base: string, parameters: Record<string, string>) =>
  fetch(`${base}/Coverage/_search`, { method: 'POST', body: new URLSearchParams(parameters) });

describe('the payer', () => {
  it('says what it is capable of', async () => {
    await using simulators = await simulate();
    const answer = await fetch(`${simulators.payerUrl}/metadata`);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/fhir\+json/);
    const { resourceType, fhirVersion } = (await answer.json()) as Record<string, string>;
    assert.deepEqual([resourceType, fhirVersion], ['CapabilityStatement', '4.0.1']);
  });

  it('answers with money that has its cents, and counts', async () => {
    await using simulators = await simulate();
    const meals = { code: 'MEALS', unit: 'COUNT', allowed: '24', used: '3' };
    await control(simulators.url, 'POST payer/members', {
      member: 'M-1',
      plans: [{ ...PLAN, benefits: [RIDES, meals] }],
    });
    const answer = await ask(simulators.payerUrl, question());
    assert.equal(answer.status, 201);
    const text = await answer.text();
    assert.match(text, /"allowedMoney":\{"value":200\.00,"currency":"USD"\},"usedMoney":\{"value":20\.50,/);
    assert.match(text, /"allowedUnsignedInt":24,"usedUnsignedInt":3/);
    assert.match(
      text,
      /"outcome":"complete","insurance":\[\{"coverage":\{"reference":"Coverage\/P-1"\},"inforce":true/,
    );
  });

  it('shows the Coverages of a member page by page, and one by its id', async () => {
    await using simulators = await simulate();
    const plans = [1, 2, 3].map((n) => Object.assign({}, PLAN, { id: `P-${n}`, inForce: n !== 3 }));
    await control(simulators.url, 'POST payer/members', { member: 'M|1', plans });
    const whose = { 'beneficiary.identifier': 'urn:x|M\\|1', _count: '2' };
    const first = (await (await search(simulators.payerUrl, whose)).json()) as Bundle;
    const next = first.link.find(({ relation }) => relation === 'next')?.url ?? '';
    assert.doesNotMatch(next, /M/);
    const second = (await (await fetch(next)).json()) as Bundle;
    const ids = [first, second].map(({ entry = [] }) => entry.map(({ resource }) => resource.id));
    assert.deepEqual([first.total, ids], [3, [['P-1', 'P-2'], ['P-3']]]);
    const active = (await (await search(simulators.payerUrl, { ...whose, status: 'active' })).json()) as Bundle;
    assert.equal(active.total, 2);
    const one = (await (await fetch(`${simulators.payerUrl}/Coverage/P-3`)).json()) as { status: string };
    assert.equal(one.status, 'cancelled');
  });

  it('refuses what it does not understand with an OperationOutcome', async () => {
    await using simulators = await simulate();
    const base = simulators.payerUrl;
    for (const [refused, status] of [
      [ask(base, question({ patient: {} })), 422],
      [fetch(`${base}/CoverageEligibilityRequest`, { method: 'POST', body: '{' }), 400],
      [search(base, { status: 'active' }), 400],
      [fetch(`${base}/Coverage/nobody`), 404],
      [fetch(`${base}/Coverage?_page=nobody`), 404],
      [fetch(`${base}/Patient/1`), 404],
    ] as const) {
      const answer = await refused;
      const { resourceType } = (await answer.json()) as { resourceType: string };
      assert.deepEqual([answer.status, resourceType], [status, 'OperationOutcome']);
    }
  });

  it('answers what is above its rate with 429, and says when to come again', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST payer/settings', { ratePerSecond: 1 });
    const answers = [];
    for (let n = 0; n < 3; n++) answers.push(await fetch(`${simulators.payerUrl}/metadata`));
    assert.equal(answers.at(-1)?.status, 429);
    assert.equal(answers.at(-1)?.headers.get('retry-after'), '1');
  });

  it('fails by chance, the same way for the same seed and member', async () => {
    const outcomes = [];
    for (const seed of ['a', 'a', 'b']) {
      await using simulators = await simulate({ seed });
      await control(simulators.url, 'POST payer/faults', { broken: 0.4, busy: 0.3 });
      const seen = [];
      for (let n = 0; n < 20; n++) seen.push((await ask(simulators.payerUrl, question())).status);
      outcomes.push(seen.join(' '));
    }
    assert.equal(outcomes[0], outcomes[1]);
    assert.notEqual(outcomes[0], outcomes[2]);
    for (const status of [201, 429, 500]) assert.match(outcomes[0] ?? '', new RegExp(String(status)));
  });

  it('tells what it was asked, and forgets everything', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST payer/members', { member: 'M-1', plans: [PLAN] });
    await control(simulators.url, 'POST payer/scripts', { reply: 503, retryAfterSeconds: 7, times: null });
    assert.equal((await ask(simulators.payerUrl, question())).headers.get('retry-after'), '7');
    const [asked] = (await control(simulators.url, 'GET payer/requests')) as object[];
    assert.deepEqual(asked, {
      kind: 'eligibility',
      method: 'POST',
      url: '/payer/fhir/CoverageEligibilityRequest',
      member: 'M-1',
      planIds: ['P-1'],
      status: 503,
    });
    await control(simulators.url, 'POST payer/reset');
    assert.deepEqual(await control(simulators.url, 'GET payer/counts'), {
      byKind: { search: 0, eligibility: 0, read: 0 },
      byStatus: {},
    });
    assert.deepEqual(await control(simulators.url, 'GET payer/scripts'), []);
    await assert.rejects(control(simulators.url, 'POST payer/scripts', { lie: 'white' }), { status: 400 });
  });
});
