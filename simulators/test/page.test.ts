import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import twilio from 'twilio';
import type { Sent } from '../src/outbox.ts';
import { application, clientOf, control, OURS, PATIENT, simulate, until } from './support/world.ts';

const PATH = `/numbers/${encodeURIComponent(PATIENT)}`;

const look = async (url: string) => (await fetch(url)).text();

/** As a browser sends a form of the page itself. */
const submit = (url: string, fields: Record<string, string>, site = 'same-origin') =>
  fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'sec-fetch-site': site },
    body: new URLSearchParams(fields),
  });

describe('the page', () => {
  it('shows what was sent as text, never as markup', async () => {
    await using simulators = await simulate();
    await clientOf(simulators.url).messages.create({
      to: PATIENT,
      from: OURS,
      body: `<img src=x onerror="alert('1')">`,
    });
    const page = await look(simulators.url);
    assert.match(page, /<td class="body">&lt;img src=x onerror=&quot;alert\(&#39;1&#39;\)&quot;&gt;<\/td>/);
    assert.ok(page.includes(`<a href="${PATH}">${PATIENT}</a>`));
    assert.doesNotMatch(page, /<img|<script/);
  });

  it('runs no script, loads nothing, sends forms nowhere else and stands in no frame', async () => {
    await using simulators = await simulate();
    for (const path of ['/', PATH]) {
      const { headers } = await fetch(simulators.url + path);
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(
        policy,
        /^default-src 'none'; style-src 'sha256-[^']{44}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
      );
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
    }
  });

  it('lets one text back as the patient, and shows the answer', async () => {
    await using app = await application();
    await using simulators = await simulate({ settings: { inboundUrl: `${app.url}/inbound` } });
    await clientOf(simulators.url).messages.create({ to: PATIENT, from: '+12025550111', body: 'Reply 1' });
    const { status, headers } = await submit(`${simulators.url}/reply`, { from: PATIENT, body: '1' });
    assert.deepEqual([status, headers.get('location')], [303, PATH]);
    assert.partialDeepStrictEqual(app.posted[0]?.form, { From: PATIENT, To: '+12025550111', Body: '1' });
    assert.match(await look(simulators.url + PATH), /<tr class="inbound">.*<td class="body">1<\/td>/);
    assert.equal((await submit(`${simulators.url}/reply`, { from: 'x', body: '1' })).status, 400);
  });

  it('lets one press keys and hang up while a call waits for them', async () => {
    const response = new twilio.twiml.VoiceResponse();
    response.gather({ numDigits: 1, action: 'http://127.0.0.1:1/voice' }).say('Press 1 to confirm');
    await using simulators = await simulate({ pace: { secondMs: 0.001, keySeconds: 60_000_000 } });
    const call = () => clientOf(simulators.url).calls.create({ to: PATIENT, from: OURS, twiml: response.toString() });
    for (const [form, fields] of [
      ['press', { digits: '1' }],
      ['hangup', {}],
    ] as const) {
      const { sid } = await call();
      const action = `/calls/${sid}/${form}`;
      const page = await until(async () => {
        const shown = await look(simulators.url);
        return shown.includes(action) ? shown : undefined;
      });
      assert.match(page, /<td class="body">Press 1 to confirm<\/td>/);
      assert.equal((await submit(simulators.url + action, fields)).status, 303);
      await until(async () => {
        const sent = (await control(simulators.url, `GET messages/${sid}`)) as Sent;
        return sent.kind === 'call' && sent.status === 'completed' ? sent : undefined;
      });
      assert.ok(!(await look(simulators.url)).includes(action));
    }
    assert.match(await look(simulators.url), /Pressed: 1/);
  });

  it('takes no answer from the page of another site, and no steering either', async () => {
    await using simulators = await simulate();
    const reply = await submit(`${simulators.url}/reply`, { from: PATIENT, body: 'STOP' }, 'cross-site');
    const reset = await submit(`${simulators.url}/simulator/reset`, {}, 'cross-site');
    assert.deepEqual([reply.status, reset.status], [403, 403]);
    assert.deepEqual([...simulators.outbox.newestFirst()], []);
  });

  it('knows no other path', async () => {
    await using simulators = await simulate();
    for (const path of ['/numbers/x', '/numbers/%2B1202555%', '/nothing', '/simulator/nothing', '/2010-04-01/x']) {
      assert.ok((await fetch(simulators.url + path)).status >= 400, path);
    }
  });
});
