import { environment } from '@careflex/core/platform/config';
import type { SimulatorOptions } from '@careflex/simulators/main';
import { SIMULATED } from '@careflex/simulators/simulated';
import { type Command, InvalidArgumentError } from 'commander';
import { examples } from '../output.ts';
import { stopRequested } from '../stop.ts';

interface Options {
  readonly host: string;
  readonly port: number;
  readonly smtpPort: number;
  readonly seed: string;
  readonly keep: number;
  readonly inboundUrl?: string;
  readonly keySeconds?: number;
}

export function addSimulators(program: Command): void {
  program
    .command('simulators')
    .description(
      'stand in for the senders of texts, calls and e-mails, which reach nobody, for a payer and for a directory of providers, until stopped',
    )
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <number>', 'of the page and the API; 0 takes a free one', port, 4001)
    .option('--smtp-port <number>', 'of the mail server; 0 takes a free one', port, 0)
    .option('--seed <text>', 'from which ids and faults follow', 'careflex')
    .option('--keep <number>', 'how many messages to keep', atLeastOne, 100_000)
    .option('--inbound-url <url>', 'where to post what a patient texts', webUrl)
    .option('--key-seconds <number>', 'how long a call waits for a key', atLeastOne)
    .addHelpText(
      'after',
      `
Prints the settings with which the platform talks to it, once it is ready. TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN,
where set, are the credentials that it takes. docs/simulators.md says how to steer it.

${examples('careflex simulators', 'careflex simulators --port 0 --seed 7 --inbound-url http://127.0.0.1:4000/webhooks/twilio/inbound')}`,
    )
    .action(simulate);
}

async function simulate(options: Options): Promise<void> {
  const credentials = {
    accountSid: environment['TWILIO_ACCOUNT_SID'] || SIMULATED.credentials.accountSid,
    authToken: environment['TWILIO_AUTH_TOKEN'] || SIMULATED.credentials.authToken,
  };
  const { startSimulators } = await import('@careflex/simulators/main');
  await using simulators = await startSimulators({ ...readOptions(options), credentials });
  process.stdout.write(
    [
      `# Sent messages: ${simulators.url}`,
      `TWILIO_ACCOUNT_SID=${credentials.accountSid}`,
      `TWILIO_AUTH_TOKEN=${credentials.authToken}`,
      `TWILIO_BASE_URL=${simulators.url}`,
      `SMS_FROM=${SIMULATED.number}`,
      `SMTP_URL=${simulators.smtpUrl}`,
      `BENEFITS_API_URL=${simulators.payerUrl}`,
      `PROVIDER_API_URL=${simulators.directoryUrl}`,
      '',
    ].join('\n'),
  );
  await stopRequested();
}

function readOptions({ host, port, smtpPort, seed, keep, ...more }: Options): Omit<SimulatorOptions, 'credentials'> {
  return {
    host,
    port,
    smtpPort,
    seed,
    kept: keep,
    settings: { inboundUrl: more.inboundUrl ?? null },
    pace: { keySeconds: more.keySeconds ?? null },
  };
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('expected a port');
  return Number(text);
}

function atLeastOne(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('expected a whole number above 0');
  return Number(text);
}

function webUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError('expected an http or https URL');
  return text;
}
