/**
 * Stand-ins for the outside world, as real servers: texts and calls over HTTP as Twilio has them, SMTP, and a payer that
 * speaks FHIR R4. Everything is in memory and lost at the end; the ids, and the faults that were asked for, follow from a seed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from './api-error.ts';
import { ControlApi } from './control-api.ts';
import { Front, refuseOtherSites } from './front.ts';
import { json } from './http.ts';
import { startMailSink } from './mail.ts';
import { idsFrom, type Outbox } from './outbox.ts';
import { createPayer, type Payer } from './payer/payer.ts';
import { PAYER_PATH, PayerApi } from './payer/payer-api.ts';
import { PAYER_CONTROL, PayerControl } from './payer/payer-control.ts';
import { createProvider, type Credentials, type Pace, type Provider, type Settings } from './provider.ts';
import { TwilioApi } from './twilio-api.ts';

export interface SimulatorOptions {
  readonly credentials: Credentials;
  readonly host?: string;
  /** Of the HTTP server; a free one unless given. */
  readonly port?: number;
  readonly smtpPort?: number;
  readonly seed?: string;
  /** How many messages are kept; the oldest are forgotten first. */
  readonly kept?: number;
  readonly pace?: Partial<Pace>;
  readonly settings?: Partial<Settings>;
  readonly now?: () => Temporal.Instant;
}

export interface Simulators extends AsyncDisposable {
  /** The page with all messages, and the base URL of the texts' and calls' API. */
  readonly url: string;
  readonly smtpUrl: string;
  /** The base URL of the payer's FHIR API. */
  readonly payerUrl: string;
  readonly payer: Payer;
  readonly outbox: Outbox;
  /** Where texts from patients are posted to, from now on. */
  forwardTo(inboundUrl: string): void;
}

const KEPT = 10_000;
const SEED = 'careflex';

/** Rejects when a port is taken. */
export async function startSimulators(options: SimulatorOptions): Promise<Simulators> {
  await using parts = new AsyncDisposableStack();
  const { host = '127.0.0.1', port = 0, smtpPort = 0 } = options;
  const provider = openProvider(options);
  parts.defer(() => provider.webhooks[Symbol.dispose]());
  parts.defer(() => provider.era.abort());
  const mail = parts.use(await startMailSink(provider, host, smtpPort));
  const payer = createPayer(options.seed ?? SEED, provider.now);
  parts.defer(() => payer.era.abort());
  const routes = new Routes(provider, payer);
  const server = createServer((request, response) => void routes.answer(request, response));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  parts.defer(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  const { port: bound } = server.address() as AddressInfo;
  const open = parts.move();
  const url = `http://${host}:${bound}`;
  return {
    url,
    smtpUrl: mail.url,
    payerUrl: `${url}${PAYER_PATH}`,
    payer,
    outbox: provider.outbox,
    forwardTo(inboundUrl) {
      provider.settings.inboundUrl = inboundUrl;
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function openProvider({ credentials, seed = SEED, kept = KEPT, ...given }: SimulatorOptions): Provider {
  return createProvider({
    credentials,
    seed,
    kept,
    newId: idsFrom(seed),
    now: given.now ?? (() => Temporal.Now.instant()),
    pace: { secondMs: 1_000, keySeconds: null, ...given.pace },
    settings: { inboundUrl: null, keywords: 'provider', ...given.settings },
  });
}

class Routes {
  readonly #twilio: TwilioApi;
  readonly #control: ControlApi;
  readonly #front: Front;
  readonly #payer: PayerApi;
  readonly #payerControl: PayerControl;

  constructor(provider: Provider, payer: Payer) {
    this.#twilio = new TwilioApi(provider);
    this.#control = new ControlApi(provider);
    this.#front = new Front(provider);
    this.#payer = new PayerApi(payer);
    this.#payerControl = new PayerControl(payer);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      if (url.pathname.startsWith('/2010-04-01/')) return await this.#twilio.answer(request, response, url);
      if (url.pathname.startsWith(`${PAYER_PATH}/`)) return await this.#payer.answer(request, response, url);
      refuseOtherSites(request);
      if (url.pathname.startsWith(PAYER_CONTROL)) return await this.#payerControl.answer(request, response, url);
      if (url.pathname.startsWith('/simulator/')) return await this.#control.answer(request, response, url);
      await this.#front.answer(request, response, url);
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : new ApiError(500, 20500, 'Internal Server Error');
      if (!response.headersSent) json(response, error.status, error);
    }
  }
}
