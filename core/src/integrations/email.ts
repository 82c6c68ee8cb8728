/** E-mail over SMTP. Outside development the connection must be encrypted. */
import { createTransport } from 'nodemailer';
import type { Config } from '#platform/config';
import { type Guarded, Refused, Unavailable, Unknown } from './guard.ts';

export interface EmailMessage {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /**
   * `<id@domain>`, the same whenever the same message is tried again: nobody can be asked whether it was sent, but
   * mailboxes show two with one id as one. A new one unless given.
   */
  readonly messageId?: string;
}

export interface Email extends AsyncDisposable {
  /** Returns the message's id. Throws `Refused`, `Unavailable` or `Unknown`. */
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
      guarded.send(async (signal) => {
        // What the guard has given up must not go out afterwards.
        const mail = { ...message, from: config.EMAIL_FROM, signal };
        const { messageId } = await transport.sendMail(mail).catch(refuse);
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

interface SmtpError {
  readonly code?: string;
  readonly responseCode?: number;
  readonly command?: string;
  readonly syscall?: string;
  readonly timeoutType?: string;
}

const PERMANENT = 500;
const ABOUT_THE_MESSAGE = new Set(['EENVELOPE', 'EMESSAGE']);
const BEFORE_THE_MESSAGE = new Set(['EDNS', 'ETLS', 'EAUTH', 'ENOAUTH', 'ECONFIG', 'EPROXY', 'EENVELOPE']);

/**
 * A no is a no, and final from 500 on where it is about the message. A connection lost on the way says nothing. The
 * server's answer repeats the address; ours keeps its code alone.
 */
function refuse(thrown: unknown): never {
  const { code = 'UNKNOWN', responseCode } = thrown as SmtpError;
  if (responseCode !== undefined) {
    if (responseCode >= PERMANENT && ABOUT_THE_MESSAGE.has(code)) throw new Refused(String(responseCode));
    throw new Unavailable(String(responseCode));
  }
  throw isBeforeTheMessage(thrown as SmtpError) ? new Unavailable(code) : new Unknown(code);
}

function isBeforeTheMessage({ code = '', syscall, timeoutType }: SmtpError): boolean {
  if (syscall === 'connect' || BEFORE_THE_MESSAGE.has(code)) return true;
  return timeoutType === 'CONNECT_TIMEOUT' || timeoutType === 'GREETING_TIMEOUT';
}
