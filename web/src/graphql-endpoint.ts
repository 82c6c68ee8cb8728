/**
 * How an operation is admitted, over HTTP and through a socket: the limits of its address and principal, the strict
 * one for signing in, the rule against forged cross-site requests, and what is counted of it.
 */
import type { IncomingMessage } from 'node:http';
import type { App } from '@careflex/core/app';
import { Forbidden } from '@careflex/core/platform/errors';
import type { Actor, Origin } from '@careflex/core/platform/scope';
import type { ExecutionResult } from 'graphql';
import { type Authenticate, sessionCookie } from './authentication.ts';
import { originOf } from './exchange.ts';
import { mask } from './graphql/faults.ts';
import { createGraphqlHttp } from './graphql/http.ts';
import type { Operation } from './graphql/documents.ts';
import type { Operate, OperationRequest, OperationResult } from './graphql/operations.ts';
import type { LiveConnections } from './live.ts';
import type { Metrics } from './metrics.ts';
import type { RateLimits } from './rate-limits.ts';
import type { Handler } from './server.ts';
import type { SocketOptions } from './sockets.ts';

export interface EndpointOptions {
  readonly app: App;
  readonly authenticate: Authenticate;
  readonly limits: RateLimits;
  readonly live: LiveConnections;
  readonly metrics: Metrics;
  readonly operate: Operate;
  readonly bodyTimeoutMs: number;
}

export interface GraphqlEndpoint {
  readonly http: Handler;
  readonly sockets: Pick<SocketOptions, 'origin' | 'isOwnOrigin' | 'authenticate' | 'operate'>;
}

/** Root fields that guess at secrets or send messages. */
const STRICT = new Set([
  'login',
  'refreshToken',
  'register',
  'requestVerification',
  'changePassword',
  'requestContactChange',
  'confirmContactChange',
]);

export function createGraphqlEndpoint(options: EndpointOptions): GraphqlEndpoint {
  const { app, authenticate, limits, live, bodyTimeoutMs } = options;
  const run = createRun(options);

  const answer = createGraphqlHttp({
    bodyTimeoutMs,
    log: app.log,
    async operate(request, exchange) {
      const { actor, origin } = exchange;
      const onLabel = (label: string) => (exchange.operation = label);
      const mayMutate = exchange.request.method === 'POST';
      const result = await run(request, { actor, origin, mayMutate, onLabel });
      return 'next' in result ? endingWithSession(result, actor, live) : result;
    },
  });

  return {
    async http(exchange) {
      const { request, origin } = exchange;
      await limits.address(origin.ip);
      exchange.actor = await authenticate(request, origin, request.headers.authorization);
      const byCookie = request.headers.authorization === undefined && sessionCookie(request) !== undefined;
      if (byCookie) refuseForgery(request);
      await answer(exchange);
    },
    sockets: {
      origin: (request) => originOf(request, app.config.TRUSTED_PROXIES),
      isOwnOrigin: (request) => isOwnOrigin(request, app.config.PUBLIC_URL),
      async authenticate(request, origin, authorization) {
        await limits.address(origin.ip);
        return authenticate(request, origin, authorization);
      },
      async operate(request, actor, origin) {
        let operation = 'unknown';
        const startedAt = performance.now();
        const onLabel = (label: string) => (operation = label);
        const result = await limits.address(origin.ip).then(
          () => run(request, { actor, origin, mayMutate: true, onLabel }),
          (thrown: unknown) => ({
            errors: [mask(thrown, { requestId: origin.id, log: app.log, operation: 'unread' })],
          }),
        );
        const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
        const who = { requestId: origin.id, actorId: actor?.id, role: actor?.role };
        app.log.info('socket operation', { ...who, operation, durationMs, code: outcomeOf(result) });
        return result;
      },
    },
  };
}

type Run = (request: OperationRequest, asked: Who) => Promise<OperationResult>;

/** Carries out one operation, once its limits let it, and counts how it went. */
function createRun({ limits, metrics, operate }: EndpointOptions): Run {
  async function admit(operation: Operation, actor: Actor | null, origin: Origin): Promise<void> {
    const attempts = operation.rootFields.filter((field) => STRICT.has(field)).length;
    if (attempts > 0) await limits.signIn(origin.ip, attempts);
    if (actor !== null) await limits.principal(actor);
  }

  return async (request, asked) => {
    let type = 'unknown';
    let label = 'unknown';
    const startedAt = performance.now();
    const result = await operate(request, {
      ...asked,
      async onOperation(operation) {
        type = operation.definition.operation;
        label = operation.label;
        asked.onLabel(label);
        await admit(operation, asked.actor, asked.origin);
      },
    });
    const seconds = (performance.now() - startedAt) / 1_000;
    metrics.graphql({ type, operation: label, outcome: outcomeOf(result) }, seconds);
    return result;
  };
}

interface Who {
  readonly actor: Actor | null;
  readonly origin: Origin;
  readonly mayMutate: boolean;
  readonly onLabel: (label: string) => void;
}

export const CSRF_HEADER = 'x-careflex-csrf';

/**
 * A browser sends its cookie whoever made the page. It lets no other site's page set this header, though, unless we
 * say so, and we never do.
 */
export function refuseForgery(request: IncomingMessage): void {
  if (request.headers[CSRF_HEADER] === undefined)
    throw new Forbidden(`use a session cookie without the header ${CSRF_HEADER}`);
}

/** Without an Origin there is no browser; with one it must be ours. */
export function isOwnOrigin({ headers }: IncomingMessage, publicUrl: string | undefined): boolean {
  if (headers.origin === undefined) return true;
  if (publicUrl !== undefined && headers.origin === new URL(publicUrl).origin) return true;
  return URL.canParse(headers.origin) && new URL(headers.origin).host === headers.host;
}

function outcomeOf(result: OperationResult): string {
  if ('next' in result) return 'ok';
  const [error] = result.errors ?? [];
  return error ? (error.extensions['code'] as string) : 'ok';
}

/** A stream that ends when its session does. */
function endingWithSession(
  results: AsyncGenerator<ExecutionResult, void, void>,
  actor: Actor | null,
  live: LiveConnections,
): AsyncGenerator<ExecutionResult, void, void> {
  const end = () => void results.return();
  const forget = live.add({ sessionId: actor?.sessionId ?? null, end, isPinged: false });
  return {
    ...results,
    async next() {
      const result = await results.next();
      if (result.done) forget();
      return result;
    },
    async return() {
      forget();
      return results.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
