import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { buildSchema, type GraphQLSchema, isIntrospectionType, isObjectType } from 'graphql';
import { printedSchema, SCHEMA_FILE } from '../src/graphql/print.ts';
import { schema } from '../src/graphql/schema.ts';

describe('the schema', () => {
  test('is the one in schema.graphql; run `node web/src/graphql/print.ts` after a change', () => {
    assert.equal(readFileSync(SCHEMA_FILE, 'utf8'), printedSchema());
  });

  test('states who may use every type and every root field', () => {
    assert.deepEqual(withoutPermission(schema), []);
  });

  test('would be found out without a permission', () => {
    const leaky = buildSchema('type Query { leak: Leak } type Leak { secret: String }');
    assert.deepEqual(withoutPermission(leaky), ['Leak', 'Query.leak']);
  });

  test('takes an idempotency key for every change but those of signing in, of being there, and of asking the payer', () => {
    const without = Object.values(schema.getMutationType()?.getFields() ?? {})
      .filter(({ args }) => !args.some(({ name }) => name === 'idempotencyKey'))
      .map(({ name }) => name);
    const session = ['login', 'logout', 'refreshToken', 'requestVerification', 'register', 'changePassword'];
    assert.deepEqual(without.toSorted(), [...session, 'syncBenefits', 'trackAgent'].toSorted());
  });
});

/** Names of object types and root fields that say nothing of who may use them. */
function withoutPermission(schema: GraphQLSchema): string[] {
  const roots = new Set<unknown>([schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]);
  const missing: string[] = [];
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || isIntrospectionType(type)) continue;
    if (!roots.has(type)) {
      if (!statesPermission(type)) missing.push(type.name);
      continue;
    }
    for (const field of Object.values(type.getFields())) {
      if (!statesPermission(field)) missing.push(`${type.name}.${field.name}`);
    }
  }
  return missing.toSorted();
}

function statesPermission({ extensions }: { extensions: object }): boolean {
  const { pothosOptions } = extensions as { pothosOptions?: { authScopes?: object } };
  return Object.values(pothosOptions?.authScopes ?? {}).includes(true);
}
