import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useApi } from './support/api.ts';

const api = useApi({
  rateLimits: { perAddress: 60, perPrincipal: 5, signInPerAddress: 8 },
  environment: { TRUSTED_PROXIES: '1' },
});
const from = (address: string) => ({ 'x-forwarded-for': address });
const ME = '{ me { id } }';

describe('too many requests', () => {
  test('of one principal are told when to come back, while others go on', async () => {
    const person = await api.newPerson('agent');
    for (let i = 0; i < 5; i++)
      assert.equal((await api.graphql(ME, {}, { as: person, headers: from(`198.51.100.${i}`) })).status, 200);
    const { status, headers, body } = await api.graphql(ME, {}, { as: person, headers: from('198.51.100.9') });
    assert.equal(status, 429);
    const seconds = Number(headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60);
    assert.equal(body.errors?.[0]?.extensions['code'], 'RATE_LIMITED');
    assert.equal(body.errors?.[0]?.extensions['retryAfterSeconds'], seconds);
    assert.equal((await api.graphql(ME, {}, { as: await api.newPerson('agent') })).status, 200);
  });

  test('of one address are refused before anything else, and what the client says of itself does not help', async () => {
    for (let i = 0; i < 60; i++)
      await api.graphql('{ __typename }', {}, { headers: from(`192.0.2.${i}, 203.0.113.7`) });
    const spoofed = await api.graphql('{ __typename }', {}, { headers: from('192.0.2.200, 203.0.113.7') });
    assert.equal(spoofed.status, 429);
    assert.equal((await api.graphql('{ __typename }', {}, { headers: from('203.0.113.8') })).status, 200);
  });

  test('of one household with many IPv6 addresses count together', async () => {
    for (let i = 0; i < 60; i++)
      await api.graphql('{ __typename }', {}, { headers: from(`2001:db8:0:1:${i.toString(16)}::1`) });
    assert.equal((await api.graphql('{ __typename }', {}, { headers: from('2001:db8:0:1::99') })).status, 429);
    assert.equal((await api.graphql('{ __typename }', {}, { headers: from('2001:db8:0:2::99') })).status, 200);
  });

  test('to sign in are fewer, each alias counted, by GraphQL or not', async () => {
    const aliases = Array.from(
      { length: 8 },
      (_, i) => `a${i}: login(email: "a@example.com", password: "${i}") { __typename }`,
    ).join(' ');
    const headers = from('203.0.113.50');
    assert.equal((await api.graphql(`mutation { ${aliases} }`, {}, { headers })).status, 200);
    const more = await api.graphql(
      'mutation { login(email: "a@example.com", password: "x") { __typename } }',
      {},
      { headers },
    );
    assert.equal(more.status, 429);
    for (const accept of ['*/*', 'application/json', 'text/html, application/json']) {
      const again = 'mutation { refreshToken(refreshToken: "x") { __typename } }';
      const { status, headers: told } = await api.graphql(again, {}, { headers: { ...headers, accept } });
      assert.deepEqual([accept, status, told.has('retry-after')], [accept, 429, true]);
    }
    const session = await api.fetch('/session', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{}',
    });
    assert.deepEqual([session.status, session.headers.has('retry-after')], [429, true]);
  });

  test('to guess at a secret, or to have a message sent, are as few', async () => {
    const patient = await api.newPerson('patient');
    const fields = [
      'register(input: { verificationId: "x", code: "x", dateOfBirth: "1980-03-08", email: "x", password: "x" })',
      'requestVerification(contact: {})',
      'changePassword(currentPassword: "x", newPassword: "x")',
      'requestContactChange(contact: {})',
      'confirmContactChange(verificationId: "x", code: "x")',
    ];
    for (const [i, field] of fields.entries()) {
      const many = Array.from({ length: 9 }, (_, n) => `a${n}: ${field} { __typename }`).join(' ');
      const headers = from(`203.0.113.${100 + i}`);
      const { status } = await api.graphql(`mutation { ${many} }`, {}, { as: patient, headers });
      assert.deepEqual([field, status], [field, 429]);
    }
  });
});
