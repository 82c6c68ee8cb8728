import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import * as scheduling from '@careflex/core/scheduling';
import { blindIndex } from '@careflex/core/platform/vault';
import { asSuperuser } from '@careflex/core/testing';
import { startSimulators } from '@careflex/simulators/main';
import twilio from 'twilio';
import { useApi } from './support/api.ts';
import { halfHour, newPatient, newProvider } from './support/visits.ts';

const TOKEN = 'the-token-of-this-test-account';
const OURS = '+12025550100';
const credentials = { accountSid: `AC${'0'.repeat(32)}`, authToken: TOKEN };

/** The provider must know our address before we listen. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const port = await freePort();
const PUBLIC_URL = `http://127.0.0.1:${port}`;
const inboundUrl = `${PUBLIC_URL}/webhooks/twilio/inbound`;
const provider = await startSimulators({
  credentials,
  pace: { secondMs: 50, keySeconds: 100 },
  settings: { inboundUrl, keywords: 'application' },
});
after(() => provider[Symbol.asyncDispose]());

const api = useApi({
  port,
  environment: {
    PUBLIC_URL,
    TWILIO_ACCOUNT_SID: credentials.accountSid,
    TWILIO_AUTH_TOKEN: TOKEN,
    TWILIO_BASE_URL: provider.url,
    SMS_FROM: OURS,
    CLINIC_PHONE: '+12125550100',
  },
});

let numbers = 0;
const newNumber = () => `+1212555012${numbers++}`;

async function newVisit(phone: string, slot: number) {
  const patientId = await newPatient(api, { phone });
  const startsAt = Temporal.Instant.from(halfHour(slot));
  const booking = { patientId, providerId: await newProvider(api), service: 'TELEHEALTH', startsAt } as const;
  return scheduling.schedule(api.systemScope(), booking);
}

interface Told {
  readonly id: string;
  readonly attemptId: string;
}

/** A message about the visit that is on its way to the provider. */
async function underWay(visit: scheduling.Appointment, phone: string, channel: 'SMS' | 'VOICE' = 'SMS'): Promise<Told> {
  const [id, attemptId] = [randomUUID(), randomUUID()];
  const index = blindIndex(api.app.vault, 'notifications.contact', phone);
  // What was planned for it is another matter.
  await asSuperuser('delete from notifications where appointment_id = $1', [visit.id]);
  await asSuperuser(
    `insert into notifications (id, appointment_id, revision, patient_id, kind, channel, status, due_at, expires_at,
       attempts, attempt_id, claimed_at, claimed_by, lease_until, contact_index, created_at, updated_at)
     values ($1, $2, $3, $4, 'REMINDER_2H', $5, 'CLAIMED', now(), now() + interval '1 day', 2, $6, now(),
       gen_random_uuid(), now() + interval '1 day', $7, now(), now())`,
    [id, visit.id, visit.revision, visit.patientId, channel, attemptId, index],
  );
  await asSuperuser(
    'insert into notification_attempts (id, notification_id, number, channel, started_at) values ($1, $2, 2, $3, now())',
    [attemptId, id, channel],
  );
  return { id, attemptId };
}

const idsOf = ({ id, attemptId }: Told) => `?n=${id}&a=${attemptId}`;
const statusCallback = (told: Told) => `${PUBLIC_URL}/webhooks/twilio/status${idsOf(told)}`;

