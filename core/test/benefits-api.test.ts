/** The adapter against the simulated payer. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { type BenefitsApi, openBenefitsApi, type PayerMember } from '#integrations/benefits-api';
import { Malformed, RateLimited } from '#integrations/fhir';
import { guard, Refused, Unavailable } from '#integrations/guard';
import { assertSame } from './support/same.ts';
import { type Plan, QUICK, startPayer } from './support/payer-simulator.ts';
import { NOW } from './support/testing.ts';

const RIDES: Plan = { id: 'p1', benefits: [{ code: 'transportation', allowed: '200.10', used: '0.30' }] };
const MEMBER: PayerMember = { memberId: 'M|1', planIds: ['p1'] };

const amounts = async (api: BenefitsApi, member: PayerMember = MEMBER) => {
  const { benefits, faults, notInForce } = await api.eligibility(member);
  return [
    ...benefits.map(
      ({ planId, type, allocated, used }) => `${planId} ${type} ${allocated.toFixed()} ${used.toFixed()}`,
    ),
    ...faults.map(({ planId, fault }) => `${planId} ${fault}`),
    ...notInForce.map((planId) => `${planId} not in force`),
  ];
};

/** What it throws: its class and code. */
const refusal = (asked: Promise<unknown>) =>
  asked.then(
    () => assert.fail('it answered'),
    (thrown: Error & { code?: string }) => {
      const kind = [RateLimited, Unavailable, Refused, Malformed].find((one) => thrown instanceof one);
      return `${kind?.name} ${thrown.code}`;
    },
  );

