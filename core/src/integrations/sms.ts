/** Text messages, by Twilio's own client. In development and tests its base URL is the simulator's. */
import type { Twilio } from 'twilio';
import type { Config } from '#platform/config';
import { type Guarded, Refused, Unavailable } from './guard.ts';

export interface TextMessage {
  /** E.164. */
  readonly to: string;
  readonly body: string;
}

export interface Sms {
  /** Returns the other side's id of the message. Throws `Refused` or `Unavailable`. */
  send(message: TextMessage): Promise<string>;
}

type SmsConfig = Pick<Config, 'TWILIO_ACCOUNT_SID' | 'TWILIO_AUTH_TOKEN' | 'TWILIO_BASE_URL' | 'SMS_FROM'>;

/** Connects with the first message. */
export function openSms(config: SmsConfig, guarded: Guarded): Sms {
  let client: Promise<Twilio> | undefined;
  return {
    async send({ to, body }) {
      const from = config.SMS_FROM;
      if (from === undefined) throw new Unavailable('NOT_CONFIGURED');
      client ??= openClient(config);
      const { messages } = await client;
      return guarded(async () => {
        const message = await messages.create({ to, from, body }).catch(refuse);
        return message.sid;
      });
    },
  };
}

/** The client is large: a process that sends nothing does not load it. */
async function openClient(config: SmsConfig): Promise<Twilio> {
  if (config.TWILIO_ACCOUNT_SID === undefined || config.TWILIO_AUTH_TOKEN === undefined) {
    throw new Unavailable('NOT_CONFIGURED');
  }
  const { default: twilio } = await import('twilio');
  const client = twilio(config.TWILIO_ACCOUNT_SID, config.TWILIO_AUTH_TOKEN, { keepAlive: true });
  if (config.TWILIO_BASE_URL !== undefined) client.api.baseUrl = config.TWILIO_BASE_URL;
  return client;
}

const BAD_REQUEST = 400;

/**
 * A bad request is the message's fault; a wrong token or a limit is not, and may be right tomorrow. Twilio's own
 * errors repeat the number, ours keep its code alone.
 */
function refuse(thrown: unknown): never {
  const { status, code } = thrown as { status?: number; code?: number | string };
  const name = String(code ?? status ?? 'UNKNOWN');
  throw status === BAD_REQUEST ? new Refused(name) : new Unavailable(name);
}
