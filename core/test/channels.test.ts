import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Simulators, startSimulators } from '@careflex/simulators/main';
import { openEmail } from '#integrations/email';
import { GUARD, guard, Refused, Unavailable, Unknown } from '#integrations/guard';
import { openSms } from '#integrations/sms';
import { openVoice } from '#integrations/voice';
import { assertSame } from './support/same.ts';

const credentials = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-simulators' };
const OURS = '+12025550100';
const PATIENT = '+12025550123';
const NOON = Temporal.Instant.from('2026-03-02T12:00:00Z');

const simulate = (now = () => NOON) => startSimulators({ credentials, now, pace: { secondMs: 0.001 } });

type ChannelConfig = Parameters<typeof openSms>[0] & Parameters<typeof openVoice>[0] & Parameters<typeof openEmail>[0];

function configOf(simulators: Pick<Simulators, 'url' | 'smtpUrl'>): ChannelConfig {
  return {
    TWILIO_ACCOUNT_SID: credentials.accountSid,
    TWILIO_AUTH_TOKEN: credentials.authToken,
    TWILIO_BASE_URL: simulators.url,
    SMS_FROM: OURS,
    SMTP_URL: simulators.smtpUrl,
    EMAIL_FROM: 'CareFlex <no-reply@careflex.test>',
    NODE_ENV: 'test',
  };
}

const PATIENCE_MS = 30_000;
/** For an answer that never comes. */
const GIVE_UP_MS = 1_000;
const quick = (timeoutMs = PATIENCE_MS) => guard({ ...GUARD, firstRetryMs: 1, timeoutMs });
const guardFor = (code: string) => quick(code === 'TIMEOUT' ? GIVE_UP_MS : PATIENCE_MS);

async function script(simulators: Simulators, scripts: object): Promise<void> {
  const { ok } = await fetch(`${simulators.url}/simulator/scripts`, { method: 'POST', body: JSON.stringify(scripts) });
  assert.ok(ok);
}

/** How the send ended, and how often the other side was asked: one more than the scripts that it used up. */
async function outcomeOf(simulators: Simulators, reply: object, send: () => Promise<unknown>) {
  await script(simulators, [reply, reply, reply]);
  const error = await send().then(
    () => null,
    (thrown: Error) => thrown,
  );
  const left = (await (await fetch(`${simulators.url}/simulator/scripts`)).json()) as unknown[];
  await fetch(`${simulators.url}/simulator/scripts`, { method: 'DELETE' });
  return { error, asked: 3 - left.length };
}

const ANSWERS = [
  { answer: 'a refusal', reply: { error: 21610 }, kind: Refused, code: '21610', asked: 1 },
  { answer: 'a wrong number', reply: { error: 21211 }, kind: Refused, code: '21211', asked: 1 },
  { answer: 'a phone that is off', reply: { error: 30003 }, kind: Refused, code: '30003', asked: 1 },
  { answer: 'a suspended account', reply: { error: 30002 }, kind: Unavailable, code: '30002', asked: 3 },
  { answer: 'a full queue of ours', reply: { error: 21611 }, kind: Unavailable, code: '21611', asked: 3 },
  { answer: '429', reply: { reply: 429 }, kind: Unavailable, code: '20429', asked: 3 },
  { answer: '503', reply: { reply: 503 }, kind: Unavailable, code: '20503', asked: 3 },
  { answer: '500', reply: { reply: 500 }, kind: Unknown, code: '20500', asked: 1 },
  { answer: 'a broken connection', reply: { reply: 'drop' }, kind: Unknown, code: 'ECONNRESET', asked: 1 },
  { answer: 'nothing', reply: { reply: 'never' }, kind: Unknown, code: 'TIMEOUT', asked: 1 },
] as const;

