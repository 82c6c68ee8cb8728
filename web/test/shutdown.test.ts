import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { createApp } from '@careflex/core/app';
import { asSuperuser, urls } from '@careflex/core/testing';
import pg from 'pg';
import { WebSocket } from 'ws';
import { startApi } from '../src/main.ts';
import { testConfig, useApi } from './support/api.ts';

const api = useApi();

describe('close', () => {
  test('answers what is under way, says that it is not ready, ends sockets and streams, and then is gone', async () => {
    await using app = await createApp(testConfig(), { databaseUrl: urls.login, log: api.app.log });
    const closing = await startApi(app, { port: 0, host: '127.0.0.1' });
    const socket = new WebSocket(`${closing.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init' }));
    await once(socket, 'message');
    const socketClosed = once(socket, 'close') as Promise<[number]>;

    const release = await holdSignIns();
    assert.equal((await get(`${closing.url}/readyz`)).status, 200);
    const underWay = fetch(`${closing.url}/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'nobody@example.com', password: 'whatever' }),
    });
    await waitingForLock();
    const closed = closing.close();
    assert.equal((await socketClosed)[0], 1001);
    assert.equal((await get(`${closing.url}/readyz`)).status, 503);
    await release();
    assert.equal((await underWay).status, 401);
    await closed;
    await assert.rejects(get(`${closing.url}/healthz`), { code: 'ECONNREFUSED' });
  });

  test('frees its port, and a port that is taken is told', async () => {
    await assert.rejects(startApi(api.app, { port: api.port, host: '127.0.0.1' }), { code: 'EADDRINUSE' });
  });
});

/** On a connection of its own. */
function get(url: string): Promise<{ status: number | undefined }> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode }));
    })
      .on('error', reject)
      .end();
  });
}

/** Holds up whoever signs in, until released. */
async function holdSignIns(): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: urls.admin });
  await client.connect();
  await client.query('begin; lock table throttles in access exclusive mode');
  return async () => {
    await client.query('commit');
    await client.end();
  };
}

async function waitingForLock(): Promise<void> {
  for (;;) {
    const rows = await asSuperuser(
      "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
    );
    if (rows.length > 0) return;
  }
}
