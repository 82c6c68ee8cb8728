/**
 * GraphQL over WebSocket (graphql-transport-ws). A socket signs in with its first message or with the browser's
 * cookie; with a cookie it must come from our own origin, which no other site can claim.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { DomainError } from '@careflex/core/platform/errors';
import type { Log } from '@careflex/core/platform/log';
import type { Actor, Origin } from '@careflex/core/platform/scope';
import {
  type DocumentNode,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  parse,
} from 'graphql';
import {
  CloseCode,
  type Context as SocketContext,
  type ExecutionResult,
  handleProtocols,
  type ServerOptions,
} from 'graphql-ws';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { network } from './address.ts';
import { MAX_BODY_BYTES } from './body.ts';
import type { OperationRequest, OperationResult } from './graphql/operations.ts';
import { pathOf } from './exchange.ts';
import type { Ending, LiveConnections } from './live.ts';

export interface SocketOptions {
  readonly schema: GraphQLSchema;
  readonly log: Log;
  readonly live: LiveConnections;
  /** How many sockets one address may have open. */
  readonly perAddress: number;
  /** A socket without a sign-in is closed when it has asked for nothing for so long, or for twice that at most. */
  readonly strangerIdleMs: number;
  readonly origin: (request: IncomingMessage) => Origin;
  /** Whether the browser's page at this origin is ours. */
  readonly isOwnOrigin: (request: IncomingMessage) => boolean;
  /** `authorization` is what the first message carries; without one the request's cookie counts. */
  readonly authenticate: (
    request: IncomingMessage,
    origin: Origin,
    authorization: string | undefined,
  ) => Promise<Actor | null>;
  readonly operate: (request: OperationRequest, actor: Actor | null, origin: Origin) => Promise<OperationResult>;
}

export interface Sockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

const SESSION_ENDED = { code: CloseCode.Unauthorized, reason: 'The session has ended' };
const IDLE = { code: 1000, reason: 'Nothing was asked for' };
const GOING_AWAY = { code: 1001, reason: 'The server is going away' };
const SIGN_IN_WITHIN_MS = 5_000;
const MAX_OPERATIONS = 100;
/** A client that leaves one unanswered until the next is closed. */
const PING_EVERY_MS = 5_000;

/** What a socket knows of itself, beside what the library gives it. */
interface State extends Extra {
  actor?: Actor | null;
  forget?: () => void;
  /** Whether something was asked for since the last look. */
  isUsed?: boolean;
  idle?: NodeJS.Timeout;
  /** Resolves when every subscription that was asked for so far has begun, or was refused. */
  begun?: Promise<unknown>;
}
type FirstMessage = Readonly<Record<string, unknown>>;
type Socket = SocketContext<FirstMessage, State>;

export function createSockets(options: SocketOptions): Sockets {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_BODY_BYTES, handleProtocols });
  // In production mode the reason of a close never quotes an error.
  const handlersInProduction = { ...handlers(options), isProd: true } as Parameters<typeof useServer>[0];
  const places = createPlaces(options.perAddress);
  const handling = useServer(handlersInProduction, server, PING_EVERY_MS);

  return {
    upgrade(request, socket, head) {
      if (pathOf(request) !== '/graphql') return refuse(socket, '404 Not Found');
      if (!places.take(options.origin(request).ip, socket)) return refuse(socket, '429 Too Many Requests');
      server.handleUpgrade(request, socket, head, (opened) => server.emit('connection', opened, request));
    },
    async close() {
      for (const client of server.clients) client.close(GOING_AWAY.code, GOING_AWAY.reason);
      await handling.dispose();
    },
  };
}

/** Counts open sockets by address. */
function createPlaces(perAddress: number) {
  const taken = new Map<string, number>();
  return {
    take(address: string | null, socket: Duplex): boolean {
      const key = network(address);
      const count = taken.get(key) ?? 0;
      if (count >= perAddress) return false;
      taken.set(key, count + 1);
      socket.once('close', () => {
        const left = (taken.get(key) ?? 1) - 1;
        if (left === 0) taken.delete(key);
        else taken.set(key, left);
      });
      return true;
    },
  };
}

