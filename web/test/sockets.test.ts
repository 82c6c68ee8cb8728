import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import * as accounts from '@careflex/core/accounts';
import * as care from '@careflex/core/care';
import { asSuperuser } from '@careflex/core/testing';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { useApi } from './support/api.ts';

const api = useApi();
const socketUrl = () => `${api.url.replace('http', 'ws')}/graphql`;
const PROTOCOL = 'graphql-transport-ws';
const UPDATED = 'subscription($id: ID!) { patientUpdated(id: $id) { lastName } }';

interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** A client of the usual kind, the promise of its end, and a way to read a subscription value by value. */
function openClient(token?: string) {
  const closed = Promise.withResolvers<Closed>();
  const client: Client = createClient({
    url: socketUrl(),
    webSocketImpl: WebSocket,
    lazy: false,
    retryAttempts: 0,
    ...(token === undefined ? {} : { connectionParams: { authorization: `Bearer ${token}` } }),
    onNonLazyError: () => undefined,
    on: { closed: (event) => closed.resolve(event as Closed) },
  });
  return { client, closed: closed.promise };
}

async function newPatient(lastName = 'Before') {
  return care.createPatient(api.systemScope(), { firstName: 'Sam', lastName });
}

describe('a socket', () => {
  test('signs in with its first message and carries queries like HTTP does', async () => {
    const { client } = openClient((await api.person('agent')).token);
    const { value } = await client.iterate({ query: '{ me { role } }' }).next();
    assert.deepEqual(value, { data: { me: { role: 'AGENT' } } });
    await client.dispose();
  });

  test('tells of each change of a patient, however their id is written, beginning with how they are now', async () => {
    const patient = await newPatient();
    const { client } = openClient((await api.person('agent')).token);
    const changes = client.iterate<{ patientUpdated: { lastName: string } }>({
      query: UPDATED,
      variables: { id: patient.id.toUpperCase() },
    });
    const names = [(await changes.next()).value?.data?.patientUpdated.lastName];
    await api.graphql(
      'mutation($id: ID!) { updatePatient(id: $id, input: { lastName: "After" }) { __typename } }',
      { id: patient.id },
      { as: 'agent' },
    );
    names.push((await changes.next()).value?.data?.patientUpdated.lastName);
    assert.deepEqual(names, ['Before', 'After']);
    await client.dispose();
  });

  test('learns nothing of somebody else’s record, and no more than of one that does not exist', async () => {
    const patient = await newPatient();
    const { client } = openClient((await api.person('patient')).token);
    const errorFor = async (id: string) =>
      client
        .iterate({ query: UPDATED, variables: { id } })
        .next()
        .then(
          ({ value }) => ({ ...value?.errors?.[0], extensions: { ...value?.errors?.[0]?.extensions, requestId: '' } }),
          (errors: { message: string; extensions: object }[]) => ({
            ...errors[0],
            extensions: { ...errors[0]?.extensions, requestId: '' },
          }),
        );
    assert.deepEqual(await errorFor(patient.id), await errorFor('019f0000-0000-7000-8000-000000000000'));
    await client.dispose();
  });

  test('without a sign-in may do what an anonymous request may', async () => {
    const { client } = openClient();
    assert.deepEqual((await client.iterate({ query: '{ me { id } }' }).next()).value, { data: { me: null } });
    await client.dispose();
  });

  test('closes with 4401 when what it signs in with is no good', async () => {
    const { closed } = openClient('forged.token.here');
    assert.equal((await closed).code, 4401);
  });

  test('closes with 4401 once its session is revoked', async () => {
    const person = await api.newPerson('agent');
    const { client, closed } = openClient(person.token);
    await client.iterate({ query: '{ me { id } }' }).next();
    await api.graphql('mutation { logout }', {}, { as: person });
    const { code, reason } = await closed;
    assert.deepEqual([code, reason], [4401, 'The session has ended']);
  });

  test('closes with 4401 once its session has run out, of which nobody tells', async () => {
    const person = await api.newPerson('agent');
    const { client, closed } = openClient(person.token);
    await client.iterate({ query: '{ me { id } }' }).next();
    await asSuperuser("update sessions set expires_at = '2020-01-01' where id = $1", [person.sessionId]);
    assert.equal((await closed).code, 4401);
  });

  test('is opened at /graphql only', async () => {
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/other`, PROTOCOL);
    const [error] = (await once(socket, 'error')) as [Error];
    assert.match(error.message, /404/);
  });

  test('is held to the limits of HTTP', async () => {
    const { client } = openClient((await api.person('agent')).token);
    const bomb = `{ ${Array.from({ length: 60 }, (_, i) => `a${i}: __typename`).join(' ')} }`;
    await assert.rejects(
      client.iterate({ query: bomb }).next(),
      (errors: { extensions: { code: string; http?: unknown } }[]) => {
        assert.equal(errors[0]?.extensions.code, 'TOO_COMPLEX');
        assert.equal(errors[0]?.extensions.http, undefined);
        return true;
      },
    );
    await client.dispose();
  });

  test('closes on a message of more than 128 KiB', async () => {
    const socket = new WebSocket(socketUrl(), PROTOCOL);
    await once(socket, 'open');
    socket.send('x'.repeat(128 * 1024 + 1));
    const [code] = (await once(socket, 'close')) as [number];
    assert.equal(code, 1009);
  });
});

describe('a socket that signs in with the browser’s cookie', () => {
  async function codeFor(headers: Record<string, string>): Promise<number | 'open'> {
    const socket = new WebSocket(socketUrl(), PROTOCOL, { headers });
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init' }));
    const outcome = await Promise.race([
      once(socket, 'close').then(([code]) => code as number),
      once(socket, 'message').then(() => 'open' as const),
    ]);
    socket.terminate();
    return outcome;
  }

  test('may come from our own page, and from no other site’s', async () => {
    const cookie = await api.cookie(await api.newPerson('agent'));
    assert.equal(await codeFor({ cookie, origin: api.url }), 'open');
    assert.equal(await codeFor({ cookie, origin: 'https://evil.example' }), 4403);
    assert.equal(await codeFor({ cookie, origin: 'null' }), 4403);
  });
});

describe('server-sent events', () => {
  async function stream(token: string, id: string) {
    const response = await api.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: UPDATED, variables: { id } }),
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    return response.body as ReadableStream<Uint8Array>;
  }

  async function textUntil(body: AsyncIterable<Uint8Array>, found: RegExp): Promise<string> {
    let text = '';
    for await (const bytes of body) {
      text += Buffer.from(bytes).toString();
      if (found.test(text)) return text;
    }
    return text;
  }

  test('tell of changes on the same path', async () => {
    const patient = await newPatient();
    const body = await stream((await api.person('agent')).token, patient.id);
    assert.match(await textUntil(body, /Before/), /data: \{"data":\{"patientUpdated":\{"lastName":"Before"\}\}\}/);
  });

  test('end once their session is revoked', async () => {
    const patient = await newPatient();
    const person = await api.newPerson('agent');
    const body = await stream(person.token, patient.id);
    await accounts.logout(
      api.app.scope({ id: person.id, role: 'agent', sessionId: person.sessionId }, api.systemScope().request),
    );
    assert.match(await textUntil(body, /complete/), /event: complete/);
  });
});
