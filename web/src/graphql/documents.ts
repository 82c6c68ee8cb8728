/**
 * Documents, read once: parsed, measured and validated, then kept by their text in a bounded map, refused ones too.
 */
import type { Actor } from '@careflex/core/platform/scope';
import {
  type DocumentNode,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { fault, toBadInput } from './faults.ts';
import { ANONYMOUS_TOKENS, checkShape, LIMITS, tooComplex } from './limits.ts';

export interface Operation {
  readonly document: DocumentNode;
  readonly definition: OperationDefinitionNode;
  /** The names of its root fields. They are the schema's, so they may stand in logs and metrics. */
  readonly rootFields: readonly string[];
  /** `patient`, or `several`: a name of few values, for logs and metrics. */
  readonly label: string;
}

/** The one operation to be executed. Throws what is to be answered instead. */
export type ReadOperation = (text: string, operationName: string | null | undefined) => Operation;

const MAX_DOCUMENTS = 1_000;
/** Longer texts are not worth their memory: 1,000 of them would be 128 MB. */
const MAX_CACHED_LENGTH = 10_000;

interface Known {
  readonly document: DocumentNode;
  readonly operations: Map<string | null, Operation | Refusal>;
}

class Refusal {
  readonly errors: readonly GraphQLError[];
  constructor(errors: readonly GraphQLError[]) {
    this.errors = errors;
  }
}

/** Two of them, so that strangers' documents do not drive out those of who is signed in. */
export function createReaders(
  schema: GraphQLSchema,
  options: { introspection: boolean },
): (actor: Actor | null) => ReadOperation {
  const usual = createReader(schema, { ...options, tokens: LIMITS.tokens });
  const ofStrangers = createReader(schema, { ...options, tokens: ANONYMOUS_TOKENS });
  return (actor) => (actor === null ? ofStrangers : usual);
}

interface ReaderOptions {
  readonly introspection: boolean;
  /** The most tokens a document may have. */
  readonly tokens: number;
}

function createReader(schema: GraphQLSchema, { introspection, tokens }: ReaderOptions): ReadOperation {
  const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
  const known = new Map<string, Known | Refusal>();

  function remember(text: string, value: Known | Refusal): Known | Refusal {
    if (text.length > MAX_CACHED_LENGTH) return value;
    // The map is ordered by age of insertion; re-inserting on every hit would cost more than a rare second parse.
    if (known.size >= MAX_DOCUMENTS) known.delete(known.keys().next().value as string);
    known.set(text, value);
    return value;
  }

  return (text, operationName) => {
    const found =
      known.get(text) ??
      remember(
        text,
        orRefusal(() => read(text)),
      );
    if (found instanceof Refusal) throw new AggregateError(found.errors);
    const name = operationName ?? null;
    let operation = found.operations.get(name);
    if (operation === undefined) {
      operation = orRefusal(() => choose(found.document, name));
      // Names that do not exist are not remembered: there is no end of them.
      if (!(operation instanceof Refusal)) found.operations.set(name, operation);
    }
    if (operation instanceof Refusal) throw new AggregateError(operation.errors);
    return operation;
  };

  function read(text: string): Known {
    const document = parseWithin(text, tokens);
    for (const definition of document.definitions) {
      // Before validation, whose time grows faster than the document.
      if (definition.kind === Kind.OPERATION_DEFINITION) checkShape(document, definition);
    }
    const errors = validate(schema, document, rules, { maxErrors: 20, hideSuggestions: !introspection });
    if (errors.length > 0) throw new AggregateError(errors.map(toBadInput));
    return { document, operations: new Map() };
  }
}

function orRefusal<T>(work: () => T): T | Refusal {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof AggregateError) return new Refusal(thrown.errors as GraphQLError[]);
    if (thrown instanceof GraphQLError) return new Refusal([toBadInput(thrown)]);
    throw thrown;
  }
}

function parseWithin(text: string, tokens: number): DocumentNode {
  try {
    return parse(text, { maxTokens: tokens });
  } catch (thrown) {
    if (thrown instanceof GraphQLError && thrown.message.includes(`${tokens} tokens`)) {
      throw tooComplex('tokens', tokens);
    }
    throw thrown;
  }
}

function choose(document: DocumentNode, name: string | null): Operation {
  const definition = getOperationAST(document, name);
  if (!definition) {
    const message = name === null ? 'Name one of the operations' : 'The document has no operation of this name';
    throw fault('BAD_USER_INPUT', message);
  }
  const rootFields = rootFieldsOf(document, definition);
  return { document, definition, rootFields, label: rootFields.length === 1 ? (rootFields[0] as string) : 'several' };
}

function rootFieldsOf(document: DocumentNode, operation: OperationDefinitionNode): string[] {
  const names: string[] = [];
  const collect = ({ selections }: OperationDefinitionNode['selectionSet']): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) names.push(selection.name.value);
      else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet);
      else {
        for (const definition of document.definitions) {
          if (definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === selection.name.value) {
            collect(definition.selectionSet);
          }
        }
      }
    }
  };
  collect(operation.selectionSet);
  return names;
}
