import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import twilio from 'twilio';
import type { SentText } from '../src/outbox.ts';
import { application, clientOf, control, OURS, PATIENT, simulate } from './support/world.ts';

const inbound = (url: string, body: string, more: object = {}) =>
  control(url, 'POST inbound', { from: PATIENT, to: OURS, body, ...more }) as Promise<{
    id: string;
    answered: (number | null)[];
  }>;

const text = (body: string) => ({ to: PATIENT, from: OURS, body });

/** What the patient has on the phone, the newest first. */
async function phone(url: string): Promise<string[]> {
  const sent = (await control(url, `GET messages?number=${encodeURIComponent(PATIENT)}`)) as SentText[];
  return sent.filter(({ direction }) => direction !== 'inbound').map(({ body }) => body);
}

describe('a text from a patient', () => {
  it('is posted to the application, signed, and shown to the official client', async () => {
    await using app = await application();
    await using simulators = await simulate({ settings: { inboundUrl: `${app.url}/inbound` } });
    const { id, answered } = await inbound(simulators.url, 'Sí, 1');
    assert.deepEqual(answered, [200]);
    const [posted] = app.posted;
    assert.equal(posted?.path, '/inbound');
    assert.partialDeepStrictEqual(posted?.form, {
      MessageSid: id,
      From: PATIENT,
      To: OURS,
      Body: 'Sí, 1',
      AccountSid: `AC${'0'.repeat(32)}`,
      NumMedia: '0',
    });
    const [listed] = await clientOf(simulators.url).messages.list({ from: PATIENT });
    assert.deepEqual([listed?.sid, listed?.direction, listed?.status], [id, 'inbound', 'received']);
  });

  it('comes again with the same id, at once or later', async () => {
    await using app = await application();
    await using simulators = await simulate();
    await control(simulators.url, 'POST settings', { inboundUrl: `${app.url}/inbound` });
    const { id } = await inbound(simulators.url, '1', { copies: 2 });
    await inbound(simulators.url, '1', { id });
    assert.deepEqual(
      app.posted.map(({ form }) => [form['MessageSid'], form['Body']]),
      [1, 2, 3].map(() => [id, '1']),
    );
    const kept = (await control(simulators.url, 'GET messages')) as object[];
    assert.equal(kept.length, 1);
  });

  it('goes to the number that wrote last, and nowhere where nobody listens', async () => {
    await using simulators = await simulate();
    await clientOf(simulators.url).messages.create({ to: PATIENT, from: '+12025550111', body: 'x' });
    const answer = await control(simulators.url, 'POST inbound', { from: PATIENT, body: '1' });
    assert.partialDeepStrictEqual(answer, { answered: [null] });
    const [newest] = (await control(simulators.url, 'GET messages')) as SentText[];
    assert.equal(newest?.to, '+12025550111');
    await assert.rejects(control(simulators.url, 'POST inbound', { from: 'somebody', body: '1' }), { status: 400 });
  });

  it('is answered with the text that the application answers', async () => {
    const response = new twilio.twiml.MessagingResponse();
    response.message('Thank you & goodbye');
    await using app = await application(() => response.toString());
    await using simulators = await simulate({ settings: { inboundUrl: `${app.url}/inbound` } });
    await inbound(simulators.url, '1');
    assert.deepEqual(await phone(simulators.url), ['Thank you & goodbye']);
  });
});

describe('a keyword', () => {
  for (const word of ['STOP', 'stop ', 'Unsubscribe', 'CANCEL', 'end', 'QUIT', 'stopall', 'revoke', 'optout']) {
    it(`${word.trim()} blocks the number with one answer, and reaches the application`, async () => {
      await using app = await application();
      await using simulators = await simulate({ settings: { inboundUrl: `${app.url}/inbound` } });
      await inbound(simulators.url, word);
      await inbound(simulators.url, word);
      const client = clientOf(simulators.url);
      await assert.rejects(client.messages.create(text('x')), { code: 21610 });
      await client.messages.create({ ...text('x'), to: '+12025550124' });
      const [answer, ...more] = await phone(simulators.url);
      assert.match(answer ?? '', /successfully been unsubscribed/);
      assert.deepEqual(more, []);
      assert.equal(app.posted.length, 2);
    });
  }

  it('START opens the number again, and HELP is answered', async () => {
    await using simulators = await simulate();
    const client = clientOf(simulators.url);
    await inbound(simulators.url, 'STOP');
    await inbound(simulators.url, 'START');
    await client.messages.create(text('x'));
    await inbound(simulators.url, 'HELP');
    const [help, sent, start] = await phone(simulators.url);
    assert.match(help ?? '', /Reply STOP to unsubscribe/);
    assert.equal(sent, 'x');
    assert.match(start ?? '', /re-subscribed/);
  });

  it('is left to the application where the account is set up so', async () => {
    await using simulators = await simulate({ settings: { keywords: 'application' } });
    await inbound(simulators.url, 'STOP');
    assert.deepEqual(await phone(simulators.url), []);
    await clientOf(simulators.url).messages.create(text('Confirmed'));
    await control(simulators.url, 'POST settings', { keywords: 'provider' });
    await inbound(simulators.url, 'STOP');
    await assert.rejects(clientOf(simulators.url).messages.create(text('x')), { code: 21610 });
  });

  it('within a sentence is none, nor a foreign word', async () => {
    await using simulators = await simulate();
    await inbound(simulators.url, 'Please stop calling at noon');
    await inbound(simulators.url, 'ALTO');
    await clientOf(simulators.url).messages.create(text('x'));
    assert.deepEqual(await phone(simulators.url), ['x']);
  });
});