function refuse(socket: Duplex, status: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** The library carries an execution's arguments from `onSubscribe` to `execute`; ours are a result already. */
const CARRIER: DocumentNode = parse('{ __typename }');

function handlers(options: SocketOptions): ServerOptions<FirstMessage, State> {
  return {
    connectionInitWaitTimeout: SIGN_IN_WITHIN_MS,
    onConnect: (socket) => signIn(socket, options),
    onClose({ extra }) {
      clearInterval(extra.idle);
      extra.forget?.();
    },
    async onSubscribe({ extra, subscriptions }, _id, { query, variables, operationName }) {
      extra.isUsed = true;
      if (Object.keys(subscriptions).length > MAX_OPERATIONS) return [TOO_MANY];
      const origin = { ...options.origin(extra.request), id: randomUUIDv7() };
      const request = { query, variables, operationName };
      const result = await inOrder(extra, query, () => options.operate(request, extra.actor ?? null, origin));
      if ('errors' in result && result.errors && result.data === undefined) return result.errors;
      return { schema: options.schema, document: CARRIER, contextValue: result };
    },
    execute: ({ contextValue }) => contextValue as OperationResult,
    // The last argument of the library's five, and of its four.
    onNext: (...it) => resultForSocket(it[4]),
    onError: (...it) => it[3].map(forSocket),
  };
}

/**
 * What a client asks behind a subscription is answered once that has begun: whoever subscribes and then loads a screen
 * misses nothing in between.
 */
async function inOrder<T>(state: State, query: string, operate: () => Promise<T>): Promise<T> {
  const result = Promise.resolve(state.begun).then(operate);
  // The word elsewhere in a document costs no more than a wait.
  if (query.includes('subscription')) state.begun = result.catch(() => undefined);
  return result;
}

const TOO_MANY = new GraphQLError(`A socket may have at most ${MAX_OPERATIONS} operations at a time`, {
  extensions: { code: 'RATE_LIMITED' },
});

/** Status and headers mean something to HTTP only. */
function forSocket(error: GraphQLError): GraphQLFormattedError {
  const { http: _http, ...extensions } = error.extensions;
  return { ...error.toJSON(), extensions };
}

function resultForSocket({ errors, ...result }: ExecutionResult): FormattedExecutionResult {
  return { ...result, ...(errors ? { errors: errors.map(forSocket) } : {}) } as FormattedExecutionResult;
}

/** False closes the socket with 4403, as far as it is not closed already. */
async function signIn(socket: Socket, options: SocketOptions): Promise<boolean> {
  const { extra, connectionParams } = socket;
  const given = connectionParams?.['authorization'] ?? connectionParams?.['Authorization'];
  const authorization = typeof given === 'string' ? given : undefined;
  if (authorization === undefined && !options.isOwnOrigin(extra.request)) return false;
  try {
    extra.actor = await options.authenticate(extra.request, options.origin(extra.request), authorization);
  } catch (thrown) {
    const [code, reason] = endOf(thrown, options.log);
    extra.socket.close(code, reason);
    return false;
  }
  watch(socket, extra.actor, options);
  return true;
}

/** Closes the socket when its session ends, or its use where nobody is signed in. */
function watch(socket: Socket, actor: Actor | null, { live, strangerIdleMs }: SocketOptions): void {
  const { extra } = socket;
  if (actor === null) extra.idle = closeWhenIdle(socket, strangerIdleMs);
  const end = (ending: Ending) => {
    const { code, reason } = ending === 'session-ended' ? SESSION_ENDED : GOING_AWAY;
    extra.socket.close(code, reason);
  };
  extra.forget = live.add({ sessionId: actor?.sessionId ?? null, end, isPinged: true });
}

function closeWhenIdle({ extra, subscriptions }: Socket, everyMs: number): NodeJS.Timeout {
  return setInterval(() => {
    if (!extra.isUsed && Object.keys(subscriptions).length === 0) extra.socket.close(IDLE.code, IDLE.reason);
    extra.isUsed = false;
  }, everyMs).unref();
}

const INTERNAL_ERROR = 1011;

function endOf(thrown: unknown, log: Log): [code: number, reason: string] {
  if (thrown instanceof DomainError) return [CloseCode.Unauthorized, thrown.message];
  log.error('Signing in a socket failed', { error: thrown });
  return [INTERNAL_ERROR, 'Something went wrong'];
}
