/** The adapter against the simulated directory, and all the way from there to what is offered. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Malformed, RateLimited } from '#integrations/fhir';
import { GUARD, guard, Refused, Unavailable } from '#integrations/guard';
import { openProviderDirectory, type ProviderDirectory } from '#integrations/provider-api';
import * as scheduling from '#scheduling';
import { startSimulators, type Simulators } from '@careflex/simulators/main';
import { newProvider } from './support/appointments.ts';
import { assertSame } from './support/same.ts';
import { as, NOW, sandboxed } from './support/testing.ts';

const QUICK = { ...GUARD, timeoutMs: 2_000, retries: 0, firstRetryMs: 1, failuresToOpen: 1_000 };
const SPAN = { from: NOW, until: NOW.add({ hours: 24 * 7 }) };
const NPI = 'http://hl7.org/fhir/sid/us-npi';
const TEN = '2026-03-03T15:00:00Z';
const ELEVEN = '2026-03-03T16:00:00Z';
const NOON = '2026-03-03T17:00:00Z';

let simulators: Simulators;
before(async () => {
  const credentials = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-simulators' };
  simulators = await startSimulators({ credentials, seed: 'test', now: () => NOW });
});
after(() => simulators[Symbol.asyncDispose]());
beforeEach(() => tell('reset', {}));

async function tell(what: string, body: object): Promise<void> {
  const response = await fetch(`${simulators.url}/simulator/directory/${what}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, await response.text());
}

const directory = (token?: string): ProviderDirectory =>
  openProviderDirectory({ PROVIDER_API_URL: simulators.directoryUrl, PROVIDER_API_TOKEN: token }, guard(QUICK));

/** What it throws: its class and code. */
const refusal = (asked: Promise<unknown>) =>
  asked.then(
    () => assert.fail('it answered'),
    (thrown: Error & { code?: string }) => {
      const kind = [RateLimited, Unavailable, Refused, Malformed].find((one) => thrown instanceof one);
      return `${kind?.name} ${thrown.code}`;
    },
  );

describe('the directory’s adapter', () => {
  it('finds every practitioner that is active, over all pages, by identifier and NPI', async () => {
    const practitioners = Array.from({ length: 450 }, (_, n) => ({
      id: `p${n}`,
      identifiers: [{ system: NPI, value: `${1_000_000_000 + n}` }],
      active: n !== 7,
    }));
    await tell('practitioners', practitioners);
    for (const pages of [undefined, 'doubled', 'loop']) {
      if (pages) await tell('scripts', { request: 'practitioners', pages, times: null });
      const found = await directory().practitioners();
      assert.equal(found.length, 452);
      assert.deepEqual(
        found.find(({ id }) => id === 'p8'),
        { id: 'p8', identifiers: [`${NPI}|1000000008`], npis: ['1000000008'] },
      );
      await tell('reset', {});
      await tell('practitioners', practitioners);
    }
  });

  it('reads slots as instants, with what the schedule covers, and leaves out what was entered in error', async () => {
    const until = '2026-03-20T00:00:00Z';
    const slots = [
      { start: '2026-03-03T10:00:00-05:00', end: ELEVEN },
      { status: 'busy-unavailable', start: ELEVEN, end: NOON },
      { status: 'entered-in-error', start: TEN, end: NOON },
    ];
    await tell('practitioners', { id: 'p1', timeZone: 'America/New_York', until, slots });
    const times = await directory().times('p1', SPAN);
    assertSame(times?.from, Temporal.Instant.from('2026-03-02T05:00:00Z'));
    assertSame(times?.until, Temporal.Instant.from(until));
    assert.deepEqual(
      times?.slots.map(({ status, startsAt, endsAt }) => `${status} ${startsAt.toString()} ${endsAt.toString()}`),
      [`free ${TEN} ${ELEVEN}`, `busy-unavailable ${ELEVEN} ${NOON}`],
    );
    assert.equal(await directory().times('nobody', SPAN), null);
  });

  it('tells what passes from what does not, and believes nothing that cannot be read', async () => {
    const cases: [object, string][] = [
      [{ reply: 503 }, 'Unavailable 503'],
      [{ reply: 404 }, 'Refused 404'],
      [{ reply: 'drop' }, 'Unavailable UND_ERR_SOCKET'],
      [{ reply: 429, retryAfterSeconds: 1 }, 'RateLimited 429'],
      [{ body: 'cut' }, 'Malformed NOT_JSON'],
      [{ body: 'html' }, 'Malformed NOT_JSON'],
      [{ body: 'other' }, 'Malformed NOT_A_BUNDLE'],
      [{ body: 'huge' }, 'Malformed TOO_LARGE'],
      [{ request: 'slots', lie: 'no-status' }, 'Malformed NO_SLOT'],
      [{ request: 'slots', lie: 'no-instant' }, 'Malformed NO_SLOT'],
    ];
    for (const [script, expected] of cases) {
      await tell('reset', {});
      await tell('scripts', { practitioner: 'demo-cook', ...script });
      assert.equal(await refusal(directory().times('demo-cook', SPAN)), expected);
    }
  });

  it('says its token, and where none is configured that it is not', async () => {
    await tell('settings', { token: 'a-token' });
    assert.equal((await directory('a-token').practitioners()).length, 3);
    assert.equal(await refusal(directory('another').practitioners()), 'Unavailable 401');
    const none = openProviderDirectory({ PROVIDER_API_URL: undefined, PROVIDER_API_TOKEN: undefined }, guard(QUICK));
    assert.equal(none.source, null);
    assert.equal(await refusal(none.practitioners()), 'Unavailable NOT_CONFIGURED');
  });
});