describe('eligibility', () => {
  it('says what the payer has, to the cent, as of when', async () => {
    await using payer = await startPayer();
    await payer.tell('M|1', {
      ...RIDES,
      benefits: [...(RIDES.benefits ?? []), { code: 'MEALS', unit: 'COUNT', allowed: '24' }],
    });
    const api = payer.api();
    assert.deepEqual(await amounts(api), ['p1 TRANSPORTATION 200.1 0.3', 'p1 MEALS 24 0']);
    assertSame((await api.eligibility(MEMBER)).asOf, NOW);
  });

  it('finds the plans of a member by itself, over all pages, however often they come', async () => {
    await using payer = await startPayer();
    const plans = Array.from({ length: 120 }, (_, n) => ({ ...RIDES, id: `p${n}` }));
    await payer.tell('M|1', ...plans);
    for (const pages of [undefined, 'doubled', 'loop']) {
      await payer.control('DELETE scripts');
      if (pages) await payer.script({ request: 'search', pages, times: null });
      const { benefits, faults } = await payer.api().eligibility({ ...MEMBER, planIds: [] });
      assert.deepEqual([benefits.length, faults], [120, []]);
    }
    assert.deepEqual(
      await amounts(payer.api(), { memberId: 'nobody’s', planIds: ['p1'] }).catch(() => 'refused'),
      'refused',
    );
    await payer.tell('M|2');
    assert.deepEqual(await amounts(payer.api(), { memberId: 'M|2', planIds: [] }), []);
  });

  it('never puts into a URL whom it asks about', async () => {
    await using payer = await startPayer();
    await payer.tell('M|1', ...Array.from({ length: 60 }, (_, n) => ({ ...RIDES, id: `p${n}` })));
    await payer.api().eligibility({ ...MEMBER, planIds: [] });
    const requests = await payer.requests();
    assert.deepEqual(requests.map(({ kind }) => kind).toReversed(), ['search', 'search', 'eligibility']);
    assert.ok(requests.every(({ member }) => member === 'M|1'));
    for (const { url } of requests) assert.doesNotMatch(decodeURIComponent(url), /M\|1|p\d/);
  });

  for (const [lie, seen] of [
    ['no-amounts', ['p1 AMOUNT_MISSING']],
    ['amount-twice', ['p1 AMOUNT_TWICE']],
    ['used-above-allowed', ['p1 USED_ABOVE_ALLOWED']],
    ['no-period', ['p1 PERIOD_MISSING']],
    ['in-force-unsaid', ['p1 IN_FORCE_UNCLEAR']],
    ['not-in-force', ['p1 not in force']],
    ['other-plan', [' PLAN_NOT_ASKED', 'p1 PLAN_MISSING']],
    ['plan-left-out', ['p1 PLAN_MISSING']],
    ['partial', ['p1 TRANSPORTATION 200.1 0.3', ' ANSWER_PARTIAL']],
  ] as const) {
    it(`does not believe a payer that lies: ${lie}`, async () => {
      await using payer = await startPayer();
      await payer.tell('M|1', RIDES);
      await payer.script({ member: 'M|1', lie });
      assert.deepEqual(await amounts(payer.api()), seen);
    });
  }

  for (const [script, code, requests] of [
    [{ reply: 500 }, 'Unavailable 500', 2],
    [{ reply: 503 }, 'Unavailable 503', 2],
    [{ reply: 'drop' }, 'Unavailable UND_ERR_SOCKET', 2],
    [{ reply: 401 }, 'Unavailable 401', 2],
    [{ lie: 'queued' }, 'Unavailable OUTCOME_QUEUED', 1],
    [{ lie: 'error' }, 'Refused OUTCOME_ERROR', 1],
    [{ reply: 422 }, 'Refused 422', 1],
    [{ body: 'cut' }, 'Malformed NOT_JSON', 1],
    [{ body: 'html' }, 'Malformed NOT_JSON', 1],
    [{ body: 'empty' }, 'Malformed NOT_JSON', 1],
    [{ body: 'other' }, 'Malformed NOT_AN_ELIGIBILITY_RESPONSE', 1],
    [{ body: 'huge' }, 'Malformed TOO_LARGE', 1],
  ] as const) {
    it(`asks ${requests === 1 ? 'once' : 'twice'} and throws ${code} after ${JSON.stringify(script)}`, async () => {
      await using payer = await startPayer();
      await payer.script({ ...script, times: null });
      assert.equal(await refusal(payer.api(guard({ ...QUICK, retries: 1 })).eligibility(MEMBER)), code);
      assert.equal((await payer.counts()).byKind.eligibility, requests);
    });
  }

  it('gives up with whoever asks, and with the guard', async () => {
    await using payer = await startPayer();
    await payer.script({ reply: 'never', times: null });
    assert.equal(await refusal(payer.api().eligibility(MEMBER, AbortSignal.timeout(20))), 'Unavailable TIMEOUT');
    const short = payer.api(guard({ ...QUICK, timeoutMs: 20 }));
    assert.equal(await refusal(short.eligibility(MEMBER)), 'Unavailable TIMEOUT');
  });

  it('asks nothing before the pause is over that the payer asked for, and does not take it for broken', async () => {
    await using payer = await startPayer();
    await payer.script({ reply: 429, retryAfterSeconds: 3_600, times: null });
    const guarded = guard({ ...QUICK, retries: 3, failuresToOpen: 1, reopenAfterMs: 3_600_000 });
    const api = payer.api(guarded);
    for (let time = 0; time < 3; time++) assert.equal(await refusal(api.eligibility(MEMBER)), 'RateLimited 429');
    assert.equal((await payer.counts()).byKind.eligibility, 1);
    assert.equal(await guarded.ask(async () => 'still closed'), 'still closed');
  });

  it('knows when nobody is there, and when nobody is configured', async () => {
    await using payer = await startPayer();
    await payer.settings({ outage: true });
    assert.match(await refusal(payer.api().eligibility(MEMBER)), /^Unavailable /);
    const none = openBenefitsApi({ ...payer.config, BENEFITS_API_URL: undefined }, guard(QUICK));
    assert.equal(none.configured, false);
    assert.equal(await refusal(none.eligibility(MEMBER)), 'Unavailable NOT_CONFIGURED');
  });

  it('follows no page to elsewhere: the token goes nowhere else', async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      const link = [
        { relation: 'next', url: `http://localhost:${(server.address() as AddressInfo).port}/fhir?page=2` },
      ];
      response.end(JSON.stringify({ resourceType: 'Bundle', link }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const BENEFITS_API_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`;
    const api = openBenefitsApi({ BENEFITS_API_URL, BENEFITS_API_TOKEN: 'x', BENEFITS_API_CODES: {} }, guard(QUICK));
    assert.equal(await refusal(api.eligibility({ ...MEMBER, planIds: [] })), 'Malformed PAGE_ELSEWHERE');
    assert.equal(asked, 1);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('shows its token, and understands the payer’s own codes', async () => {
    await using payer = await startPayer();
    await payer.settings({ token: 'secret' });
    await payer.tell('M|1', { id: 'p1', benefits: [{ system: 'urn:payer', code: 'R-7', allowed: '5' }] });
    assert.equal(await refusal(payer.api().eligibility(MEMBER)), 'Unavailable 401');
    const config = {
      ...payer.config,
      BENEFITS_API_TOKEN: 'secret',
      BENEFITS_API_CODES: { 'urn:payer|R-7': 'MEALS' },
    } as const;
    assert.deepEqual(await amounts(openBenefitsApi(config, guard(QUICK))), ['p1 MEALS 5 0']);
  });

  it('answers the same for a member of whom nothing was told, from the seed', async () => {
    const seen = [];
    for (const seed of ['a', 'a', 'b']) {
      await using payer = await startPayer(seed);
      seen.push((await amounts(payer.api(), { memberId: 'M-7', planIds: [] })).join());
    }
    assert.equal(seen[0], seen[1]);
    assert.notEqual(seen[0], seen[2]);
    assert.match(seen[0] ?? '', /^plan-[0-9a-f]+ TRANSPORTATION \d+ [\d.]+,plan-[0-9a-f]+ MEALS \d+ \d+$/);
  });
});
