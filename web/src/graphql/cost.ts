/** What an operation costs, by the schema's `complexity` of each field, against the budget of who asks. */
import type { Actor, Role } from '@careflex/core/platform/scope';
import { complexityFromQuery } from '@pothos/plugin-complexity';
import { type DocumentNode, type GraphQLSchema, Kind, type VariableDefinitionNode } from 'graphql';
import type { Operation } from './documents.ts';
import { tooComplex } from './limits.ts';

/** Points per operation. A page of 50 patients with every field costs about 1,000. */
export const BUDGETS: Record<Role | 'anonymous', number> = {
  anonymous: 500,
  patient: 2_000,
  agent: 10_000,
  admin: 20_000,
  auditor: 10_000,
  system: 0,
};

export type CheckCost = (operation: Operation, variables: Variables, actor: Actor | null) => void;
type Variables = Readonly<Record<string, unknown>> | null | undefined;

/** Throws when an operation, whose variables must fit, costs more than its actor's budget. */
export function createCostCheck(schema: GraphQLSchema): CheckCost {
  // Only the size of a page makes a cost depend on variables, so that one number per operation usually serves.
  const fixed = new WeakMap<Operation, number>();

  function costOf(operation: Operation, variables: Variables): number {
    const document = alone(operation);
    if (document === null) return 0;
    const cost = complexityFromQuery(document, { schema, ctx: {}, variables: { ...variables } }).complexity;
    if (!operation.definition.variableDefinitions?.some(isNumber)) fixed.set(operation, cost);
    return cost;
  }

  return (operation, variables, actor) => {
    const cost = fixed.get(operation) ?? costOf(operation, variables);
    const budget = BUDGETS[actor?.role ?? 'anonymous'];
    if (cost > budget) throw tooComplex('cost', budget, cost);
  };
}

/**
 * The document with this operation only, and without introspection, which validation bounds: ten of each of its
 * lists would make the usual query cost millions.
 */
function alone({ document, definition }: Operation): DocumentNode | null {
  const selections = definition.selectionSet.selections.filter(
    (selection) => selection.kind !== Kind.FIELD || !selection.name.value.startsWith('__'),
  );
  if (selections.length === 0) return null;
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  const operation = { ...definition, selectionSet: { ...definition.selectionSet, selections } };
  return { ...document, definitions: [operation, ...fragments] };
}

function isNumber({ type }: VariableDefinitionNode): boolean {
  const named = type.kind === Kind.NON_NULL_TYPE ? type.type : type;
  return named.kind !== Kind.NAMED_TYPE || named.name.value === 'Int';
}