describe('syncDirectory, from the simulated directory,', () => {
  const arranged = (
    work: (world: { scope: Parameters<Parameters<typeof sandboxed>[0]>[0]; ids: string[] }) => Promise<void>,
  ) =>
    sandboxed(async (scope) => {
      const ids = [];
      for (const id of ['p1', 'p2']) {
        const externalId = randomUUID();
        const knownAs = [`https://x.example|${externalId}`, `Practitioner/${externalId}`];
        ids.push(await newProvider(scope, { timeZone: 'America/New_York' }));
        const made = await scheduling.getProvider(scope, ids.at(-1) ?? '');
        const same = { externalId: made.externalId, name: made.name, timeZone: made.timeZone };
        await scheduling.importProviders(as(scope, 'system'), [{ ...same, knownAs }]);
        const identifiers = [{ system: 'https://x.example', value: externalId }];
        await tell('practitioners', { id, identifiers, slots: [{ start: TEN, end: ELEVEN }] });
      }
      await work({ scope, ids });
    });
  const sync = (scope: Parameters<typeof as>[0]) =>
    scheduling.syncDirectory(as(scope, 'system'), { directory: directory(), signal: new AbortController().signal });
  const starts = async (scope: Parameters<typeof as>[0], id: string) => {
    const range = {
      from: Temporal.Instant.from('2026-03-03T05:00:00Z'),
      to: Temporal.Instant.from('2026-03-04T05:00:00Z'),
    };
    const slots = await scheduling.availableSlots(scope, {
      service: 'TELEHEALTH',
      providerIds: [id],
      ...range,
      everyMinutes: 30,
    });
    return slots.map(({ startsAt }) => startsAt.toString());
  };
  const HALVES = [TEN, '2026-03-03T15:30:00Z'];

  it(
    'takes over all of it, and twice the same without effect',
    arranged(async ({ scope, ids }) => {
      assert.deepEqual(await sync(scope), { changed: 2, unchanged: 0, failed: 0 });
      for (const id of ids) assert.deepEqual(await starts(scope, id), HALVES);
      assert.deepEqual(await sync(scope), { changed: 0, unchanged: 2, failed: 0 });
    }),
  );

  for (const [lie, problem] of [
    ['ends-before-start', 'ENDS_BEFORE_START'],
    ['no-status', 'MALFORMED'],
    ['free-and-busy', 'FREE_AND_BUSY'],
  ] as const) {
    it(
      `leaves alone the one about whom it says ${lie}, and takes over the other`,
      arranged(async ({ scope, ids }) => {
        await sync(scope);
        await tell('scripts', { practitioner: 'p1', request: 'slots', lie, times: null });
        assert.deepEqual(await sync(scope), { changed: 0, unchanged: 1, failed: 1 });
        const states = await scheduling.directoryStates(scope, ids);
        assert.deepEqual(
          ids.map((id) => states.get(id)?.problem),
          [problem, null],
        );
        assert.deepEqual(await starts(scope, ids[0] ?? ''), HALVES);
      }),
    );
  }

  it(
    'waits when it is asked for a pause, and keeps what it had through an outage',
    arranged(async ({ scope, ids }) => {
      await tell('scripts', [
        { request: 'practitioners', reply: 429, retryAfterSeconds: 0 },
        { practitioner: 'p2', request: 'slots', reply: 429, retryAfterSeconds: 0 },
      ]);
      assert.deepEqual(await sync(scope), { changed: 2, unchanged: 0, failed: 0 });
      await tell('settings', { outage: true });
      await assert.rejects(sync(scope), Unavailable);
      const states = await scheduling.directoryStates(scope, ids);
      assert.ok(ids.every((id) => states.get(id)?.stale && states.get(id)?.problem === 'UNREACHABLE'));
      for (const id of ids) assert.deepEqual(await starts(scope, id), HALVES);
    }),
  );
});
