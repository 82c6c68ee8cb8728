import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { openEmail } from '@careflex/core/integrations/email';
import { guard, Refused, Unavailable } from '@careflex/core/integrations/guard';
import { openSms } from '@careflex/core/integrations/sms';
import twilio from 'twilio';
import { startSimulators } from '../src/main.ts';

const credentials = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-simulators' };
const now = () => Temporal.Instant.from('2026-03-02T15:00:00Z');

const simulate = () => startSimulators({ credentials, seed: 'test', now });

function smsOver(url: string, authToken = credentials.authToken) {
  const config = {
    TWILIO_ACCOUNT_SID: credentials.accountSid,
    TWILIO_AUTH_TOKEN: authToken,
    TWILIO_BASE_URL: url,
    SMS_FROM: '+12025550100',
  };
  return openSms(config, guard());
}

const emailOver = (url: string) =>
  openEmail({ SMTP_URL: url, EMAIL_FROM: 'CareFlex <no-reply@careflex.test>', NODE_ENV: 'test' }, guard());

describe('text messages', () => {
  it('sent by the official client are shown on the page and as JSON, with ids that follow from the seed', async () => {
    await using simulators = await simulate();
    const id = await smsOver(simulators.url).send({ to: '+12025550123', body: 'Your code is 123456 <b>' });
    const page = await (await fetch(simulators.url)).text();
    assert.match(page, /\+12025550123<\/td><td class="body">Your code is 123456 &lt;b&gt;/);
    assert.deepEqual(await (await fetch(`${simulators.url}/messages.json`)).json(), [
      {
        kind: 'text',
        id,
        at: '2026-03-02T15:00:00Z',
        from: '+12025550100',
        to: '+12025550123',
        body: 'Your code is 123456 <b>',
        status: 'delivered',
      },
    ]);

    await using again = await simulate();
    assert.equal(await smsOver(again.url).send({ to: '+12025550123', body: 'Another' }), id);
  });

  it('can be looked up by the official client', async () => {
    await using simulators = await simulate();
    const sid = await smsOver(simulators.url).send({ to: '+12025550123', body: '¿Dónde está el niño? 🙂'.repeat(4) });
    const client = twilio(credentials.accountSid, credentials.authToken);
    client.api.baseUrl = simulators.url;
    const { to, status, numSegments, direction, dateCreated } = await client.messages(sid).fetch();
    assert.deepEqual(
      { to, status, numSegments, direction, at: dateCreated.toISOString() },
      {
        to: '+12025550123',
        status: 'delivered',
        numSegments: '2',
        direction: 'outbound-api',
        at: '2026-03-02T15:00:00.000Z',
      },
    );
  });

  it('are refused for good where the number is wrong, and the error does not repeat it', async () => {
    await using simulators = await simulate();
    await assert.rejects(smsOver(simulators.url).send({ to: '+15005550001', body: 'x' }), (thrown: Error) => {
      assert.ok(thrown instanceof Refused);
      assert.equal(thrown.code, '21211');
      assert.doesNotMatch(thrown.message, /1500555/);
      return true;
    });
    assert.deepEqual(simulators.outbox.newestFirst(), []);
  });

  it('need the right token', async () => {
    await using simulators = await simulate();
    const stranger = smsOver(simulators.url, 'another-token-entirely');
    await assert.rejects(stranger.send({ to: '+12025550123', body: 'x' }), { code: '20003' });
  });

  it('report each step of their delivery, signed as the official client checks it', async () => {
    await using simulators = await simulate();
    const seen: string[] = [];
    const both = Promise.withResolvers<void>();
    const receiver = createServer((request, response) => {
      void Array.fromAsync(request as AsyncIterable<Buffer>).then((chunks) => {
        const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
        const signed = String(request.headers['x-twilio-signature']);
        seen.push(`${form['MessageStatus']} ${twilio.validateRequest(credentials.authToken, signed, url, form)}`);
        response.end();
        if (seen.length === 2) both.resolve();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/status?kind=code`;
    const client = twilio(credentials.accountSid, credentials.authToken);
    client.api.baseUrl = simulators.url;
    await client.messages.create({ to: '+12025550123', from: '+12025550100', body: 'x', statusCallback: url });
    await both.promise;
    receiver.close();
    assert.deepEqual(seen, ['sent true', 'delivered true']);
  });

  it('fail as unavailable when nobody listens', async () => {
    const { url } = await ended(await simulate());
    await assert.rejects(smsOver(url).send({ to: '+12025550123', body: 'x' }), Unavailable);
  });
});

describe('e-mails', () => {
  it('are shown with their text decoded', async () => {
    await using simulators = await simulate();
    await using email = emailOver(simulators.smtpUrl);
    const text = 'Su código es 123456. '.repeat(10).trim();
    await email.send({ to: 'ada@example.test', subject: 'Su código', text });
    const [sent] = simulators.outbox.newestFirst();
    assert.partialDeepStrictEqual(sent, { kind: 'email', to: ['ada@example.test'], subject: 'Su código', body: text });
  });

  it('fail as unavailable when nobody listens', async () => {
    const { smtpUrl } = await ended(await simulate());
    await using email = emailOver(smtpUrl);
    await assert.rejects(email.send({ to: 'ada@example.test', subject: 'x', text: 'x' }), Unavailable);
  });
});

/** What it was, after it has ended. */
async function ended<T extends AsyncDisposable>(simulators: T): Promise<T> {
  await simulators[Symbol.asyncDispose]();
  return simulators;
}
