/** An SMTP server that takes every e-mail and delivers none. */
import type { AddressInfo } from 'node:net';
import { callbackify } from 'node:util';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import type { SentEmail } from './outbox.ts';

export interface MailSink extends AsyncDisposable {
  /** `smtp://127.0.0.1:2525` */
  readonly url: string;
}

export interface MailSinkOptions {
  readonly host: string;
  readonly port: number;
  readonly newId: () => string;
  readonly now: () => Temporal.Instant;
  readonly onEmail: (email: SentEmail) => void;
}

const MAX_BYTES = 10 * 1024 * 1024;

export async function startMailSink({ host, port, newId, now, onEmail }: MailSinkOptions): Promise<MailSink> {
  async function receive(stream: AsyncIterable<Buffer>, { envelope }: SMTPServerSession): Promise<void> {
    const { subject = '', text = '' } = await PostalMime.parse(Buffer.concat(await Array.fromAsync(stream)));
    const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
    const to = envelope.rcptTo.map(({ address }) => address);
    onEmail({ kind: 'email', id: newId(), at: now(), from, to, subject, body: text.trimEnd() });
  }
  const server = new SMTPServer({
    authOptional: true,
    // Only this machine talks to it.
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    logger: false,
    size: MAX_BYTES,
    onData: callbackify(receive),
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // A client that hangs up in the middle of a sentence is no reason to end.
  server.on('error', () => undefined);
  const { port: bound } = server.server.address() as AddressInfo;
  return {
    url: `smtp://${host}:${bound}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
