/**
 * The API: GraphQL over HTTP, server-sent events and WebSocket, browser sessions, the explorer, and what operators ask
 * for. Started by the command line, any number of times behind a load balancer.
 */
import type { AddressInfo } from 'node:net';
import * as accounts from '@careflex/core/accounts';
import type { App } from '@careflex/core/app';
import { EVENTS_CHANNEL } from '@careflex/core/platform/events';
import { missingMigrations } from '@careflex/core/platform/migrate';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { createAuthenticator } from './authentication.ts';
import { EventFeed } from './event-feed.ts';
import { explorerPaths, serveExplorer } from './explorer.ts';
import { createGraphqlEndpoint } from './graphql-endpoint.ts';
import { createDeliveredReads } from './graphql/delivered-reads.ts';
import { createOperate } from './graphql/operations.ts';
import { schema } from './graphql/schema.ts';
import { createSharedExecutions } from './graphql/shared-executions.ts';
import { answerJson, answerReadiness, mayReadMetrics } from './health.ts';
import { watchConnections } from './live.ts';
import { createMetrics } from './metrics.ts';
import { keepPresences } from './presence-keeper.ts';
import { createRateLimits, type RateLimitSettings } from './rate-limits.ts';
import { readingsOf } from './readings.ts';
import { createHttpServer, type HttpServer, type Routes } from './server.ts';
import { createSessionEndpoint } from './session-endpoint.ts';
import { createSockets } from './sockets.ts';
import { createWebhooks } from './webhooks.ts';

export interface ApiOptions {
  readonly port: number;
  readonly host: string;
  /** Instead of the configured ones. */
  readonly rateLimits?: Partial<RateLimitSettings>;
  /** How often agents' presence is prolonged, and looked after. */
  readonly presenceBeatMs?: number;
  /** How long a socket without a sign-in may ask for nothing. */
  readonly strangerIdleMs?: number;
  /** How long a request's body may take. */
  readonly bodyTimeoutMs?: number;
}

export interface Api {
  readonly url: string;
  readonly port: number;
  /** Answers what is under way, closes sockets and streams, and returns when nothing is left. */
  close(): Promise<void>;
}

const BODY_TIMEOUT_MS = 10_000;
const STRANGER_IDLE_MS = 60_000;
/** Of one address: more are refused without a word of it in the audit trail. */
const FORGERIES_A_MINUTE = 60;
const SETTLE_WITHIN_MS = 10_000;

/** Starts the API. Rejects when the port is taken. */
export async function startApi(app: App, options: ApiOptions): Promise<Api> {
  app.neighbours.attend();
  const parts = assemble(app, options);
  await listen(parts.http, options);
  const { port } = parts.http.server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${host}:${port}`, port, close: () => closeAll(parts) };
}

type Parts = ReturnType<typeof assemble>;

function assemble(app: App, options: ApiOptions) {
  const { config, log } = app;
  const system = (): Scope => app.scope(SYSTEM, { id: 'api', ip: null, userAgent: null });
  const state = { closing: false };

  const live = watchConnections((ids) => accounts.liveSessions(system(), ids), log);
  const feed = new EventFeed(app);
  const delivered = createDeliveredReads(app);
  const shared = createSharedExecutions(app, delivered);
  const subscriptions = [
    app.pubsub.subscribe(EVENTS_CHANNEL, { message: () => feed.wake(), reconnected: () => feed.wake() }),
    app.pubsub.subscribe(accounts.SESSIONS_CHANNEL, { message: (id) => live.sessionEnded(id) }),
    keepPresences(app, live, options.presenceBeatMs),
  ];
  const metrics = createMetrics(readingsOf(app, live));
  const endpoint = {
    app,
    live,
    metrics,
    authenticate: createAuthenticator(app),
    limits: createRateLimits({ ...configured(app), ...options.rateLimits }),
    operate: createOperate({ app, feed, shared }, schema, { introspection: config.NODE_ENV !== 'production' }),
    bodyTimeoutMs: options.bodyTimeoutMs ?? BODY_TIMEOUT_MS,
  };
  const graphql = createGraphqlEndpoint(endpoint);
  const sockets = createSockets({
    ...graphql.sockets,
    schema,
    log,
    live,
    perAddress: config.SOCKETS_PER_ADDRESS,
    strangerIdleMs: options.strangerIdleMs ?? STRANGER_IDLE_MS,
  });
  const missing = async () => (state.closing ? ['the server is closing'] : missingMigrations(system()));
  const routes: Routes = {
    ...(config.NODE_ENV === 'production' ? {} : explorerRoutes()),
    '/graphql': { GET: graphql.http, POST: graphql.http },
    '/session': createSessionEndpoint(endpoint),
    ...createWebhooks(endpoint),
    '/healthz': { GET: ({ response }) => answerJson(response, 200, { alive: true }) },
    '/readyz': { GET: ({ response }) => answerReadiness(response, missing) },
    '/metrics': {
      async GET({ request, response }) {
        const access = { token: config.METRICS_TOKEN, production: config.NODE_ENV === 'production' };
        if (!mayReadMetrics(request, access))
          return answerJson(response, 403, { error: 'The metrics are not for you' });
        response.writeHead(200, { 'Content-Type': metrics.contentType }).end(await metrics.render());
      },
    },
  };
  const http = createHttpServer({ app, routes, metrics, upgrade: (...it) => sockets.upgrade(...it) });
  return { http, sockets, live, feed, delivered, subscriptions, state };
}

function configured({ config }: App): RateLimitSettings {
  return {
    perAddress: config.RATE_LIMIT_PER_ADDRESS,
    perPrincipal: config.RATE_LIMIT_PER_PRINCIPAL,
    signInPerAddress: config.RATE_LIMIT_SIGN_IN,
    webhooksPerAddress: config.RATE_LIMIT_WEBHOOKS,
    forgeriesPerAddress: FORGERIES_A_MINUTE,
  };
}

/** The address that is printed at the start leads there. */
function explorerRoutes(): Routes {
  const served = explorerPaths.map((path): [string, Routes[string]] => [
    path,
    { GET: ({ request, response }) => serveExplorer(path, request, response) },
  ]);
  return {
    '/': { GET: ({ response }) => void response.writeHead(302, { Location: '/graphiql', 'Content-Length': 0 }).end() },
    ...Object.fromEntries(served),
  };
}

function listen({ server }: HttpServer, { port, host }: ApiOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** First nobody is sent here any more, then streams and sockets end, then what is under way, then the rest. */
async function closeAll({ http, sockets, live, feed, delivered, subscriptions, state }: Parts): Promise<void> {
  state.closing = true;
  for (const unsubscribe of subscriptions) unsubscribe();
  live.close();
  feed.close();
  await sockets.close();
  await http.settled(SETTLE_WITHIN_MS);
  await delivered.close();
  const closed = new Promise<void>((resolve) => http.server.close(() => resolve()));
  http.server.closeAllConnections();
  await closed;
}
