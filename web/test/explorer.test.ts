import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useApi } from './support/api.ts';

const api = useApi();

describe('the explorer', () => {
  test('comes from here alone, under a policy that lets no inline script and no other host in', async () => {
    const page = await api.fetch('/graphiql');
    const policy = page.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self'; worker-src 'self';/);
    assert.doesNotMatch(policy.replace(/style-src [^;]*/, ''), /unsafe|https?:|\*/);
    const html = await page.text();
    assert.match(html, /<form id="sign-in">/);
    assert.doesNotMatch(html, /https?:\/\/|<script>| on\w+=/);
    const paths = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path ?? '');
    assert.equal(paths.length, 4);
    for (const path of [
      ...paths,
      '/graphiql/editor-worker.js',
      '/graphiql/json-worker.js',
      '/graphiql/graphql-worker.js',
    ]) {
      const asset = await api.fetch(path);
      assert.equal(asset.status, 200, path);
      assert.ok((await asset.text()).length > 400, path);
    }
  });

  test('is where the bare address leads', async () => {
    const response = await api.fetch('/', { redirect: 'manual' });
    assert.deepEqual([response.status, response.headers.get('location')], [302, '/graphiql']);
  });

  for (const [accepted, encoding] of [
    ['gzip, br', 'gzip'],
    ['identity', null],
    ['gzip;q=0', null],
    ['br, gzip;q=0.5', 'gzip'],
  ] as const) {
    test(`is ${encoding ?? 'plain'} for a client that accepts ${accepted}`, async () => {
      const page = await api.fetch('/graphiql', { headers: { 'accept-encoding': accepted } });
      assert.equal(page.headers.get('content-encoding'), encoding);
      assert.match(await page.text(), /<form id="sign-in">/);
    });
  }
});