async function statusOf({ id }: Told): Promise<string> {
  const [row] = await asSuperuser<{ status: string }>('select status from notifications where id = $1', [id]);
  return row?.status ?? '';
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function write(from: string, body: string, more: object = {}): Promise<void> {
  const inbound = { from, to: OURS, body, ...more };
  const response = await fetch(`${provider.url}/simulator/inbound`, { method: 'POST', body: JSON.stringify(inbound) });
  assert.ok(response.ok, await response.text());
}

/** What the patient's phone got from us, the newest first. */
const texts = (phone: string) =>
  [...provider.outbox.newestFirst()].flatMap((sent) => (sent.kind === 'text' && sent.to === phone ? [sent.body] : []));

type Form = Record<string, string>;

function post(path: string, form: Form, headers: Record<string, string> = {}): Promise<Response> {
  const signature = twilio.getExpectedTwilioSignature(TOKEN, `${PUBLIC_URL}${path}`, form);
  return api.fetch(path, {
    method: 'POST',
    headers: { 'x-twilio-signature': signature, ...headers },
    body: new URLSearchParams(form),
  });
}

const INBOUND = '/webhooks/twilio/inbound';
const text = (body: string, from = '+12125550129'): Form => ({
  MessageSid: `SM${randomUUID().replaceAll('-', '')}`,
  From: from,
  To: OURS,
  Body: body,
});

describe('from the provider’s own hand', () => {
  test('a text is reported delivered', async () => {
    const phone = newNumber();
    const told = await underWay(await newVisit(phone, 0), phone);
    await api.app.integrations.sms.send({ to: phone, body: 'Visit', statusCallback: statusCallback(told) });
    await until(async () => (await statusOf(told)) === 'DELIVERED');
  });

  test('STOP from a phone is confirmed once, whatever else comes, until START', async () => {
    const phone = newNumber();
    await newPatient(api, { phone });
    await write(phone, 'Stop', { copies: 3 });
    await write(phone, 'stop');
    assert.equal(texts(phone).length, 1);
    assert.match(texts(phone)[0] ?? '', /no more messages/);
    await write(phone, 'START');
    assert.equal(texts(phone).length, 2);
  });

  test('a 1 confirms the visit, and is answered once though it comes five times', async () => {
    const phone = newNumber();
    const visit = await newVisit(phone, 1);
    await underWay(visit, phone);
    await write(phone, '1', { copies: 5 });
    assert.equal((await scheduling.getAppointment(api.systemScope(), visit.id)).status, 'CONFIRMED');
    assert.equal(texts(phone).length, 1);
  });

  test('a key in a call confirms, is answered in it, and the call is reported', async () => {
    const phone = newNumber();
    const visit = await newVisit(phone, 2);
    const told = await underWay(visit, phone, 'VOICE');
    const id = await api.app.integrations.voice.call({
      to: phone,
      say: 'Press 1',
      language: 'en-US',
      statusCallback: statusCallback(told),
      gather: { action: `${PUBLIC_URL}/webhooks/twilio/voice${idsOf(told)}` },
    });
    await until(async () => {
      const keys = { method: 'POST', body: JSON.stringify({ digits: '1' }) };
      return (await fetch(`${provider.url}/simulator/calls/${id}/press`, keys)).ok;
    });
    await until(async () => (await statusOf(told)) === 'DELIVERED');
    assert.equal((await scheduling.getAppointment(api.systemScope(), visit.id)).status, 'CONFIRMED');
    const call = provider.outbox.find(id);
    assert.match(JSON.stringify(call), /Your visit is confirmed/);
  });
});

describe('a call of ours', () => {
  test('that only tells something can be ended for good by its key', async () => {
    const phone = newNumber();
    const visit = await newVisit(phone, 5);
    const told = await underWay(visit, phone, 'VOICE');
    await asSuperuser(`update notifications set kind = 'CANCELLED' where id = $1`, [told.id]);
    const id = await api.app.integrations.voice.call({
      to: phone,
      say: 'Press 9',
      language: 'en-US',
      gather: { action: `${PUBLIC_URL}/webhooks/twilio/voice${idsOf(told)}` },
    });
    await until(async () => {
      const keys = { method: 'POST', body: JSON.stringify({ digits: '9' }) };
      return (await fetch(`${provider.url}/simulator/calls/${id}/press`, keys)).ok;
    });
    await until(async () => JSON.stringify(provider.outbox.find(id)).includes('will not call or text you any more'));
    const [optOut] = await asSuperuser(
      'select source from opt_outs join inbound_messages i on i.id = inbound_message_id where i.provider_message_id = $1',
      [id],
    );
    assert.deepEqual(optOut, { source: 'CALL' });
  });
});

describe('a webhook', () => {
  const refusals = async () =>
    asSuperuser<{ resource_id: string }>(
      `select resource_id from audit_entries where action = 'webhook.receive' and outcome = 'DENIED'`,
    );

  test('with a wrong or no signature is refused, logged and on record, and does nothing', async () => {
    const form = text('STOP', '+12125550188');
    const before = (await refusals()).length;
    for (const headers of [{ 'x-twilio-signature': 'c2lnbmF0dXJl' }, { 'x-twilio-signature': '' }]) {
      for (const hook of ['status', 'inbound', 'voice']) {
        assert.equal((await post(`/webhooks/twilio/${hook}?n=1`, form, headers)).status, 403);
      }
    }
    const unsigned = await api.fetch(INBOUND, { method: 'POST', body: new URLSearchParams(form) });
    assert.equal(unsigned.status, 403);
    assert.equal((await refusals()).length - before, 7);
    const logged = api.logs().filter(({ msg }) => msg === 'A webhook was posted without a right signature');
    assert.ok(logged.length >= 7);
    assert.doesNotMatch(JSON.stringify(api.logs()), /5550188|"STOP/);
    assert.match(
      await (await api.fetch('/metrics')).text(),
      /careflex_webhooks_total\{hook="voice",outcome="refused"\} 2/,
    );
    assert.deepEqual(
      await asSuperuser('select from inbound_messages where provider_message_id = $1', [form['MessageSid']]),
      [],
    );
  });

  test('is signed over its fields and its query', async () => {
    const form = text('hello');
    const signature = twilio.getExpectedTwilioSignature(TOKEN, `${PUBLIC_URL}${INBOUND}`, form);
    const headers = { 'x-twilio-signature': signature };
    assert.equal((await post(INBOUND, { ...form, Body: 'STOP' }, headers)).status, 403);
    assert.equal((await post(`${INBOUND}?n=${randomUUID()}`, form, headers)).status, 403);
    assert.equal((await post(INBOUND, form, headers)).status, 200);
  });

  test('answers in TwiML, and a repeat in silence', async () => {
    const form = text('HELP');
    const first = await post(INBOUND, form);
    assert.equal(first.headers.get('content-type'), 'text/xml; charset=utf-8');
    assert.match(await first.text(), /<Response><Message>.*STOP to opt out\.<\/Message><\/Response>/);
    assert.match(await (await post(INBOUND, form)).text(), /<Response\/>/);
    const call = { CallSid: `CA${randomUUID()}`, From: '+12125550129', To: OURS, Direction: 'inbound' };
    assert.match(await (await post('/webhooks/twilio/voice', call)).text(), /<Say language="en-US">.*<Hangup\/>/);
  });

  test('is silent where the provider has answered by itself', async () => {
    const form = { ...text('STOP', '+12125550187'), OptOutType: 'STOP' };
    assert.match(await (await post(INBOUND, form)).text(), /<Response\/>/);
  });

  test('is refused when it is of an attempt of more than seven days ago', async () => {
    const phone = newNumber();
    const told = await underWay(await newVisit(phone, 3), phone);
    await asSuperuser(`update notification_attempts set started_at = now() - interval '169 hours' where id = $1`, [
      told.attemptId,
    ]);
    const form = { MessageSid: `SM${randomUUID()}`, MessageStatus: 'delivered' };
    assert.equal((await post(`/webhooks/twilio/status${idsOf(told)}`, form)).status, 403);
    assert.equal(await statusOf(told), 'CLAIMED');
    assert.equal((await post('/webhooks/twilio/status', form)).status, 204);
  });

  test('takes a form of 64 KiB at most, and nothing else', async () => {
    assert.equal((await post(INBOUND, text('x'.repeat(65 * 1024)))).status, 413);
    assert.equal((await post(INBOUND, text('x'), { 'content-type': 'application/json' })).status, 415);
    assert.equal((await post(INBOUND, {})).status, 400);
    assert.equal((await api.fetch(INBOUND)).status, 405);
  });
});
