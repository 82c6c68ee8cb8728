/**
 * GraphQL over HTTP and as server-sent events. Yoga speaks the protocol: media types, status codes, streams. Reading
 * the request and carrying out the operation are ours, and so is the plain case, which is nearly all there is: JSON by
 * POST that is answered in JSON and without an error. Yoga's `Request` and `Response` would cost it more than its
 * execution does.
 */
import { createYoga, type GraphQLParams } from 'graphql-yoga';
import { GraphQLError } from 'graphql';
import { BodyError, readJson } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { fault, mask, type Masking } from './faults.ts';
import type { OperationRequest, OperationResult } from './operations.ts';

/** How far a request came before it turned out not to be a plain one. */
interface Begun {
  readonly params?: Promise<unknown>;
  readonly result?: Promise<OperationResult>;
}

interface ServerContext extends Begun {
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
          const { exchange, params } = serverContext as unknown as ServerContext;
          setRequestParser(async () => {
            try {
              if (request.method === 'GET') return fromUrl(request.url);
              return (await (params ?? readJson(exchange, bodyTimeoutMs))) as GraphQLParams;
            } catch (thrown) {
              throw mask(thrown, { requestId: exchange.origin.id, log, operation: 'unread' });
            }
          });
        },
        onParams({ setParamsHandler }) {
          setParamsHandler(({ params, context }) => {
            const { exchange, result } = context as unknown as ServerContext;
            return (result ?? operate(params as OperationRequest, exchange)) as never;
          });
        },
      },
    ],
  });

  /** Null when the request has been answered. */
  async function answerPlainly(exchange: Exchange, mediaType: string): Promise<Begun | null> {
    const params = readJson(exchange, bodyTimeoutMs);
    const request = await params.catch(() => undefined);
    if (!isPlainRequest(request)) return { params };
    const result = operate(request, exchange);
    const settled = await result.catch(() => undefined);
    if (settled === undefined || 'next' in settled || settled.errors) return { params, result };
    const body = JSON.stringify(settled);
    const headers = { 'Content-Type': `${mediaType}; charset=utf-8`, 'Content-Length': Buffer.byteLength(body) };
    exchange.response.writeHead(200, headers).end(body);
    return null;
  }

  return async (exchange) => {
    const mediaType = plainMediaType(exchange);
    const begun = mediaType === undefined ? {} : await answerPlainly(exchange, mediaType);
    if (begun !== null) await yoga(exchange.request, exchange.response, { exchange, ...begun });
  };
}

/** The media type of a plain answer to POST, or undefined where finding it is yoga's business. */
function plainMediaType({ request, route }: Exchange): string | undefined {
  if (request.method !== 'POST' || request.url !== route) return undefined;
  const { accept = '*/*' } = request.headers;
  return accept === '*/*' ? 'application/json' : FIRST_ACCEPTED.exec(accept)?.[1];
}

const FIRST_ACCEPTED = /^(application\/(?:graphql-response\+)?json)\s*(?:,|$)/;
const PLAIN_PARAMETERS = new Set(['query', 'variables', 'operationName']);

function isPlainRequest(params: unknown): params is OperationRequest {
  if (!isObject(params) || typeof params['query'] !== 'string') return false;
  const { variables = null } = params;
  return (variables === null || isObject(variables)) && Object.keys(params).every((name) => PLAIN_PARAMETERS.has(name));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