for (const channel of ['sms', 'voice'] as const) {
  describe(`${channel}, answered with`, () => {
    for (const { answer, reply, kind, code, asked } of ANSWERS) {
      it(`${answer}: ${kind.name}, after ${asked} ${asked === 1 ? 'attempt' : 'attempts'}`, async () => {
        await using simulators = await simulate();
        const config = configOf(simulators);
        const send = () =>
          channel === 'sms'
            ? openSms(config, guardFor(code)).send({ to: PATIENT, body: 'Your visit' })
            : openVoice(config, guardFor(code)).call({ to: PATIENT, say: 'Your visit', language: 'en-US' });
        const outcome = await outcomeOf(simulators, reply, send);
        assert.ok(outcome.error instanceof kind, String(outcome.error));
        assert.equal(outcome.error.code, code);
        assert.equal(outcome.asked, asked);
        assert.doesNotMatch(`${outcome.error.message} ${JSON.stringify(outcome.error)}`, /5550123|visit/);
      });
    }

    it('nothing, since nobody listens, or it is not configured: Unavailable', async () => {
      const gone = await simulate();
      await gone[Symbol.asyncDispose]();
      const config = configOf(gone);
      const send = (given: ChannelConfig) =>
        channel === 'sms'
          ? openSms(given, quick()).send({ to: PATIENT, body: 'x' })
          : openVoice(given, quick()).call({ to: PATIENT, say: 'x', language: 'en-US' });
      const isUnavailable = (code: string) => (thrown: unknown) =>
        thrown instanceof Unavailable && thrown.code === code;
      await assert.rejects(send(config), isUnavailable('ECONNREFUSED'));
      const { TWILIO_AUTH_TOKEN: _, ...withoutToken } = config;
      const { SMS_FROM: _from, ...withoutNumber } = config;
      for (const bare of [withoutToken, withoutNumber])
        await assert.rejects(send(bare), isUnavailable('NOT_CONFIGURED'));
    });
  });
}

describe('find', () => {
  it('knows a text whose answer was lost, by number, words and time', async () => {
    let at = NOON.subtract({ hours: 2 });
    await using simulators = await simulate(() => at);
    const sms = openSms(configOf(simulators), quick());
    const body = 'Your visit: Mon Mar 2, 3:00 PM EST';
    await sms.send({ to: PATIENT, body });
    at = NOON.add({ milliseconds: 400 });
    await script(simulators, { reply: 'drop', outcome: 'undelivered', errorCode: 30_003 });
    await assert.rejects(sms.send({ to: PATIENT, body }), Unknown);
    await sms.send({ to: PATIENT, body: 'Another' });
    await sms.send({ to: '+12025550124', body });

    const [found, ...more] = await sms.find({ to: PATIENT, body, since: NOON.add({ milliseconds: 300 }) });
    assert.deepEqual(more, []);
    assert.match(found?.id ?? '', /^SM/);
    assert.deepEqual([found?.status, found?.errorCode], ['undelivered', '30003']);
    assertSame(found?.sentAt, NOON);
    assert.equal((await sms.find({ to: PATIENT, body, since: NOON.subtract({ hours: 3 }) })).length, 2);
    assert.deepEqual(await sms.find({ to: PATIENT, body, since: NOON.add({ seconds: 1 }) }), []);
  });

  it('sees a text that still waits at the other side, and none that was not taken', async () => {
    await using simulators = await simulate();
    const sms = openSms(configOf(simulators), quick());
    await script(simulators, [
      { reply: 'drop', stepMs: 3_600_000 },
      { reply: 'drop', taken: false },
    ]);
    await assert.rejects(sms.send({ to: PATIENT, body: 'Waits' }), Unknown);
    await assert.rejects(sms.send({ to: PATIENT, body: 'Lost' }), Unknown);
    const [waits] = await sms.find({ to: PATIENT, body: 'Waits', since: NOON });
    assert.deepEqual([waits?.status, waits?.sentAt], ['queued', null]);
    assert.deepEqual(await sms.find({ to: PATIENT, body: 'Lost', since: NOON }), []);
  });

  it('does not take what a patient wrote for ours', async () => {
    await using simulators = await simulate();
    const sms = openSms(configOf(simulators), quick());
    const inbound = { from: OURS, to: PATIENT, body: 'Hello' };
    await fetch(`${simulators.url}/simulator/inbound`, { method: 'POST', body: JSON.stringify(inbound) });
    assert.deepEqual(await sms.find({ to: PATIENT, body: 'Hello', since: NOON }), []);
  });

  it('knows a call whose answer was lost, by number and time', async () => {
    await using simulators = await simulate();
    const voice = openVoice(configOf(simulators), quick());
    await script(simulators, { reply: 'drop', stepMs: 3_600_000 });
    await assert.rejects(voice.call({ to: PATIENT, say: 'x', language: 'es-US' }), Unknown);
    const [found, ...more] = await voice.find({ to: PATIENT, since: NOON });
    assert.deepEqual([found?.status, found?.startedAt, more], ['queued', null, []]);
    assertSame(found?.createdAt, NOON);
    assert.deepEqual(await voice.find({ to: PATIENT, since: NOON.add({ seconds: 1 }) }), []);
  });

  it('is Unavailable where nobody answers', async () => {
    await using simulators = await simulate();
    const { url } = simulators;
    await simulators[Symbol.asyncDispose]();
    const sms = openSms({ ...configOf(simulators), TWILIO_BASE_URL: url }, quick());
    await assert.rejects(sms.find({ to: PATIENT, body: 'x', since: NOON }), Unavailable);
  });
});

