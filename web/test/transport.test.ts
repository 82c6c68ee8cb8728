import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { useApi } from './support/api.ts';

const api = useApi({ bodyTimeoutMs: 300 });
const JSON_TYPE = { 'content-type': 'application/json' };

/** What the server answers to bytes that no client of good manners would send. */
function raw(...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(api.port, '127.0.0.1');
    let answer = '';
    socket
      .on('data', (bytes) => (answer += bytes.toString()))
      .on('close', () => resolve(answer))
      .on('error', reject);
    for (const part of parts) socket.write(part);
  });
}

describe('a body', () => {
  test('of more than 128 KiB is refused by its length', async () => {
    const body = JSON.stringify({ query: '{ __typename }', variables: { x: 'x'.repeat(128 * 1024) } });
    const response = await api.fetch('/graphql', { method: 'POST', headers: JSON_TYPE, body });
    assert.equal(response.status, 413);
    assert.match(await response.text(), /at most 131072 bytes/);
  });

  test('of more than 128 KiB is refused in chunks too, and the connection closes', async () => {
    const chunk = 'x'.repeat(16 * 1024);
    const answer = await raw(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
      ...Array.from({ length: 9 }, () => `${chunk.length.toString(16)}\r\n${chunk}\r\n`),
    );
    assert.match(answer, /^HTTP\/1.1 413 /);
    assert.match(answer, /Connection: close/i);
  });

  test('that does not arrive in time is not waited for', async () => {
    const answer = await raw(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"query":',
    );
    assert.match(answer, /^HTTP\/1.1 408 /);
  });

  test('that is not JSON is refused without being repeated', async () => {
    const response = await api.fetch('/graphql', { method: 'POST', headers: JSON_TYPE, body: '{"query": Zebulon' });
    assert.equal(response.status, 400);
    assert.doesNotMatch(await response.text(), /Zebulon/);
  });

  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/graphql',
  ]) {
    test(`of type ${type}, which a form or an old client sends, is refused`, async () => {
      const response = await api.fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': type },
        body: '{ __typename }',
      });
      assert.equal(response.status, 415);
    });
  }
});

describe('a mutation', () => {
  test('is not carried out by GET', async () => {
    const query = encodeURIComponent('mutation { logout }');
    for (const accept of ['application/graphql-response+json', 'application/json', '*/*']) {
      const response = await api.fetch(`/graphql?query=${query}`, { headers: { accept } });
      assert.deepEqual([accept, response.status, response.headers.get('allow')], [accept, 405, 'POST']);
    }
  });
});

describe('an answer', () => {
  const typeFor = async (accept: string, query: string) => {
    const headers = { ...JSON_TYPE, accept };
    const response = await api.fetch('/graphql', { method: 'POST', headers, body: JSON.stringify({ query }) });
    return [response.status, response.headers.get('content-type')];
  };
  const json = 'application/json; charset=utf-8';
  const graphql = 'application/graphql-response+json; charset=utf-8';

  test('has the first media type that is asked for, whether or not it is an error', async () => {
    for (const [accept, type, status] of [
      ['*/*', json, 200],
      ['application/json', json, 200],
      ['application/graphql-response+json, application/json;q=0.9', graphql, 400],
      ['text/html, application/json', json, 200],
      ['application/*', json, 200],
    ] as const) {
      assert.deepEqual(await typeFor(accept, '{ __typename }'), [200, type]);
      assert.deepEqual(await typeFor(accept, '{ nothing }'), [status, type]);
    }
    assert.deepEqual(await typeFor('text/html', '{ __typename }'), [406, null]);
  });
});

describe('a request id', () => {
  const idFor = async (given: string) =>
    (await api.fetch('/healthz', { headers: { 'x-request-id': given } })).headers.get('x-request-id');

  test('is taken over when it is a sane one', async () => {
    assert.equal(await idFor('lb-4711-abcdef'), 'lb-4711-abcdef');
  });

  test('is made anew when it could forge a log line, is too long, or too short to be one', async () => {
    for (const given of ['a"b{}c\tdefgh', 'x'.repeat(65), '1', 'name@example.com']) {
      assert.match((await idFor(given)) ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    }
  });

  test('cannot bring a header along', async () => {
    const answer = await raw(
      'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: abcdefgh\rSet-Cookie: a=b\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1.1 400 /);
  });

  test('is in the errors of a fault and of a refusal', async () => {
    const { body } = await api.graphql(
      '{ patient(id: "x") { id } }',
      {},
      { headers: { 'x-request-id': 'lb-4711-abcdef' } },
    );
    assert.equal(body.errors?.[0]?.extensions['requestId'], 'lb-4711-abcdef');
  });
});

describe('every answer', () => {
  test('says that it is no page, no script, and not to be kept', async () => {
    for (const path of ['/graphql?query=%7B__typename%7D', '/healthz', '/nothing', '/session']) {
      const { headers } = await api.fetch(path);
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('referrer-policy'), 'no-referrer');
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.match(headers.get('cache-control') ?? '', /no-store/);
      assert.equal(headers.get('access-control-allow-origin'), null);
      assert.equal(headers.get('x-powered-by'), null);
    }
  });

  test('to a path that does not exist is 404, to another method 405', async () => {
    assert.equal((await api.fetch('/constructor')).status, 404);
    const response = await api.fetch('/healthz', { method: 'POST' });
    assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET']);
  });
});

describe('for operators', () => {
  test('/healthz and /readyz answer', async () => {
    assert.deepEqual(await (await api.fetch('/healthz')).json(), { alive: true });
    assert.deepEqual(await (await api.fetch('/readyz')).json(), { ready: true, missing: [] });
  });

  test('/metrics counts requests and operations by names of the schema only', async () => {
    await api.graphql('query MyOwnName { me { id } }');
    await api.graphql('query MyOwnName { MyOwnName: me { id } __typename }');
    await api.graphql('{ MyOwnName }');
    const text = await (await api.fetch('/metrics')).text();
    for (const found of [
      /careflex_graphql_operations_total\{type="query",operation="me",outcome="ok"\} \d/,
      /careflex_graphql_operation_duration_seconds_count\{type="query",operation="me"\} \d/,
      /careflex_graphql_operation_duration_seconds_count\{type="query",operation="several"\} \d/,
      /careflex_graphql_operation_duration_seconds_count\{type="unknown",operation="unknown"\} \d/,
      /careflex_jobs\{queue="verification-code",state="waiting"\} 0/,
      /careflex_jobs\{queue="housekeeping",state="failed"\} 0/,
      /careflex_jobs\{queue="dead-letter",state="waiting"\} 0/,
      /careflex_http_request_duration_seconds_count\{method="POST",route="\/graphql",status="200"\} \d/,
      /careflex_database_connections\{state="idle"\} \d/,
      /careflex_audit_seal_lag_seconds \d/,
      /nodejs_eventloop_lag/,
    ]) {
      assert.ok(found.test(text), String(found));
    }
    assert.ok(!text.includes('MyOwnName'));
  });

  test('the access log has no query string, no agent and nothing else from outside', async () => {
    await api.fetch('/graphql?query=%7B__typename%7D&secret=zebulon', { headers: { 'user-agent': 'zebulon' } });
    const line = api.logs().findLast(({ msg, path }) => msg === 'request' && path === '/graphql');
    assert.deepEqual(
      Object.keys(line ?? {})
        .filter((key) => key !== 'actorId')
        .toSorted(),
      ['durationMs', 'level', 'method', 'msg', 'operation', 'path', 'requestId', 'status', 'time'],
    );
    assert.doesNotMatch(JSON.stringify(api.logs()), /zebulon/);
  });
});
