/**
 * The schema builder. Nothing is open unless a type or root field says to whom: a type's permission holds on every
 * path that leads to it, and is checked once per object rather than once per leaf.
 */
import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import { Forbidden, Unauthenticated } from '@careflex/core/platform/errors';
import { isUuid } from '@careflex/core/platform/input';
import { type GraphQLResolveInfo, getArgumentValues, getNamedType, GraphQLObjectType } from 'graphql';
import type { Context } from './context.ts';
import { audiencesOf, type Audiences } from './permissions.ts';
import type { Scalars } from './scalars.ts';

const PUBLIC = { public: true } as const;

export const builder = new SchemaBuilder<{
  Context: Context;
  Scalars: Scalars;
  AuthScopes: Audiences;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
}>({
  plugins: [ScopeAuthPlugin, ErrorsPlugin, RelayPlugin, DataloaderPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authScopes: ({ actor }) => audiencesOf(actor),
    runScopesOnType: true,
    authorizeOnSubscribe: true,
    unauthorizedError: (_parent, context, info) => refusal(context, info),
  },
  errors: {
    directResult: true,
    defaultTypes: [],
    defaultUnionOptions: { name: ({ fieldName }) => `${capitalised(fieldName)}Result` },
  },
  relay: {
    edgesFieldOptions: { nullable: { list: false, items: false }, complexity: { field: 0, multiplier: 1 } },
    nodeFieldOptions: { nullable: false },
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    pageInfoTypeOptions: { authScopes: PUBLIC },
  },
  complexity: { defaultComplexity: 1, defaultListMultiplier: 10 },
});

builder.queryType({ description: 'Every list is a Relay connection, in a stable order.' });
builder.mutationType({
  description:
    'Every mutation answers with a union of its result and the problems it can have: ask for `... on Problem { code message }`.',
});
builder.subscriptionType({});

/** Remembers the attempt for the audit trail and says why it is refused. */
function refusal(context: Context, info: GraphQLResolveInfo): Error {
  if (context.actor === null) return new Unauthenticated();
  const field = info.parentType.getFields()[info.fieldName];
  const id = field && info.fieldNodes[0] ? argumentId(info) : null;
  const type = getNamedType(info.returnType);
  const resourceType = type instanceof GraphQLObjectType ? type.name.replace(/Connection$/, '') : info.parentType.name;
  context.denials.push({ field: info.fieldName, resourceType, resourceId: id });
  return new Forbidden(`use ${info.parentType.name}.${info.fieldName}`);
}

function argumentId(info: GraphQLResolveInfo): string | null {
  const [field, node] = [info.parentType.getFields()[info.fieldName], info.fieldNodes[0]];
  if (!field || !node) return null;
  const { id } = getArgumentValues(field, node, info.variableValues);
  return typeof id === 'string' && isUuid(id) ? id : null;
}

const capitalised = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);