describe('a text', () => {
  it('comes from a number, or from a messaging service that chooses one', async () => {
    await using simulators = await simulate();
    const service = `MG${'1'.repeat(32)}`;
    for (const from of [OURS, service]) {
      const sms = openSms({ ...configOf(simulators), SMS_FROM: from }, quick());
      await sms.send({ to: PATIENT, body: from });
      assert.equal((await sms.find({ to: PATIENT, body: from, since: NOON })).length, 1);
      const [newest] = simulators.outbox.newestFirst();
      assert.partialDeepStrictEqual(newest, { from, body: from });
    }
  });
});

describe('a call', () => {
  it('says its text twice, waits for one key after each, and then ends', async () => {
    await using simulators = await simulate();
    const voice = openVoice(configOf(simulators), quick());
    const gather = { action: `http://127.0.0.1:1/webhooks/twilio/voice?attempt=7&x=1` };
    const id = await voice.call({ to: PATIENT, say: 'Su cita & más <3', language: 'es-US', gather });
    const call = await over(simulators, id);
    const once = { language: 'es-US', text: 'Su cita & más <3' };
    assert.deepEqual(call.said, [once, once]);
    assert.deepEqual([call.status, call.from], ['completed', OURS]);
  });

  it('ends at the key that is pressed, and comes from its own number', async () => {
    await using simulators = await simulate();
    await script(simulators, { keys: '1' });
    const voice = openVoice({ ...configOf(simulators), VOICE_FROM: '+12025550155' }, quick());
    const gather = { action: `http://127.0.0.1:1/voice` };
    const call = await over(simulators, await voice.call({ to: PATIENT, say: 'Press 1', language: 'en-US', gather }));
    assert.deepEqual([call.keys, call.from], [['1'], '+12025550155']);
  });
});

async function over({ outbox }: Simulators, id: string) {
  for (;;) {
    const sent = outbox.find(id);
    if (sent?.kind === 'call' && sent.endedAt !== null) return sent;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('an e-mail', () => {
  const MAIL = { to: 'ada@example.test', subject: 'Your visit', text: 'Monday', messageId: '<7@careflex.test>' };

  it('carries the id that it is given, which it returns', async () => {
    await using simulators = await simulate();
    await using email = openEmail(configOf(simulators), quick());
    assert.equal(await email.send(MAIL), MAIL.messageId);
    const [sent] = simulators.outbox.newestFirst();
    assert.partialDeepStrictEqual(sent, { kind: 'email', to: [MAIL.to], messageId: MAIL.messageId, body: 'Monday' });
  });

  for (const { answer, reply, kind, code, asked } of [
    { answer: '550', reply: { reply: 550 }, kind: Refused, code: '550', asked: 1 },
    { answer: '451', reply: { reply: 451 }, kind: Unavailable, code: '451', asked: 3 },
    { answer: '552 after the message', reply: { reply: 552, taken: true }, kind: Refused, code: '552', asked: 1 },
    { answer: 'a broken connection', reply: { reply: 'drop' }, kind: Unknown, code: 'ECONNECTION', asked: 1 },
    { answer: 'nothing', reply: { reply: 'never' }, kind: Unknown, code: 'TIMEOUT', asked: 1 },
  ]) {
    it(`answered with ${answer} is ${kind.name}, after ${asked} ${asked === 1 ? 'attempt' : 'attempts'}`, async () => {
      await using simulators = await simulate();
      await using email = openEmail(configOf(simulators), guardFor(code));
      const outcome = await outcomeOf(simulators, reply, () => email.send(MAIL));
      assert.ok(outcome.error instanceof kind, String(outcome.error));
      assert.equal(outcome.error.code, code);
      assert.equal(outcome.asked, asked);
      assert.doesNotMatch(`${outcome.error.message} ${JSON.stringify(outcome.error)}`, /ada@|visit|Monday/);
    });
  }

  it('that nobody listens for, or that is not configured, is Unavailable', async () => {
    const gone = await simulate();
    await gone[Symbol.asyncDispose]();
    const { SMTP_URL: _, ...bare } = configOf(gone);
    for (const config of [configOf(gone), bare]) {
      await using email = openEmail(config, quick());
      await assert.rejects(email.send(MAIL), Unavailable);
    }
  });
});
