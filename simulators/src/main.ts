/**
 * Stand-ins for the outside world, as real servers: Twilio-style text messages over HTTP, and SMTP. Everything is
 * in memory and lost at the end; the ids follow from a seed, so two runs tell the same story.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { reportDelivery } from './callbacks.ts';
import { startMailSink } from './mail.ts';
import { ApiError, type Credentials, isAuthentic, messageResource, readNewText } from './messages.ts';
import { idsFrom, Outbox, type SentText } from './outbox.ts';
import { renderPage } from './page.ts';

export interface SimulatorOptions {
  readonly credentials: Credentials;
  readonly host?: string;
  /** Of the HTTP server; a free one unless given. */
  readonly port?: number;
  readonly smtpPort?: number;
  readonly seed?: string;
  readonly now?: () => Temporal.Instant;
}

export interface Simulators extends AsyncDisposable {
  /** The page with all messages, and the base URL of the messages' API. */
  readonly url: string;
  readonly smtpUrl: string;
  readonly outbox: Outbox;
}

/** Rejects when a port is taken. */
export async function startSimulators(options: SimulatorOptions): Promise<Simulators> {
  await using parts = new AsyncDisposableStack();
  const { host = '127.0.0.1', port = 0, smtpPort = 0, now = () => Temporal.Now.instant() } = options;
  const newId = idsFrom(options.seed ?? 'careflex');
  const outbox = new Outbox();
  const onEmail = outbox.add.bind(outbox);
  const mail = parts.use(await startMailSink({ host, port: smtpPort, newId, now, onEmail }));
  const routes = new Routes({ credentials: options.credentials, outbox, newId, now });
  const server = createServer((request, response) => void routes.answer(request, response));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  parts.defer(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  const { port: bound } = server.address() as AddressInfo;
  const open = parts.move();
  return {
    url: `http://${host}:${bound}`,
    smtpUrl: mail.url,
    outbox,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

interface World {
  readonly credentials: Credentials;
  readonly outbox: Outbox;
  readonly newId: () => string;
  readonly now: () => Temporal.Instant;
}

const MAX_BODY = 64 * 1024;

class Routes {
  readonly #world: World;
  readonly #messages: string;

  constructor(world: World) {
    this.#world = world;
    this.#messages = `/2010-04-01/Accounts/${world.credentials.accountSid}/Messages`;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : new ApiError(500, 20500, 'Internal Server Error');
      json(response, error.status, error);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const { outbox } = this.#world;
    if (request.method === 'GET' && path === '/') return html(response, renderPage(outbox.newestFirst()));
    if (request.method === 'GET' && path === '/messages.json') return json(response, 200, outbox.newestFirst());
    if (path.startsWith('/2010-04-01/')) return this.#api(request, response, path);
    throw new ApiError(404, 20404, `The requested resource ${path} was not found`);
  }

  async #api(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { credentials, outbox } = this.#world;
    if (!isAuthentic(request.headers.authorization, credentials)) throw new ApiError(401, 20003, 'Authenticate');
    if (request.method === 'POST' && path === `${this.#messages}.json`) {
      return json(response, 201, this.#send(await readForm(request)));
    }
    const id = path.startsWith(`${this.#messages}/`) ? path.slice(this.#messages.length + 1, -'.json'.length) : '';
    const text = outbox.findText(id);
    if (request.method === 'GET' && text) return json(response, 200, messageResource(text, credentials.accountSid));
    throw new ApiError(404, 20404, `The requested resource ${path} was not found`);
  }

  #send(form: URLSearchParams): object {
    const { credentials, outbox, newId, now } = this.#world;
    const { statusCallback, ...message } = readNewText(form);
    const text: SentText = { kind: 'text', id: `SM${newId()}`, at: now(), ...message, status: 'queued' };
    outbox.add(text);
    const resource = messageResource(text, credentials.accountSid);
    if (statusCallback === null) text.status = 'delivered';
    else setImmediate(() => void reportDelivery(statusCallback, text, credentials));
    return resource;
  }
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += String(chunk);
    if (body.length > MAX_BODY) throw new ApiError(413, 20413, 'Request Entity Too Large');
  }
  return new URLSearchParams(body);
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

function html(response: ServerResponse, page: string): void {
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy }).end(page);
}
