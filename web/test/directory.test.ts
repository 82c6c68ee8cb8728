import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as scheduling from '@careflex/core/scheduling';
import { testScope } from '@careflex/core/testing';
import { SYSTEM } from '@careflex/core/platform/scope';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();
const PROVIDERS = `query($service: CareServiceType, $first: Int, $after: String, $search: String) {
  providers(service: $service, first: $first, after: $after, search: $search) {
    edges { node { name services timeZone } } pageInfo { hasNextPage endCursor } } }`;

interface Providers {
  readonly edges: { readonly node: { readonly name: string; readonly services: string[] } }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
}

test('providers pages through the directory by name, for staff and patients and nobody else', async () => {
  const names = ['Ada Abel', 'Bea Brook', 'Cyd Chase'];
  await scheduling.importProviders(
    testScope({ actor: SYSTEM }),
    names.map((name, i) => ({ externalId: `99999999${i}0`, name })),
  );
  const ask = (variables: object, as: 'agent' | 'patient' | 'auditor' = 'agent') =>
    api.graphql(PROVIDERS, variables, { as });
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page: Providers = dataOf(await ask({ first: 2, after }), 'providers');
    found.push(...page.edges.map(({ node }) => node.name));
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
  } while (after !== undefined);
  assert.deepEqual(found, names);

  const one: Providers = dataOf(await ask({ search: 'bro b' }, 'patient'), 'providers');
  assert.deepEqual(
    one.edges.map(({ node }) => node.name),
    ['Bea Brook'],
  );
  const none: Providers = dataOf(await ask({ service: 'TELEHEALTH' }), 'providers');
  assert.deepEqual(none.edges, []);
  const refused = await ask({}, 'auditor');
  assert.match(JSON.stringify(refused), /FORBIDDEN/);
});
