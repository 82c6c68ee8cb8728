/**
 * Stand-ins for the outside world, as real servers: texts and calls over HTTP as Twilio has them, SMTP, and a payer and
 * a directory of providers that speak FHIR R4. Everything is in memory and lost at the end; the ids, and the faults that were asked for, follow from a seed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from './api-error.ts';
import { ControlApi } from './control-api.ts';
import { createDirectory, type Directory } from './directory/directory.ts';
import { DIRECTORY_PATH, DirectoryApi } from './directory/directory-api.ts';
import { DIRECTORY_CONTROL, DirectoryControl } from './directory/directory-control.ts';
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
  /** The base URL of the FHIR API of the directory of providers. */
  readonly directoryUrl: string;
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
  const directory = createDirectory(options.seed ?? SEED, provider.now);
  parts.defer(() => directory.era.abort());
  const routes = new Routes(provider, payer, directory);
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
    directoryUrl: `${url}${DIRECTORY_PATH}`,
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

interface Answering {
  answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void>;
}

/** What stands below a path. */
type Place = readonly [path: string, Answering];

class Routes {
  readonly #front: Front;
  readonly #apis: readonly Place[];
  /** For people and tests on this machine. */
  readonly #controls: readonly Place[];

  constructor(provider: Provider, payer: Payer, directory: Directory) {
    this.#front = new Front(provider);
    this.#apis = [
      ['/2010-04-01/', new TwilioApi(provider)],
      [`${PAYER_PATH}/`, new PayerApi(payer)],
      [`${DIRECTORY_PATH}/`, new DirectoryApi(directory)],
    ];
    this.#controls = [
      [PAYER_CONTROL, new PayerControl(payer)],
      [DIRECTORY_CONTROL, new DirectoryControl(directory)],
      ['/simulator/', new ControlApi(provider)],
    ];
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const below = ([path]: Place) => url.pathname.startsWith(path);
      const [, api] = this.#apis.find(below) ?? [];
      if (api !== undefined) return await api.answer(request, response, url);
      refuseOtherSites(request);
      const [, front = this.#front] = this.#controls.find(below) ?? [];
      await front.answer(request, response, url);
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : new ApiError(500, 20500, 'Internal Server Error');
      if (!response.headersSent) json(response, error.status, error);
    }
  }
}
