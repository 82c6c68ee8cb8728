import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getIntrospectionQuery } from 'graphql';
import { useApi } from './support/api.ts';

const api = useApi();

const times = (count: number, make: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i)).join(' ');

async function refusal(query: string) {
  const { status, body } = await api.graphql(query, {}, { as: 'agent' });
  assert.equal(status, 400);
  assert.equal(body.data, undefined);
  return body.errors?.[0];
}

describe('an operation over a limit is refused before it runs', () => {
  test('by aliases, and says the budget and the cost', async () => {
    const error = await refusal(`{ ${times(51, (i) => `a${i}: __typename`)} }`);
    assert.equal(error?.message, 'An operation may have at most 50 aliases, __typename included; this one has 51');
    assert.deepEqual(error?.extensions['code'], 'TOO_COMPLEX');
    assert.deepEqual(
      [error?.extensions['limit'], error?.extensions['budget'], error?.extensions['cost']],
      ['aliases', 50, 51],
    );
  });

  test('by __typename without an alias', async () => {
    const error = await refusal(`{ me { ${times(51, () => '__typename')} } }`);
    assert.equal(error?.extensions['limit'], 'aliases');
  });

  test('by depth', async () => {
    const nested = '{ __schema { types { ' + 'ofType { '.repeat(15) + 'name' + ' }'.repeat(15) + ' } } }';
    assert.equal((await refusal(nested))?.extensions['limit'], 'depth');
  });

  test('by depth that hides in fragments', async () => {
    const fragments = times(20, (i) => `fragment F${i} on __Type { ofType { ...F${i + 1} } }`);
    const error = await refusal(`{ __schema { types { ...F0 } } } ${fragments} fragment F20 on __Type { name }`);
    assert.equal(error?.extensions['limit'], 'depth');
  });

  test('by fragments that double each other', async () => {
    const fragments = times(25, (i) => `fragment F${i} on Viewer { ...F${i + 1} ...F${i + 1} }`);
    const error = await refusal(`{ me { ...F0 } } ${fragments} fragment F25 on Viewer { id }`);
    assert.deepEqual([error?.extensions['limit'], error?.extensions['cost']], ['fields', 2 ** 25 + 1]);
  });

  test('by fragments in a circle', async () => {
    const error = await refusal('{ me { ...A } } fragment A on Viewer { ...B } fragment B on Viewer { ...A }');
    assert.deepEqual([error?.message, error?.extensions['code']], ['The fragments form a circle', 'BAD_USER_INPUT']);
  });

  test('by directives', async () => {
    const error = await refusal(`{ __typename ${times(31, () => '@include(if: true)')} }`);
    assert.equal(error?.extensions['limit'], 'directives');
  });

  test('by root fields, in fragments too', async () => {
    const error = await refusal(`{ ...A ...A ...A } fragment A on Query { ${times(7, (i) => `a${i}: me { id }`)} }`);
    assert.equal(error?.extensions['limit'], 'rootFields');
  });

  test('by tokens', async () => {
    const error = await refusal(`{ ${'me { id } '.repeat(600)} }`);
    assert.deepEqual([error?.extensions['limit'], error?.extensions['budget']], ['tokens', 2_000]);
  });

  test('by fewer tokens where nobody is signed in, even if another has asked the same', async () => {
    const chain = times(60, (i) => `fragment F${i} on Viewer { ...F${i + 1} }`);
    const query = `{ me { ...F0 } } ${chain} fragment F60 on Viewer { id }`;
    assert.equal((await api.graphql(query, {}, { as: 'agent' })).body.errors, undefined);
    const { status, body } = await api.graphql(query);
    const { code, limit, budget } = body.errors?.[0]?.extensions ?? {};
    assert.deepEqual([status, code, limit, budget], [400, 'TOO_COMPLEX', 'tokens', 300]);
  });

  test('in any operation of its document', async () => {
    const bomb = `query B { ${times(51, (i) => `a${i}: __typename`)} }`;
    const { body } = await api.graphql(`query A { me { id } } ${bomb}`, {}, { operationName: 'A' });
    assert.equal(body.errors?.[0]?.extensions['limit'], 'aliases');
  });

  test('by cost, each role by its own budget', async () => {
    const fields = 'id firstName lastName email phone dateOfBirth timeZone language status version createdAt updatedAt';
    const query = `query($first: Int) { ${times(8, (i) => `p${i}: patients(first: $first) { edges { node { ${fields} } } }`)} }`;
    const codeFor = async (as: 'agent' | 'admin', first: number) =>
      (await api.graphql(query, { first }, { as })).body.errors?.[0]?.extensions['code'];
    assert.equal(await codeFor('agent', 50), undefined);
    assert.equal(await codeFor('agent', 100), 'TOO_COMPLEX');
    assert.equal(await codeFor('admin', 100), undefined);
  });

  test('however large the page that it asks for', async () => {
    const { body } = await api.graphql(
      'query($n: Int) { patients(first: $n) { edges { cursor } } }',
      { n: 2_000_000_000 },
      { as: 'admin' },
    );
    assert.equal(body.errors?.[0]?.extensions['code'], 'TOO_COMPLEX');
  });

  test('several at once are not served at all', async () => {
    const response = await api.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([{ query: '{ __typename }' }, { query: '{ __typename }' }]),
    });
    assert.equal(response.status, 400);
  });
});

describe('what is usual fits', () => {
  test('the introspection query of the usual tools', async () => {
    const { status, body } = await api.graphql(getIntrospectionQuery());
    assert.deepEqual([status, body.errors], [200, undefined]);
  });

  test('a page of a hundred patients with every field', async () => {
    const { body } = await api.graphql(
      `{ patients(first: 100) { pageInfo { hasNextPage endCursor } edges { cursor node { __typename id externalId firstName
        lastName email phone dateOfBirth timeZone language status version createdAt updatedAt deletedAt
        preferences { channels quietHours { from to } } } } } }`,
      {},
      { as: 'agent' },
    );
    assert.equal(body.errors, undefined);
  });
});
