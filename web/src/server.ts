/**
 * The HTTP server: routes, the order in which a request is admitted, and the way it all ends.
 *
 * Admitting is the same for every request: a name and headers of its own, the limit of its address, who asks, the
 * limit of the principal. Only then is a body read.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { App } from '@careflex/core/app';
import type { Log } from '@careflex/core/platform/log';
import { type Exchange, originOf, pathOf } from './exchange.ts';
import { mask } from './graphql/faults.ts';
import { answerJson } from './health.ts';
import type { Metrics } from './metrics.ts';
import { setSecurityHeaders } from './security-headers.ts';

export type Handler = (exchange: Exchange) => Promise<void> | void;

/** By path, then by method; a path that is not here does not exist. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

export interface HttpServer {
  readonly server: Server;
  /** Resolves when the requests under way have been answered, and in no more than so many milliseconds. */
  settled(withinMs: number): Promise<void>;
}

export interface HttpServerOptions {
  readonly app: App;
  readonly routes: Routes;
  readonly metrics: Metrics;
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

const SETTINGS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
};

export function createHttpServer({ app, routes, metrics, upgrade }: HttpServerOptions): HttpServer {
  const underWay = new Set<Exchange>();
  let onSettled: (() => void) | undefined;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    const methods = Object.hasOwn(routes, path) ? routes[path] : undefined;
    const origin = originOf(request, app.config.TRUSTED_PROXIES);
    const exchange: Exchange = {
      request,
      response,
      origin,
      startedAt: performance.now(),
      route: methods ? path : 'none',
      actor: null,
      operation: undefined,
    };
    underWay.add(exchange);
    response.once('close', () => {
      underWay.delete(exchange);
      if (underWay.size === 0) onSettled?.();
      report(exchange, metrics, app.log);
    });
    response.setHeader('X-Request-Id', origin.id);
    setSecurityHeaders(response);
    await dispatch(exchange, methods);
  }

  const server = createServer(SETTINGS, (request, response) => {
    handle(request, response).catch((thrown: unknown) => answerFailure(response, thrown, app));
  });
  server.on('upgrade', upgrade);

  return {
    server,
    async settled(withinMs) {
      if (underWay.size === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      onSettled = resolve;
      const timer = setTimeout(resolve, withinMs);
      await promise;
      clearTimeout(timer);
    },
  };
}

async function dispatch(exchange: Exchange, methods: Routes[string] | undefined): Promise<void> {
  const { request, response } = exchange;
  const handler = methods?.[request.method === 'HEAD' ? 'GET' : (request.method ?? '')];
  if (handler) return handler(exchange);
  if (!methods) return answerJson(response, 404, { error: 'Nothing is here' });
  response.setHeader('Allow', Object.keys(methods).join(', '));
  answerJson(response, 405, { error: 'This method is not served here' });
}

function report(exchange: Exchange, metrics: Metrics, log: Log): void {
  const { request, response, startedAt, route, actor, operation, origin } = exchange;
  const durationMs = performance.now() - startedAt;
  metrics.http({ method: request.method ?? '', route, status: response.statusCode }, durationMs / 1_000);
  log.info('request', {
    requestId: origin.id,
    method: request.method,
    path: route,
    status: response.statusCode,
    durationMs: Math.round(durationMs * 10) / 10,
    actorId: actor?.id,
    role: actor?.role,
    operation,
  });
}

/** What is thrown outside an operation has the form that an operation's errors have. */
export function answerFailure(response: ServerResponse, thrown: unknown, { log }: App): void {
  const requestId = String(response.getHeader('X-Request-Id'));
  const error = mask(thrown, { requestId, log, operation: 'none' });
  const { http, ...extensions } = error.extensions as { http?: { status: number; headers?: Record<string, string> } };
  if (response.headersSent) return void response.destroy();
  for (const [name, value] of Object.entries(http?.headers ?? {})) response.setHeader(name, value);
  const status = http?.status ?? STATUS[(extensions as { code: string }).code] ?? 400;
  answerJson(response, status, { errors: [{ message: error.message, extensions }] });
}

const STATUS: Readonly<Record<string, number>> = { UNAUTHENTICATED: 401, FORBIDDEN: 403, INTERNAL: 500 };
