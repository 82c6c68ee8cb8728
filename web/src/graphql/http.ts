/**
 * GraphQL over HTTP and as server-sent events. Yoga speaks the protocol: media types, status codes, streams. Reading
 * the request and carrying out the operation are ours.
 */
import { createYoga, type GraphQLParams } from 'graphql-yoga';
import { GraphQLError } from 'graphql';
import { BodyError, readJson } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { fault, mask, type Masking } from './faults.ts';
import type { OperationRequest, OperationResult } from './operations.ts';

interface ServerContext {
  readonly exchange: Exchange;
}

export interface GraphqlHttpOptions {
  readonly bodyTimeoutMs: number;
  readonly log: Masking['log'];
  /** Carries the operation out. What it throws is answered as the whole operation's error. */
  readonly operate: (request: OperationRequest, exchange: Exchange) => Promise<OperationResult>;
}

export type GraphqlHttp = (exchange: Exchange) => Promise<void>;

export function createGraphqlHttp({ bodyTimeoutMs, log, operate }: GraphqlHttpOptions): GraphqlHttp {
  const yoga = createYoga<ServerContext>({
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    batching: false,
    logging: false,
    parserAndValidationCache: false,
    // Our parser counts the bytes as they come.
    maxRequestBodySize: false,
    maskedErrors: { maskError: toRequestError },
    plugins: [
      {
        onRequestParse({ request, serverContext, setRequestParser }) {
          const { exchange } = serverContext as unknown as ServerContext;
          setRequestParser(async () => {
            try {
              const read = request.method === 'GET' ? fromUrl(request.url) : readJson(exchange, bodyTimeoutMs);
              return (await read) as GraphQLParams;
            } catch (thrown) {
              throw mask(thrown, { requestId: exchange.origin.id, log, operation: 'unread' });
            }
          });
        },
        onParams({ setParamsHandler }) {
          setParamsHandler(({ params, context }) => {
            const { exchange } = context as unknown as ServerContext;
            return operate(params as OperationRequest, exchange) as never;
          });
        },
      },
    ],
  });

  return async (exchange) => {
    await yoga(exchange.request, exchange.response, { exchange });
  };
}

/** GET sends its parameters in the URL: the variables as JSON. */
function fromUrl(url: string): GraphQLParams {
  const parameters = new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?') + 1) : '');
  const json = (name: string): unknown => {
    const text = parameters.get(name);
    try {
      return text === null || text === '' ? undefined : JSON.parse(text);
    } catch {
      throw new BodyError(400, `The parameter ${name} is not JSON`);
    }
  };
  return {
    query: parameters.get('query') ?? undefined,
    operationName: parameters.get('operationName') ?? undefined,
    variables: json('variables') as Record<string, unknown> | undefined,
    extensions: json('extensions') as Record<string, unknown> | undefined,
  } as GraphQLParams;
}

const OUR_CODES = new Set([
  'BAD_USER_INPUT',
  'RATE_LIMITED',
  'TOO_COMPLEX',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'INTERNAL',
]);

/** Yoga's own refusals of malformed requests, under our code. */
function toRequestError(thrown: unknown): Error {
  if (!(thrown instanceof GraphQLError)) return fault('INTERNAL', 'Something went wrong');
  if (OUR_CODES.has(thrown.extensions['code'] as string)) return thrown;
  return fault('BAD_USER_INPUT', thrown.message, { http: (thrown.extensions['http'] as never) ?? { status: 400 } });
}
