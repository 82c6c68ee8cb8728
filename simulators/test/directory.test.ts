/** The directory of providers, as any client of FHIR sees it. What the platform makes of it is in core/test/provider-api.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { control, simulate } from './support/world.ts';

interface Bundle {
  readonly total: number;
  readonly link: readonly { readonly relation: string; readonly url: string }[];
  readonly entry?: readonly { readonly resource: Readonly<Record<string, unknown>> & { readonly id: string } }[];
}

const IDENTIFIERS = [{ system: 'http://hl7.org/fhir/sid/us-npi', value: '1234567893' }];
const SLOTS = [
  { start: '2026-03-03T14:00:00Z', end: '2026-03-03T15:00:00Z' },
  { status: 'busy', start: '2026-03-03T15:00:00Z', end: '2026-03-03T16:00:00Z' },
  { start: '2026-03-04T14:00:00Z', end: '2026-03-04T15:00:00Z' },
];

const search = async (base: string, type: string, parameters: string[][]) => {
  const response = await fetch(`${base}/${type}/_search`, {
    method: 'POST',
    body: new URLSearchParams(parameters),
  });
  return { status: response.status, headers: response.headers, bundle: (await response.json()) as Bundle };
};
const nextOf = ({ link }: Bundle) => link.find(({ relation }) => relation === 'next')?.url ?? '';
const idsOf = ({ entry = [] }: Bundle) => entry.map(({ resource }) => resource.id);

describe('the directory of providers', () => {
  it('says what it is capable of, and knows those of the demo', async () => {
    await using simulators = await simulate();
    const answer = await fetch(`${simulators.directoryUrl}/metadata`);
    const { resourceType, fhirVersion } = (await answer.json()) as Record<string, string>;
    assert.deepEqual([resourceType, fhirVersion], ['CapabilityStatement', '4.0.1']);
    const { bundle } = await search(simulators.directoryUrl, 'Practitioner', [['active', 'true']]);
    assert.deepEqual(idsOf(bundle), ['demo-driver', 'demo-cook', 'demo-nurse']);
    const one = await fetch(`${simulators.directoryUrl}/Practitioner/demo-cook`);
    assert.deepEqual(((await one.json()) as { identifier: object[] }).identifier, [
      { system: 'https://demo.careflex.test/practitioner', value: 'cook' },
    ]);
  });

  it('shows schedules by practitioner, and slots by schedule and start, page by page', async () => {
    await using simulators = await simulate();
    const base = simulators.directoryUrl;
    await control(simulators.url, 'POST directory/practitioners', { id: 'p1', identifiers: IDENTIFIERS, slots: SLOTS });
    const schedules = await search(base, 'Schedule', [['actor', 'Practitioner/p1']]);
    assert.deepEqual(idsOf(schedules.bundle), ['p1-schedule']);
    assert.deepEqual(idsOf((await search(base, 'Schedule', [['actor', 'Practitioner/nobody']])).bundle), []);
    const asked = [
      ['schedule', 'Schedule/p1-schedule'],
      ['start', 'ge2026-03-03T00:00:00Z'],
      ['start', 'lt2026-03-05T00:00:00Z'],
      ['_count', '2'],
    ];
    const { bundle: first } = await search(base, 'Slot', asked);
    const second = (await (await fetch(nextOf(first))).json()) as Bundle;
    assert.deepEqual([first.total, idsOf(first), idsOf(second), nextOf(second)], [3, ['p1.0', 'p1.1'], ['p1.2'], '']);
    assert.deepEqual(
      first.entry?.map(({ resource }) => resource['status']),
      ['free', 'busy'],
    );
    const { bundle: later } = await search(base, 'Slot', [asked[0] ?? [], ['start', 'ge2026-03-04T00:00:00Z']]);
    assert.equal(later.total, 1);
  });

  it('has slots of its own for whom it was told none: the same for the same seed', async () => {
    const seen = [];
    for (const seed of ['a', 'a', 'b']) {
      await using simulators = await simulate({ seed });
      const { bundle } = await search(simulators.directoryUrl, 'Slot', [
        ['schedule', 'Schedule/demo-cook-schedule'],
        ['start', 'ge2026-03-02T00:00:00Z'],
        ['start', 'lt2026-03-09T00:00:00Z'],
        ['_count', '1000'],
      ]);
      assert.equal(bundle.total, 100);
      seen.push(JSON.stringify(bundle.entry?.map(({ resource }) => resource)));
    }
    assert.equal(seen[0], seen[1]);
    assert.notEqual(seen[0], seen[2]);
    assert.match(seen[0] ?? '', /"status":"busy".*"status":"free"|"status":"free".*"status":"busy"/);
  });

  it('refuses what it does not understand with an OperationOutcome', async () => {
    await using simulators = await simulate();
    const base = simulators.directoryUrl;
    for (const [path, status] of [
      ['Slot', 400],
      ['Slot?schedule=Schedule/p1-schedule&start=gesoon', 400],
      ['Slot?_page=nobody', 404],
      ['Practitioner/nobody', 404],
      ['Patient', 404],
    ] as const) {
      const answer = await fetch(`${base}/${path}`);
      const { resourceType } = (await answer.json()) as { resourceType: string };
      assert.deepEqual([answer.status, resourceType], [status, 'OperationOutcome'], path);
    }
  });

  it('behaves as it is told, tells what it was asked, and forgets everything', async () => {
    await using simulators = await simulate();
    const base = simulators.directoryUrl;
    const tell = (what: string, body: object) => control(simulators.url, `POST directory/${what}`, body);
    await tell('scripts', [
      { practitioner: 'demo-cook', request: 'schedules', reply: 503, retryAfterSeconds: 7 },
      { request: 'practitioners', body: 'cut' },
      { request: 'practitioners', reply: 'drop', delayMs: 1 },
    ]);
    const refused = await search(base, 'Schedule', [['actor', 'Practitioner/demo-cook']]);
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '7']);
    await assert.rejects(search(base, 'Practitioner', []), SyntaxError);
    await assert.rejects(search(base, 'Practitioner', []), /fetch failed/);
    assert.equal((await search(base, 'Practitioner', [])).status, 200);
    const requests = (await control(simulators.url, 'GET directory/requests')) as {
      kind: string;
      status: number | null;
    }[];
    assert.deepEqual(
      requests.map(({ kind, status }) => `${kind} ${status}`),
      ['practitioners 200', 'practitioners null', 'practitioners 200', 'schedules 503'],
    );
    await tell('settings', { ratePerSecond: 1 });
    const answers = [];
    for (let n = 0; n < 3; n++) answers.push((await fetch(`${base}/metadata`)).status);
    assert.equal(answers.at(-1), 429);
    await tell('settings', { ratePerSecond: null, token: 'a-token' });
    assert.equal((await fetch(`${base}/metadata`)).status, 401);
    await tell('settings', { outage: true });
    await assert.rejects(fetch(`${base}/metadata`));
    await tell('reset', {});
    assert.equal((await fetch(`${base}/metadata`)).status, 200);
    assert.deepEqual(
      await control(simulators.url, 'GET directory/requests').then((all) => (all as object[]).length),
      1,
    );
  });
});
