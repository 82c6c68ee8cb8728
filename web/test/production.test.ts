import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getIntrospectionQuery } from 'graphql';
import { useApi } from './support/api.ts';

const api = useApi({
  environment: {
    NODE_ENV: 'production',
    METRICS_TOKEN: 'a-token-of-some-length',
    PUBLIC_URL: 'https://api.example.com',
  },
});

describe('in production', () => {
  test('the schema is not told, nor guessed at by suggestions', async () => {
    const { status, body } = await api.graphql(getIntrospectionQuery());
    assert.deepEqual([status, body.data, body.errors?.[0]?.extensions['code']], [400, undefined, 'BAD_USER_INPUT']);
    const typo = await api.graphql('{ patientz { id } }');
    assert.doesNotMatch(JSON.stringify(typo.body), /patients|did you mean/i);
    assert.equal((await api.graphql('{ __typename }')).status, 200);
  });

  test('there is no explorer', async () => {
    for (const path of ['/', '/graphiql']) {
      assert.equal((await api.fetch(path, { redirect: 'manual' })).status, 404);
    }
  });

  test('metrics need their token', async () => {
    assert.equal((await api.fetch('/metrics')).status, 403);
    assert.equal((await api.fetch('/metrics', { headers: { authorization: 'Bearer wrong' } })).status, 403);
    const answer = await api.fetch('/metrics', { headers: { authorization: 'Bearer a-token-of-some-length' } });
    assert.equal(answer.status, 200);
  });

  test('webhooks of a provider that is not configured are not there', async () => {
    for (const hook of ['status', 'inbound', 'voice'])
      assert.equal((await api.fetch(`/webhooks/twilio/${hook}`, { method: 'POST' })).status, 404);
  });
});
