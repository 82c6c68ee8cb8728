/**
 * Limits on an operation's shape, measured before it is validated or executed. A fragment counts as often as it
 * is used but is measured once, so a document that doubles itself twenty times is refused as fast as a short one.
 */
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';

/** The most that one operation may have. */
export const LIMITS = { tokens: 2_000, depth: 15, fields: 1_000, aliases: 50, directives: 30, rootFields: 20 };

/**
 * Of who is not signed in. Validation grows faster than the document, and they have nothing long to say: signing in
 * and the introspection of the usual tools take less than 200.
 */
export const ANONYMOUS_TOKENS = 300;

const NAMES = {
  tokens: 'tokens',
  depth: 'levels of depth',
  fields: 'fields',
  aliases: 'aliases, __typename included',
  directives: 'directives',
  rootFields: 'root fields',
  cost: 'points of cost',
};

/** The refusal of an operation: `budget` is what it may have, `cost` what it has, where that is known. */
export function tooComplex(limit: keyof typeof NAMES, budget: number, cost?: number): GraphQLError {
  const message = `An operation may have at most ${budget} ${NAMES[limit]}; this one has ${cost ?? 'more'}`;
  return new GraphQLError(message, { extensions: { code: 'TOO_COMPLEX', limit, budget, cost } });
}

/** Throws when the operation is over a limit, or when its fragments form a circle. */
export function checkShape(document: DocumentNode, operation: OperationDefinitionNode): void {
  const shape = measure(operation.selectionSet, fragmentsOf(document));
  shape.directives += operation.directives?.length ?? 0;
  for (const limit of ['depth', 'fields', 'aliases', 'directives', 'rootFields'] as const) {
    if (shape[limit] > LIMITS[limit]) throw tooComplex(limit, LIMITS[limit], shape[limit]);
  }
}

interface Shape {
  depth: number;
  fields: number;
  aliases: number;
  directives: number;
  /** Fields on the first level, through fragments. */
  rootFields: number;
}

interface Fragment {
  readonly definition: FragmentDefinitionNode;
  measured?: Shape | 'under way';
}

function fragmentsOf({ definitions }: DocumentNode): Map<string, Fragment> {
  const fragments = new Map<string, Fragment>();
  for (const definition of definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, { definition });
  }
  return fragments;
}

function measure({ selections }: SelectionSetNode, fragments: ReadonlyMap<string, Fragment>): Shape {
  const sum: Shape = { depth: 0, fields: 0, aliases: 0, directives: 0, rootFields: 0 };
  for (const selection of selections) {
    const below = measureBelow(selection, fragments);
    const isField = selection.kind === Kind.FIELD;
    sum.depth = Math.max(sum.depth, below.depth + (isField ? 1 : 0));
    sum.fields += below.fields + (isField ? 1 : 0);
    // Each `__typename` is an answer of its own, and clients repeat it without an alias.
    sum.aliases += below.aliases + (isField && (selection.alias || selection.name.value === '__typename') ? 1 : 0);
    sum.directives += below.directives + (selection.directives?.length ?? 0);
    sum.rootFields += isField ? 1 : below.rootFields;
  }
  return sum;
}

const NOTHING: Readonly<Shape> = { depth: 0, fields: 0, aliases: 0, directives: 0, rootFields: 0 };

function measureBelow(selection: SelectionNode, fragments: ReadonlyMap<string, Fragment>): Readonly<Shape> {
  if (selection.kind !== Kind.FRAGMENT_SPREAD) {
    return selection.selectionSet ? measure(selection.selectionSet, fragments) : NOTHING;
  }
  const fragment = fragments.get(selection.name.value);
  // Validation names the fragment that is missing.
  if (!fragment) return NOTHING;
  if (fragment.measured === 'under way') {
    throw new GraphQLError('The fragments form a circle', { extensions: { code: 'BAD_USER_INPUT' } });
  }
  if (!fragment.measured) {
    fragment.measured = 'under way';
    fragment.measured = measure(fragment.definition.selectionSet, fragments);
  }
  return fragment.measured;
}
