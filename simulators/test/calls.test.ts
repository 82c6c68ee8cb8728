import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import twilio from 'twilio';
import type { SentCall } from '../src/outbox.ts';
import { application, clientOf, control, OURS, PATIENT, simulate, until } from './support/world.ts';

const EVENTS = ['initiated', 'ringing', 'answered', 'completed'];

type Build = (response: InstanceType<typeof twilio.twiml.VoiceResponse>) => unknown;

function twiml(build: Build): string {
  const response = new twilio.twiml.VoiceResponse();
  build(response);
  return response.toString();
}

const call = (text: string, more: object = {}) => ({ to: PATIENT, from: OURS, twiml: text, ...more });

/** The call, once it is over. */
async function ended(url: string, sid: string): Promise<SentCall> {
  return until(async () => {
    const sent = (await control(url, `GET messages/${sid}`)) as SentCall;
    return sent.endedAt === null ? undefined : sent;
  });
}

const waiting = (url: string, sid: string) =>
  until(async () => {
    const sent = (await control(url, `GET messages/${sid}`)) as SentCall;
    return sent.waitsForKey ? sent : undefined;
  });

describe('calls', () => {
  it('say their text, and report how they go, signed as the official client checks it', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const client = clientOf(simulators.url);
    const spoken = twiml((response) => {
      response.say({ language: 'es-US' }, 'Su cita: 2 < 3 & "más"');
      response.pause({ length: 1 });
      response.hangup();
      response.say('Never said');
    });
    const made = await client.calls.create(
      call(spoken, { statusCallback: `${app.url}/status`, statusCallbackEvent: EVENTS }),
    );
    assert.match(made.sid, /^CA[0-9a-f]{32}$/);
    assert.equal(made.status, 'queued');
    const posted = await app.posts(4);
    assert.deepEqual(
      posted.map(({ path, form }) => [path, form['CallSid'], form['CallStatus'], form['SequenceNumber']]),
      ['initiated', 'ringing', 'in-progress', 'completed'].map((status, index) => [
        '/status',
        made.sid,
        status,
        String(index),
      ]),
    );
    const { said, fault } = await ended(simulators.url, made.sid);
    assert.deepEqual([said, fault], [[{ language: 'es-US', text: 'Su cita: 2 < 3 & "más"' }], null]);
    const { status, to, startTime } = await client.calls(made.sid).fetch();
    assert.deepEqual([status, to, startTime instanceof Date], ['completed', PATIENT, true]);
  });

  it('report only their end unless more is asked for', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const spoken = twiml((response) => response.say('x'));
    await clientOf(simulators.url).calls.create(call(spoken, { statusCallback: `${app.url}/status` }));
    const [first] = await app.posts(1);
    assert.equal(first?.form['CallStatus'], 'completed');
  });

  for (const outcome of ['busy', 'no-answer', 'failed'] as const) {
    it(`end ${outcome} as they were told, with nothing said`, async () => {
      await using simulators = await simulate();
      await using app = await application();
      await control(simulators.url, 'POST scripts', { kind: 'call', outcome });
      const spoken = twiml((response) => response.say('x'));
      const asked = { statusCallback: `${app.url}/status`, statusCallbackEvent: EVENTS };
      const { sid } = await clientOf(simulators.url).calls.create(call(spoken, asked));
      const sent = await ended(simulators.url, sid);
      assert.deepEqual([sent.status, sent.said, sent.startedAt], [outcome, [], null]);
      const posted = await app.posts(outcome === 'failed' ? 2 : 3);
      assert.equal(posted.at(-1)?.form['CallStatus'], outcome);
    });
  }

  it('post the key that is pressed, and do what the answer says', async () => {
    await using simulators = await simulate({ pace: { secondMs: 0.001, keySeconds: 60_000_000 } });
    await using app = await application(({ form }) =>
      twiml((response) => response.say(`You pressed ${form['Digits']}`)),
    );
    const asking = twiml((response) =>
      response.gather({ numDigits: 1, action: `${app.url}/voice?attempt=7` }).say('Press 1'),
    );
    const { sid } = await clientOf(simulators.url).calls.create(call(asking));
    assert.equal((await waiting(simulators.url, sid)).status, 'in-progress');
    await control(simulators.url, `POST calls/${sid}/press`, { digits: '3' });
    const sent = await ended(simulators.url, sid);
    assert.deepEqual(
      sent.said.map(({ text }) => text),
      ['Press 1', 'You pressed 3'],
    );
    assert.deepEqual(sent.keys, ['3']);
    const [posted] = app.posted;
    assert.equal(posted?.path, '/voice?attempt=7');
    assert.partialDeepStrictEqual(posted?.form, { CallSid: sid, Digits: '3', To: PATIENT, CallStatus: 'in-progress' });
    await assert.rejects(control(simulators.url, `POST calls/${sid}/press`, { digits: '1' }), { status: 404 });
  });

  it('press scripted keys by themselves', async () => {
    await using simulators = await simulate();
    await using app = await application(() => twiml((response) => response.say('Thank you')));
    await control(simulators.url, 'POST scripts', { to: PATIENT, keys: '1' });
    const asking = twiml((response) => response.gather({ numDigits: 1, action: `${app.url}/voice` }).say('Press 1'));
    const { sid } = await clientOf(simulators.url).calls.create(call(asking));
    const sent = await ended(simulators.url, sid);
    assert.deepEqual([sent.keys, sent.said.at(-1)?.text], [['1'], 'Thank you']);
  });

  it('go on with what comes after when nobody presses a key', async () => {
    await using simulators = await simulate();
    const asking = twiml((response) => {
      for (let time = 1; time <= 2; time++)
        response.gather({ numDigits: 1, action: 'http://127.0.0.1:1/' }).say('Press 1');
      response.say('Goodbye');
    });
    const { sid } = await clientOf(simulators.url).calls.create(call(asking));
    const { said, status } = await ended(simulators.url, sid);
    assert.deepEqual([said.map(({ text }) => text), status], [['Press 1', 'Press 1', 'Goodbye'], 'completed']);
  });

  it('take several keys up to the number sign, which is not one of them', async () => {
    await using simulators = await simulate();
    await using app = await application();
    await control(simulators.url, 'POST scripts', { keys: '42#9' });
    const asking = twiml((response) => response.gather({ action: `${app.url}/voice` }).say('How many?'));
    const { sid } = await clientOf(simulators.url).calls.create(call(asking));
    assert.deepEqual((await ended(simulators.url, sid)).keys, ['42']);
    assert.equal(app.posted[0]?.form['Digits'], '42');
  });

  it('end when somebody hangs up', async () => {
    await using simulators = await simulate({ pace: { secondMs: 0.001, keySeconds: 60_000_000 } });
    const asking = twiml((response) => {
      response.gather({ numDigits: 1, action: 'http://127.0.0.1:1/' }).say('Press 1');
      response.say('Never said');
    });
    const { sid } = await clientOf(simulators.url).calls.create(call(asking));
    await waiting(simulators.url, sid);
    await control(simulators.url, `POST calls/${sid}/hangup`);
    const { said, status, keys } = await ended(simulators.url, sid);
    assert.deepEqual([said.length, status, keys], [1, 'completed', []]);
  });

  it('ask a URL what to do, and where they are sent on', async () => {
    await using simulators = await simulate();
    await using app = await application(({ path }) =>
      twiml((response) => (path === '/start' ? response.redirect('/next') : response.say('Sent on'))),
    );
    const asked = { to: PATIENT, from: OURS, url: `${app.url}/start` };
    const { sid } = await clientOf(simulators.url).calls.create(asked);
    const { said } = await ended(simulators.url, sid);
    assert.deepEqual(
      [said.map(({ text }) => text), app.posted.map(({ path }) => path)],
      [['Sent on'], ['/start', '/next']],
    );
  });

  for (const [what, answer, fault] of [
    ['is no TwiML', '<Response><Say>Hello</Response>', '12100'],
    ['is another document', '<html><body>Not found</body></html>', '12100'],
  ] as const) {
    it(`say that something went wrong when the answer ${what}`, async () => {
      await using simulators = await simulate();
      await using app = await application(() => answer);
      const { sid } = await clientOf(simulators.url).calls.create({ to: PATIENT, from: OURS, url: `${app.url}/voice` });
      const sent = await ended(simulators.url, sid);
      assert.equal(sent.fault, fault);
      assert.match(sent.said[0]?.text ?? '', /application error/);
    });
  }

  it('say so too when nobody answers, and end when they are sent in a circle', async () => {
    await using simulators = await simulate();
    const gone = await application();
    await gone[Symbol.asyncDispose]();
    const client = clientOf(simulators.url);
    const lost = await client.calls.create({ to: PATIENT, from: OURS, url: `${gone.url}/voice` });
    assert.equal((await ended(simulators.url, lost.sid)).fault, '11200');

    await using circle = await application(() => twiml((response) => response.redirect('/voice')));
    const round = await client.calls.create({ to: PATIENT, from: OURS, url: `${circle.url}/voice` });
    assert.equal((await ended(simulators.url, round.sid)).status, 'completed');
  });

  it('are refused by number, by script and without instructions', async () => {
    await using simulators = await simulate();
    const { calls } = clientOf(simulators.url);
    const spoken = twiml((response) => response.say('x'));
    await assert.rejects(calls.create({ ...call(spoken), to: '+15005550001' }), { code: 21211 });
    await assert.rejects(calls.create({ to: PATIENT, from: OURS }), { code: 21205 });
    await assert.rejects(calls.create(call('x'.repeat(4_001))), { status: 400 });
    await control(simulators.url, 'POST scripts', { error: 21214 });
    await assert.rejects(calls.create(call(spoken)), { code: 21214 });
    assert.partialDeepStrictEqual(await control(simulators.url, 'GET counts'), { calls: { taken: 0, refused: 2 } });
  });

  it('are listed by number and by when they started', async () => {
    await using simulators = await simulate({ now: () => Temporal.Instant.from('2026-03-02T15:00:00Z') });
    const client = clientOf(simulators.url);
    const spoken = twiml((response) => response.say('x'));
    const sids: string[] = [];
    for (let count = 0; count < 3; count++) sids.unshift((await client.calls.create(call(spoken))).sid);
    await client.calls.create({ ...call(spoken), to: '+12025550124' });
    for (const sid of sids) await ended(simulators.url, sid);
    const list = async (filter: object) => (await client.calls.list(filter)).map(({ sid }) => sid);
    assert.deepEqual(await list({ to: PATIENT, pageSize: 2 }), sids);
    assert.deepEqual(await list({ to: PATIENT, startTimeAfter: new Date('2026-03-02T15:00:00Z') }), sids);
    assert.deepEqual(await list({ to: PATIENT, startTimeAfter: new Date('2026-03-02T15:00:01Z') }), []);
    assert.deepEqual(await list({ to: PATIENT, status: 'busy' }), []);
  });
});
