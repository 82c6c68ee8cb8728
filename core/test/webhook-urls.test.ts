import assert from 'node:assert/strict';
import { test } from 'node:test';
import { webhookUrls } from '#integrations/webhook-urls';

test('webhooks stand under the public origin, or on this machine where there is none', () => {
  const { status, inbound, voice } = webhookUrls({ PUBLIC_URL: 'https://care.example/', HOST: '0.0.0.0', PORT: 4000 });
  assert.deepEqual(
    [status, inbound, voice],
    ['status', 'inbound', 'voice'].map((path) => `https://care.example/webhooks/twilio/${path}`),
  );
  for (const [HOST, base] of [
    ['127.0.0.1', 'http://127.0.0.1:4000'],
    ['0.0.0.0', 'http://127.0.0.1:4000'],
    ['::1', 'http://[::1]:4000'],
  ] as const) {
    assert.equal(webhookUrls({ PUBLIC_URL: undefined, HOST, PORT: 4000 }).inbound, `${base}/webhooks/twilio/inbound`);
  }
});
