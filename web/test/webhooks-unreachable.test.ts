import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useApi } from './support/api.ts';

const api = useApi({
  environment: { NODE_ENV: 'production', TWILIO_AUTH_TOKEN: 'the-token-of-this-test-account' },
});

test('webhooks in production say that without a public address nobody can reach them', async () => {
  for (const hook of ['status', 'inbound', 'voice']) {
    const answer = await api.fetch(`/webhooks/twilio/${hook}`, { method: 'POST', body: new URLSearchParams() });
    assert.deepEqual([answer.status, await answer.json()], [503, { error: 'PUBLIC_URL is not configured' }]);
  }
});
