/**
 * The one way in which an operation is carried out, whether it came by HTTP, as a stream or through a socket:
 * read · limit · execute · record refusals · mask. HTTP and sockets only carry it to and fro.
 */
import * as audit from '@careflex/core/audit';
import { Reading } from '@careflex/core/platform/reading';
import { transact } from '@careflex/core/platform/scope';
import {
  createSourceEventStream,
  executeRootSelectionSet,
  executeSubscriptionEvent,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  mapSourceToResponseEvent,
  OperationTypeNode,
  validateExecutionArgs,
  type ValidatedExecutionArgs,
  type ValidatedSubscriptionArgs,
} from 'graphql';
import { type Context, createContext, type Services } from './context.ts';
import { createCostCheck } from './cost.ts';
import { createReaders, type Operation } from './documents.ts';
import { fault, mask, type Masking, toBadInput } from './faults.ts';
import { type Executed, toSubscriber } from './shared-executions.ts';

export interface OperationRequest {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly operationName?: string | null | undefined;
}

export type OperationResult = ExecutionResult | AsyncGenerator<ExecutionResult, void, void>;

export interface Asked {
  readonly actor: Context['actor'];
  readonly origin: Context['origin'];
  /** False for GET, which must change nothing. */
  readonly mayMutate: boolean;
  /** Told once the operation is known, before it runs: counts it, and refuses it by throwing. */
  readonly onOperation: (operation: Operation) => void | Promise<void>;
}

export type Operate = (request: OperationRequest, asked: Asked) => Promise<OperationResult>;

/** An operation about to run. */
interface Run {
  readonly operation: Operation;
  readonly args: ValidatedExecutionArgs;
  readonly asked: Asked;
  readonly request: OperationRequest;
  readonly masking: Masking;
}

export function createOperate(services: Services, schema: GraphQLSchema, options: { introspection: boolean }): Operate {
  const readerFor = createReaders(schema, options);
  const checkCost = createCostCheck(schema);
  const { log } = services.app;

  return async (request, asked) => {
    let label = 'unknown';
    try {
      const operation = readerFor(asked.actor)(request.query, nameOf(request));
      label = operation.label;
      if (!asked.mayMutate) refuseChange(operation);
      await asked.onOperation(operation);
      const args = validateArguments(operation, request, asked);
      checkCost(operation, request.variables, asked.actor);
      const run = { operation, args, asked, request, masking: { requestId: asked.origin.id, log, operation: label } };
      return operation.definition.operation === OperationTypeNode.SUBSCRIPTION ? await stream(run) : await once(run);
    } catch (thrown) {
      const masking = { requestId: asked.origin.id, log, operation: label };
      const errors = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : [thrown];
      return { errors: errors.map((error) => whole(mask(error, masking))) };
    }
  };

  function validateArguments(operation: Operation, request: OperationRequest, asked: Asked): ValidatedExecutionArgs {
    const args = validateExecutionArgs({
      schema,
      document: operation.document,
      operationName: request.operationName ?? null,
      variableValues: request.variables ?? {},
      contextValue: createContext(services, isQuery(operation) ? { ...asked, reads: new Reading() } : asked),
      hideSuggestions: !options.introspection,
    });
    if (!('schema' in args)) throw new AggregateError(args.map(toBadInput));
    return args;
  }

  async function stream({ args, asked, masking, request }: Run): Promise<OperationResult> {
    const context = args.contextValue as Context;
    const source = await createSourceEventStream(args as ValidatedSubscriptionArgs);
    if (!(Symbol.asyncIterator in source)) return settle(source, context, masking);
    const subscriber = toSubscriber(request, asked.actor, asked.origin);

    // Each event is answered as of its own time, and with the rights its reader has then.
    async function execute(args: ValidatedSubscriptionArgs): Promise<Executed> {
      const reads: audit.Entry[] = [];
      const onRecord = (entry: object) => void reads.push(entry as audit.Entry);
      const contextValue = createContext(services, { ...asked, onRecord });
      const result = await settle(await executeSubscriptionEvent({ ...args, contextValue }), contextValue, masking);
      return { result, reads };
    }
    const results = mapSourceToResponseEvent(args as ValidatedSubscriptionArgs, source, async (args) => {
      try {
        const { rootValue: event } = args;
        if (typeof event !== 'object' || event === null) return (await execute(args)).result;
        return await services.shared.resultOf(event, subscriber, () => execute(args));
      } catch (thrown) {
        return { errors: [mask(thrown, masking)] };
      }
    });
    return untilFault(results);
  }
}

/** What has been read is committed, with its audit entries, or there is no result. */
async function once({ args, masking }: Run): Promise<ExecutionResult> {
  const context = args.contextValue as Context;
  try {
    return await settle(await executeRootSelectionSet(args), context, masking);
  } finally {
    await context.reads?.end();
  }
}

type Results = AsyncGenerator<ExecutionResult, void, void>;

/** Events that could not be answered: whoever goes on behind one would never know. */
const FAULTS = new Set(['INTERNAL', 'UNAUTHENTICATED']);

/** Ends after the first event that could not be answered; the subscriber comes back and asks for it again. */
function untilFault(results: Results): Results {
  let failed = false;
  return {
    ...results,
    async next() {
      if (failed) return results.return();
      const answer = await results.next();
      failed =
        !answer.done && (answer.value.errors ?? []).some(({ extensions }) => FAULTS.has(String(extensions['code'])));
      return answer;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

const isQuery = ({ definition }: Operation): boolean => definition.operation === OperationTypeNode.QUERY;

function nameOf({ operationName }: OperationRequest): string | null {
  const name: unknown = operationName ?? null;
  if (name === null || typeof name === 'string') return name;
  throw fault('BAD_USER_INPUT', 'The operation name must be a string', { http: { status: 400, spec: false } });
}

function refuseChange({ definition }: Operation): void {
  if (definition.operation === OperationTypeNode.QUERY) return;
  const http = { status: 405, spec: false, headers: { Allow: 'POST' } };
  if (definition.operation === OperationTypeNode.MUTATION) {
    throw fault('BAD_USER_INPUT', 'A mutation must be sent by POST', { http });
  }
}

/** The result as it is answered: refusals are in the audit trail first, or there is no result. */
async function settle(result: ExecutionResult, context: Context, masking: Masking): Promise<ExecutionResult> {
  if (context.denials.length > 0) await recordDenials(context);
  if (!result.errors) return result;
  return { ...result, errors: result.errors.map((error) => mask(error, masking)) };
}

async function recordDenials({ denials, scope }: Context): Promise<void> {
  const seen = new Set<string>();
  await transact(scope, async (scope) => {
    for (const { field, resourceType, resourceId } of denials.splice(0)) {
      // One attempt under fifty aliases is one attempt.
      const key = `${field} ${resourceId}`;
      if (seen.has(key)) continue;
      seen.add(key);
      await audit.record(scope, { action: `api.${field}`, resourceType, resourceId, outcome: 'DENIED' });
    }
  });
}

/** The error of an operation that did not run at all: its HTTP status tells so. */
function whole(error: GraphQLError): GraphQLError {
  const { code, http } = error.extensions as { code: string; http?: object };
  return new GraphQLError(error.message, {
    nodes: error.nodes,
    source: error.source,
    positions: error.positions,
    extensions: { ...error.extensions, http: { status: STATUS[code] ?? 500, spec: true, ...http } },
  });
}

const STATUS: Readonly<Record<string, number>> = {
  BAD_USER_INPUT: 400,
  TOO_COMPLEX: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
};
