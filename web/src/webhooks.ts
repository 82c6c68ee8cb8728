/**
 * What Twilio tells us: how a message or call goes, what patients send, which keys they press.
 *
 * Nobody signs in here. Whoever posts proves by a signature over the URL and every field that they know the account's
 * token; what is not signed is refused, on record, and counted. Nothing of a form is logged, and our own URLs carry ids
 * alone. Every post is safe to repeat.
 */
import * as audit from '@careflex/core/audit';
import type { App } from '@careflex/core/app';
import { type Form, isGenuine, spokenAnswer, textAnswer } from '@careflex/core/integrations/twilio-webhooks';
import { webhookOrigin } from '@careflex/core/integrations/webhook-urls';
import * as notifications from '@careflex/core/notifications';
import { sqlState } from '@careflex/core/platform/database';
import { Forbidden } from '@careflex/core/platform/errors';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import { readForm } from './body.ts';
import type { Exchange } from './exchange.ts';
import { answerJson } from './health.ts';
import type { Metrics } from './metrics.ts';
import type { RateLimits } from './rate-limits.ts';
import type { Routes } from './server.ts';

export interface WebhookOptions {
  readonly app: App;
  readonly metrics: Metrics;
  readonly limits: RateLimits;
  readonly bodyTimeoutMs: number;
}

interface Signed {
  readonly exchange: Exchange;
  readonly form: Form;
  /** The query of our own URL. */
  readonly query: URLSearchParams;
}

/** Does what was posted, and answers. Returns how it ended, for the metrics. */
type Hook = (scope: Scope, signed: Signed) => Promise<string>;

export function createWebhooks(options: WebhookOptions): Routes {
  const hooks = { status, inbound, voice };
  return Object.fromEntries(
    Object.entries(hooks).map(([name, hook]) => {
      const POST = (exchange: Exchange) => serve({ ...options, name, hook }, exchange);
      return [`/webhooks/twilio/${name}`, { POST }];
    }),
  );
}

interface Served extends WebhookOptions {
  readonly name: string;
  readonly hook: Hook;
}

async function serve({ app, metrics, limits, bodyTimeoutMs, name, hook }: Served, exchange: Exchange): Promise<void> {
  const { request, response, origin, route } = exchange;
  const { TWILIO_AUTH_TOKEN: authToken } = app.config;
  const ours = webhookOrigin(app.config);
  if (authToken === undefined) return answerJson(response, 404, { error: 'Nothing is here' });
  if (ours === undefined) return answerJson(response, 503, { error: 'PUBLIC_URL is not configured' });
  await limits.webhook(origin.ip);

  const form = await readForm(exchange, bodyTimeoutMs);
  const url = ours + request.url;
  const [signature = ''] = [request.headers['x-twilio-signature']].flat();
  try {
    if (!(await isGenuine({ authToken, signature, url, form }))) {
      // Whoever tries very often is not worth an entry each time.
      await limits.forgery(origin.ip);
      app.log.warn('A webhook was posted without a right signature', { requestId: origin.id, path: route });
      await audit.permit(app.scope(SYSTEM, origin), false, refusal(route));
    }
    const signed = { exchange, form, query: new URL(url).searchParams };
    const outcome = await persistently(() => hook(app.scope(SYSTEM, origin), signed));
    metrics.webhook({ hook: name, outcome });
  } catch (thrown) {
    metrics.webhook({ hook: name, outcome: thrown instanceof Forbidden ? 'refused' : 'failed' });
    throw thrown;
  }
}

const refusal = (route: string) => ({ action: 'webhook.receive', resourceType: 'Webhook', resourceId: route });

const COLLISIONS: ReadonlySet<string | undefined> = new Set(['40P01', '40001']);
const ATTEMPTS = 3;

/** Twilio tells most things once: that two transactions met is no reason to forget one of them. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      if (attempt === ATTEMPTS || !COLLISIONS.has(sqlState(thrown))) throw thrown;
    }
  }
}

async function status(scope: Scope, { exchange, form, query }: Signed): Promise<string> {
  const outcome = await notifications.report(scope, {
    providerMessageId: form['MessageSid'] ?? form['CallSid'] ?? '',
    status: form['MessageStatus'] ?? form['CallStatus'] ?? '',
    errorCode: form['ErrorCode'] || null,
    notificationId: query.get('n') ?? '',
    attemptId: query.get('a') ?? '',
  });
  // A right signature does not grow old; what it is about does.
  if (outcome === 'STALE') await audit.permit(scope, false, refusal(exchange.route));
  exchange.response.writeHead(204).end();
  return outcome.toLowerCase();
}

async function inbound(scope: Scope, { exchange, form }: Signed): Promise<string> {
  const { text, isRepeat } = await notifications.receive(scope, {
    providerMessageId: form['MessageSid'] ?? '',
    channel: 'SMS',
    from: form['From'] ?? '',
    body: form['Body'] ?? '',
    isAnswered: Boolean(form['OptOutType']),
  });
  answerXml(exchange, await textAnswer(text));
  return isRepeat ? 'repeated' : 'applied';
}

async function voice(scope: Scope, { exchange, form, query }: Signed): Promise<string> {
  const isOurs = (form['Direction'] ?? '').startsWith('outbound');
  const { text, language, isRepeat } = await notifications.receive(scope, {
    providerMessageId: form['CallSid'] ?? '',
    channel: 'VOICE',
    from: (isOurs ? form['To'] : form['From']) ?? '',
    body: form['Digits'] ?? '',
    notificationId: query.get('n'),
  });
  answerXml(exchange, await spokenAnswer(text, language === 'es' ? 'es-US' : 'en-US'));
  return isRepeat ? 'repeated' : 'applied';
}

function answerXml({ response }: Exchange, xml: string): void {
  response
    .writeHead(200, { 'Content-Type': 'text/xml; charset=utf-8', 'Content-Length': Buffer.byteLength(xml) })
    .end(xml);
}
