import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '@careflex/core/accounts';
import { asSuperuser } from '@careflex/core/testing';
import { SignJWT, UnsecuredJWT } from 'jose';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();
const LOGIN = `mutation($email: String!, $password: String!) { login(email: $email, password: $password) {
  ... on Session { accessToken refreshToken expiresAt viewer { id role email } } ... on Problem { code message } } }`;
const ME = '{ me { id role } }';

const withBearer = (token: string) => api.graphql(ME, {}, { headers: { authorization: `Bearer ${token}` } });

describe('login', () => {
  test('gives tokens that sign requests', async () => {
    const { email, password, id } = await api.person('agent');
    const answer = await api.graphql(LOGIN, { email, password });
    const session = dataOf<{ accessToken: string; viewer: object }>(answer, 'login');
    assert.deepEqual(session.viewer, { id, role: 'AGENT', email });
    assert.deepEqual((await withBearer(session.accessToken)).body.data, { me: { id, role: 'AGENT' } });
  });

  test('answers the same for a wrong password and for nobody', async () => {
    const { email } = await api.newPerson('agent');
    const answers = [];
    for (const who of [email, 'nobody@example.com']) {
      const { status, body } = await api.graphql(LOGIN, { email: who, password: 'wrong' });
      const [error] = body.errors ?? [];
      answers.push([status, error?.message, error?.extensions['code']]);
    }
    assert.equal(answers[0]?.[2], 'UNAUTHENTICATED');
    assert.deepEqual(answers[0], answers[1]);
  });

  test('is refreshed once per token: a second use ends the session', async () => {
    const { refreshToken } = await api.newPerson('agent');
    const refresh = (token: string) =>
      api.graphql(
        'mutation($t: String!) { refreshToken(refreshToken: $t) { ... on Session { accessToken refreshToken } } }',
        { t: token },
      );
    const { accessToken } = dataOf<{ accessToken: string }>(await refresh(refreshToken), 'refreshToken');
    assert.equal((await withBearer(accessToken)).status, 200);
    assert.equal((await refresh(refreshToken)).body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
    const after = await withBearer(accessToken);
    assert.equal(after.body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
  });

  test('is over at once after logout', async () => {
    const person = await api.newPerson('agent');
    assert.deepEqual((await api.graphql('mutation { logout }', {}, { as: person })).body.data, { logout: true });
    const { body } = await withBearer(person.token);
    assert.equal(body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
  });
});

describe('a bearer token', () => {
  const claims = {
    sub: '019f0000-0000-7000-8000-000000000001',
    sid: '019f0000-0000-7000-8000-000000000002',
    role: 'admin',
  };

  test('that is forged is refused with 401, whatever it says it is', async () => {
    const forged = [
      'nonsense',
      'a.b.c',
      new UnsecuredJWT(claims).setIssuer('careflex').setAudience('careflex-api').setExpirationTime('1h').encode(),
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
        .setIssuer('careflex')
        .setAudience('careflex-api')
        .setExpirationTime('1h')
        .sign(createSecretKey(Buffer.alloc(32, 7))),
      `cfk_${'0'.repeat(32)}_${'x'.repeat(43)}`,
    ];
    for (const token of forged) {
      const { status, body } = await withBearer(token);
      assert.deepEqual([status, body.errors?.[0]?.extensions['code'], body.data], [401, 'UNAUTHENTICATED', undefined]);
    }
  });

  test('of another scheme, or too long, does not pass for none', async () => {
    for (const authorization of ['Basic YTpi', 'Bearer ', `Bearer ${'x'.repeat(9_000)}`]) {
      assert.equal((await api.graphql(ME, {}, { headers: { authorization } })).status, 401);
    }
  });

  test('with a changed payload is refused', async () => {
    const [header, , signature] = (await api.person('agent')).token.split('.');
    const payload = Buffer.from(JSON.stringify({ ...claims, iss: 'careflex', aud: 'careflex-api' })).toString(
      'base64url',
    );
    assert.equal((await withBearer(`${header}.${payload}.${signature}`)).status, 401);
  });

  test('may be an API key, which does what it names and nothing else', async () => {
    const admin = await api.person('admin');
    const answer = await api.graphql(
      `mutation($userId: ID!) { createApiKey(input: { userId: $userId, name: "reader", scopes: ["patient.list"], expiresInDays: 1 }) {
        ... on CreatedApiKey { key } } }`,
      { userId: (await api.person('agent')).id },
      { as: admin },
    );
    const { key } = dataOf<{ key: string }>(answer, 'createApiKey');
    const ask = (query: string) => api.graphql(query, {}, { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await ask('{ patients { edges { cursor } } }')).body.errors, undefined);
    const refused = await ask('{ searchPatients(query: "sm") { edges { cursor } } }');
    assert.equal(refused.body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
  });
});

describe('a browser’s session', () => {
  const post = (body: object, headers: Record<string, string> = {}) =>
    api.fetch('/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const ask = (cookie: string, headers: Record<string, string> = { 'x-careflex-csrf': '1' }) =>
    api.graphql(ME, {}, { headers: { cookie, ...headers } });

  test('stands in a cookie that scripts, other sites and plain HTTP do not get', async () => {
    const { email, password } = await api.person('agent');
    const response = await post({ email, password });
    assert.equal(response.status, 200);
    assert.match(
      response.headers.getSetCookie()[0] ?? '',
      /^__Host-careflex=[\w-]{43}; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
    );
    assert.deepEqual(Object.keys((await response.json()) as object), ['expiresAt', 'viewer']);
  });

  test('signs requests that carry the header no other site’s page can set', async () => {
    const person = await api.person('agent');
    const cookie = await api.cookie(person);
    assert.deepEqual((await ask(cookie)).body.data, { me: { id: person.id, role: 'AGENT' } });
    const forged = await ask(cookie, {});
    assert.deepEqual([forged.status, forged.body.errors?.[0]?.extensions['code']], [403, 'FORBIDDEN']);
  });

  test('is not read by GET from another site either', async () => {
    const cookie = await api.cookie(await api.person('agent'));
    const response = await api.fetch('/graphql?query=%7Bme%7Bid%7D%7D', { headers: { cookie } });
    assert.equal(response.status, 403);
  });

  test('ends with DELETE, at once', async () => {
    const cookie = await api.cookie(await api.newPerson('agent'));
    assert.equal((await api.fetch('/session', { method: 'DELETE', headers: { cookie } })).status, 403);
    const ended = await api.fetch('/session', { method: 'DELETE', headers: { cookie, 'x-careflex-csrf': '1' } });
    assert.equal(ended.status, 200);
    assert.match(ended.headers.getSetCookie()[0] ?? '', /^__Host-careflex=; Max-Age=0;/);
    assert.equal((await ask(cookie)).status, 401);
  });

  test('does not begin with a wrong password, a form, or from another site', async () => {
    const { email, password } = await api.newPerson('agent');
    assert.equal((await post({ email, password: 'wrong' })).status, 401);
    assert.equal((await post({ email, password }, { 'content-type': 'text/plain' })).status, 415);
    assert.equal((await post({ email, password }, { origin: 'https://evil.example' })).status, 403);
    assert.equal((await post([email])).status, 400);
  });
});

describe('the viewer in the answer that signs in', () => {
  const VIEWER = 'viewer { id patient { firstName email preferences { quietHours { from } } } }';
  const seen = ({ id, email }: { id: string; email: string }) => ({
    id,
    patient: { firstName: 'Pat', email, preferences: { quietHours: { from: '20:00' } } },
  });
  const login = `mutation($email: String!, $password: String!) {
    it: login(email: $email, password: $password) { ... on Session { ${VIEWER} } } }`;

  test('has the patient’s own record after login, whoever signed the request', async () => {
    const { id, email, password } = await api.newPerson('patient');
    for (const ask of [{}, { as: 'auditor' }, { as: 'patient' }] as const) {
      const answer = await api.graphql(login, { email, password }, ask);
      assert.deepEqual(dataOf(answer, 'it'), { viewer: seen({ id, email }) });
    }
    const reads = await asSuperuser(
      "select distinct user_id from audit_entries where action = 'patient.read' and user_role <> 'system' and $1 = any(resource_ids)",
      [(await accounts.login(api.systemScope(), { email, password })).viewer.patientId],
    );
    assert.deepEqual(reads, [{ user_id: id }]);
  });

  test('has it after a refresh', async () => {
    const { id, email, refreshToken } = await api.newPerson('patient');
    const refresh = `mutation($t: String!) { it: refreshToken(refreshToken: $t) { ... on Session { ${VIEWER} } } }`;
    assert.deepEqual(dataOf(await api.graphql(refresh, { t: refreshToken }), 'it'), { viewer: seen({ id, email }) });
  });

  test('has it after registration', async () => {
    const email = 'new.patient@example.com';
    const input = await api.verification(email);
    const register = `mutation($input: RegisterInput!) { it: register(input: $input) {
      ... on Viewer { id patient { firstName email preferences { quietHours { from } } } } } }`;
    const { id, ...viewer } = dataOf<{ id: string }>(await api.graphql(register, { input }), 'it');
    assert.deepEqual({ id, ...viewer }, seen({ id, email }));
  });

  test('has no other record, and nothing but the record', async () => {
    const { email, password } = await api.newPerson('patient');
    const more = login.replace('patient {', 'patient { appointments { edges { cursor } }');
    const { body } = await api.graphql(more, { email, password });
    assert.equal(body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
  });
});

describe('registration', () => {
  test('goes by a code, through the API alone', async () => {
    const patient = await api.newPerson('patient');
    const { body } = await api.graphql('{ me { role patient { firstName email } } }', {}, { as: patient });
    assert.deepEqual(body.data, { me: { role: 'PATIENT', patient: { firstName: 'Pat', email: patient.email } } });
  });

  test('answers the same for whom it does not know', async () => {
    const ask = 'mutation($e: String!) { requestVerification(contact: { email: $e }) { __typename } }';
    for (const e of ['nobody@example.com', (await api.newPerson('agent')).email]) {
      assert.deepEqual((await api.graphql(ask, { e })).body.data, {
        requestVerification: { __typename: 'VerificationRequest' },
      });
    }
  });
});

describe('what is anonymous', () => {
  test('is nobody, and is told to sign in for anything else', async () => {
    assert.deepEqual((await api.graphql(ME)).body.data, { me: null });
    for (const query of [
      '{ patients { edges { cursor } } }',
      '{ sessions { id } }',
      'mutation { logout }',
      'mutation { erasePatient(id: "1") { __typename } }',
    ]) {
      const { body } = await api.graphql(query);
      assert.equal(body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
    }
  });
});

describe('an admin', () => {
  test('sees and ends the sessions of others', async () => {
    const person = await api.newPerson('agent');
    const { body } = await api.graphql(
      'mutation($id: ID!) { revokeUserSessions(userId: $id) { ... on Done { id } } }',
      { id: person.id },
      { as: 'admin' },
    );
    assert.deepEqual(body.data, { revokeUserSessions: { id: person.id } });
    assert.equal((await withBearer(person.token)).body.errors?.[0]?.extensions['code'], 'UNAUTHENTICATED');
    assert.equal((await accounts.liveSessions(api.systemScope(), [person.sessionId])).size, 0);
  });
});
