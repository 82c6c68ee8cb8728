import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { useApi } from './support/api.ts';

const api = useApi();
const audits = serverAudits({ url: () => `${api.url}/graphql` });

describe('GraphQL over HTTP', () => {
  test('has 61 audits', () => assert.equal(audits.length, 61));

  for (const audit of audits) {
    test(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();
      assert.equal(result.status, 'ok', 'reason' in result ? result.reason : 'ok');
    });
  }
});
