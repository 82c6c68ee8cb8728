import assert from 'node:assert/strict';
import { test } from 'node:test';
import { webhookOrigin, webhookUrls } from '#integrations/webhook-urls';

const laptop = { PUBLIC_URL: undefined, HOST: '127.0.0.1', PORT: 4000, NODE_ENV: 'development' } as const;

test('webhooks stand under the public origin, or on this machine where there is none', () => {
  const urls = webhookUrls({ ...laptop, PUBLIC_URL: 'https://care.example/', HOST: '0.0.0.0' });
  assert.deepEqual(urls, {
    status: 'https://care.example/webhooks/twilio/status',
    inbound: 'https://care.example/webhooks/twilio/inbound',
    voice: 'https://care.example/webhooks/twilio/voice',
  });
  for (const [HOST, base] of [
    ['127.0.0.1', 'http://127.0.0.1:4000'],
    ['0.0.0.0', 'http://127.0.0.1:4000'],
    ['::1', 'http://[::1]:4000'],
  ] as const) {
    assert.equal(webhookOrigin({ ...laptop, HOST }), base);
  }
});

test('in production nobody reaches webhooks without a public origin', () => {
  assert.equal(webhookUrls({ ...laptop, NODE_ENV: 'production' }), undefined);
});
