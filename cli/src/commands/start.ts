/**
 * Everything in one go, for a laptop and a first look: database, migrations, demo data, API, workers, simulators.
 *
 * All of it is one process beside the database server's, so it starts in seconds and there is one thing to watch:
 * what goes wrong in any part ends the whole, with a sentence and a non-zero exit. The database stops last.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEMO_PASSWORD, DEMO_USERS } from '@careflex/core/accounts';
import { install } from '@careflex/core/installation';
import { webhookUrls } from '@careflex/core/integrations/webhook-urls';
import { type Config, DATA_DIRECTORY, environment } from '@careflex/core/platform/config';
import { createLog } from '@careflex/core/platform/log';
import { startWorkers } from '@careflex/core/worker';
import type { Simulators } from '@careflex/simulators/main';
import { SIMULATED } from '@careflex/simulators/simulated';
import type { Command } from 'commander';
import { loadDemo } from '../demo.ts';
import { loadConfig, openApp, type OpenDatabase, openDatabase, ownDatabase } from '../platform.ts';
import { freePort } from '../ports.ts';
import { untilStopped } from '../stop.ts';
import { stoppedOr } from './servers.ts';

export function addStart(program: Command): void {
  program
    .command('start')
    .description('start everything: database, migrations, demo data, API, workers, simulators')
    .addHelpText(
      'after',
      `
Without DATABASE_URL it brings its own PostgreSQL and keeps the data in CAREFLEX_DATA_DIR (.data in the checkout).
Outside production it makes its secrets on the first start and loads demo data. Ctrl-C or SIGTERM ends all of it,
the database last, with exit code 0.

Examples:
  careflex start
  PORT=8080 CAREFLEX_DATA_DIR=/tmp/try careflex start`,
    )
    .action(start);
}

async function start(): Promise<void> {
  const given = loadConfig();
  await using parts = new AsyncDisposableStack();
  const configured = { ...given, PORT: await freePort(given) };
  const own = configured.DATABASE_URL === undefined;
  const database = parts.use(await (own ? ownDatabase(configured) : openDatabase(configured)));
  const simulators = configured.NODE_ENV === 'production' ? null : parts.use(await simulate(configured));
  const config = simulators === null ? configured : connectedTo(simulators, configured);
  const url = await untilStopped(openAll(parts, config, database));
  const webhooks = webhookUrls(config);
  if (webhooks) simulators?.forwardTo(webhooks.inbound);
  process.stdout.write(welcome({ url, config, simulators, place: database.place }));
  await stoppedOr(database.ended);
}

/** Returns the API's URL when it is ready. */
async function openAll(parts: AsyncDisposableStack, config: Config, database: OpenDatabase): Promise<string> {
  // Every request is a line at level info: on a laptop they would bury what was asked for.
  const log = createLog(environment['LOG_LEVEL'] ? config.LOG_LEVEL : 'warn', process.stderr);
  const { adminUrl, login } = database.access;
  if (adminUrl !== null) await install(adminUrl, login, { config, log });
  const app = parts.use(await openApp(config, database, log));
  if (config.NODE_ENV !== 'production') await loadDemo(app);
  parts.use(await startWorkers(app));
  const { startApi } = await import('@careflex/web/main');
  const api = await startApi(app, { port: config.PORT, host: config.HOST });
  parts.defer(() => api.close());
  await untilReady(api.url);
  return api.url;
}

async function untilReady(url: string): Promise<void> {
  for (;;) {
    const { ok, body } = await fetch(`${url}/readyz`);
    await body?.cancel();
    if (ok) return;
    await sleep(50);
  }
}

/** How long a call waits for the person who looks at the page. */
const KEY_SECONDS = 120;

/** Beside the API's port where that is free. */
async function simulate({ PORT }: Config): Promise<Simulators> {
  const { startSimulators } = await import('@careflex/simulators/main');
  const pace = { keySeconds: KEY_SECONDS };
  const start = (port: number) => startSimulators({ credentials: SIMULATED.credentials, pace, port });
  return PORT === 0 ? start(0) : start(PORT + 1).catch(() => start(0));
}

/** What is configured goes to the real world, the rest to the simulators. */
function connectedTo({ url, smtpUrl, payerUrl, directoryUrl }: Simulators, config: Config): Config {
  const text = {
    TWILIO_ACCOUNT_SID: SIMULATED.credentials.accountSid,
    TWILIO_AUTH_TOKEN: SIMULATED.credentials.authToken,
    TWILIO_BASE_URL: url,
    SMS_FROM: SIMULATED.number,
  };
  return {
    ...config,
    ...(config.TWILIO_ACCOUNT_SID === undefined ? text : {}),
    // Reserved for fiction, like those of the demo's patients.
    CLINIC_PHONE: config.CLINIC_PHONE ?? '+12025550199',
    ...(config.SMTP_URL === undefined ? { SMTP_URL: smtpUrl } : {}),
    ...(config.BENEFITS_API_URL === undefined ? { BENEFITS_API_URL: payerUrl } : {}),
    ...(config.PROVIDER_API_URL === undefined ? { PROVIDER_API_URL: directoryUrl } : {}),
  };
}

interface Welcome {
  readonly url: string;
  readonly config: Config;
  readonly simulators: Simulators | null;
  readonly place: string | null;
}

/** As README shows it where it is the checkout's own. */
export function whereData(directory: string, place: string | null): string {
  if (place === null) return 'in DATABASE_URL';
  const data = path.resolve(directory);
  const shown = data === DATA_DIRECTORY ? path.basename(data) : data;
  return place === data ? shown : `${shown}, the database itself in ${place}`;
}

function welcome({ url, config, simulators, place }: Welcome): string {
  const shown = url.replace('//127.0.0.1:', '//localhost:').replace('//0.0.0.0:', '//localhost:');
  const lines = [`CareFlex is ready: ${shown}`, '', `  GraphQL API      ${shown}/graphql`];
  if (simulators === null) return `${lines.join('\n')}\n`;
  lines.push(
    `  Explorer         ${shown}/graphiql`,
    `  Sent messages    ${simulators.url.replace('127.0.0.1', 'localhost')}`,
    `  Data             ${whereData(config.CAREFLEX_DATA_DIR, place)}`,
    '',
    `  Sign in with password ${DEMO_PASSWORD} as`,
    ...DEMO_USERS.map(({ email }) => `    ${email}`),
    '',
    'Ctrl-C ends it.',
  );
  return `${lines.join('\n')}\n`;
}
