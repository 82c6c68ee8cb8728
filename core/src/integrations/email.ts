/** E-mail over SMTP. Outside development the connection must be encrypted. */
import { createTransport } from 'nodemailer';
import type { Config } from '#platform/config';
import { type Guarded, Refused, Unavailable } from './guard.ts';

export interface EmailMessage {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface Email extends AsyncDisposable {
  /** Returns the id under which the server took it. Throws `Refused` or `Unavailable`. */
  send(message: EmailMessage): Promise<string>;
}

type EmailConfig = Pick<Config, 'SMTP_URL' | 'EMAIL_FROM' | 'NODE_ENV'>;

const CONNECT_TIMEOUT_MS = 5_000;

/** Connects with the first message. */
export function openEmail(config: EmailConfig, guarded: Guarded): Email {
  if (config.SMTP_URL === undefined) return notConfigured;
  const { hostname, port, protocol, username, password } = new URL(config.SMTP_URL);
  const transport = createTransport({
    pool: true,
    host: hostname,
    port: Number(port || (protocol === 'smtps:' ? 465 : 587)),
    secure: protocol === 'smtps:',
    requireTLS: config.NODE_ENV === 'production',
    ...(username === '' ? {} : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: CONNECT_TIMEOUT_MS * 2,
    // The texts are ours. Nothing in one may make this process read a file or a URL.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    send: (message) =>
      guarded(async () => {
        const { messageId } = await transport.sendMail({ ...message, from: config.EMAIL_FROM }).catch(refuse);
        return messageId;
      }),
    async [Symbol.asyncDispose]() {
      transport.close();
    },
  };
}

const notConfigured: Email = {
  async send() {
    throw new Unavailable('NOT_CONFIGURED');
  },
  async [Symbol.asyncDispose]() {},
};

/** SMTP's 5xx are final. The server's answer repeats the address; ours keeps its code alone. */
function refuse(thrown: unknown): never {
  const { responseCode, code } = thrown as { responseCode?: number; code?: string };
  if (responseCode !== undefined && responseCode >= 500) throw new Refused(String(responseCode));
  throw new Unavailable(String(responseCode ?? code ?? 'UNKNOWN'));
}
