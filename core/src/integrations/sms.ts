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
  const { Twilio } = await import('twilio');
  const client = new Twilio(config.TWILIO_ACCOUNT_SID, config.TWILIO_AUTH_TOKEN, { keepAlive: true });
  if (config.TWILIO_BASE_URL !== undefined) client.api.baseUrl = config.TWILIO_BASE_URL;
  return client;
}

const TOO_MANY_REQUESTS = 429;

/** Twilio's own errors repeat the number; ours keep its code alone. */
function refuse(thrown: unknown): never {
  const { status, code } = thrown as { status?: number; code?: number | string };
  const name = String(code ?? status ?? 'UNKNOWN');
  const permanent = status !== undefined && status >= 400 && status < 500 && status !== TOO_MANY_REQUESTS;
  throw permanent ? new Refused(name) : new Unavailable(name);
}
