/** An SMTP server that takes every e-mail and delivers none, or behaves as it was told to. */
import type { AddressInfo } from 'node:net';
import { callbackify } from 'node:util';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { type Behaviour, isTaken } from './behaviour.ts';
import { pause } from './pause.ts';
import type { Provider } from './provider.ts';

export interface MailSink extends AsyncDisposable {
  /** `smtp://127.0.0.1:2525` */
  readonly url: string;
}

const MAX_BYTES = 10 * 1024 * 1024;
/** For a client that keeps its connection. */
const CLOSE_WITHIN_MS = 500;

export async function startMailSink(provider: Provider, host: string, port: number): Promise<MailSink> {
  const server = new Mailbox(provider).server;
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

class Mailbox {
  readonly server: SMTPServer;
  readonly #provider: Provider;
  /** Decided with the first recipient of each e-mail. */
  readonly #behaviours = new WeakMap<SMTPServerSession, Behaviour>();

  constructor(provider: Provider) {
    this.#provider = provider;
    this.server = new SMTPServer({
      authOptional: true,
      // Only this machine talks to it.
      disabledCommands: ['STARTTLS', 'AUTH'],
      disableReverseLookup: true,
      logger: false,
      size: MAX_BYTES,
      closeTimeout: CLOSE_WITHIN_MS,
      onMailFrom: (_, session, done) => {
        this.#behaviours.delete(session);
        done();
      },
      onRcptTo: callbackify(this.#admit.bind(this)),
      onData: callbackify(this.#receive.bind(this)),
    });
  }

  async #admit({ address }: { readonly address: string }, session: SMTPServerSession): Promise<void> {
    const behaviour = this.#behaviours.get(session) ?? this.#provider.behaviours.next('email', address);
    this.#behaviours.set(session, behaviour);
    if (isTaken(behaviour)) return;
    this.#provider.counts.emails.refused++;
    const { reply = 550 } = behaviour;
    if (typeof reply === 'number') throw Object.assign(new Error('Refused as it was told to'), { responseCode: reply });
    await this.#leave(reply, session);
  }

  async #receive(stream: AsyncIterable<Buffer>, session: SMTPServerSession): Promise<void> {
    const { newId, now, outbox, counts, era } = this.#provider;
    const parsed = await PostalMime.parse(Buffer.concat(await Array.fromAsync(stream)));
    const { mailFrom, rcptTo } = session.envelope;
    outbox.add({
      kind: 'email',
      id: newId(),
      at: now(),
      from: mailFrom === false ? '' : mailFrom.address,
      to: rcptTo.map(({ address }) => address),
      subject: parsed.subject ?? '',
      body: (parsed.text ?? '').trimEnd(),
      messageId: parsed.messageId ?? null,
    });
    counts.emails.taken++;
    const { reply, delayMs = 0 } = this.#behaviours.get(session) ?? {};
    await pause(delayMs, era.signal);
    if (typeof reply === 'number') throw Object.assign(new Error('As it was told to'), { responseCode: reply });
    if (reply !== undefined) await this.#leave(reply, session);
  }

  /** Breaks the connection, or says nothing until the other side has enough. */
  async #leave(how: 'drop' | 'never', { id }: SMTPServerSession): Promise<void> {
    if (how === 'drop') {
      for (const connection of this.server.connections) if (connection.id === id) connection._socket.destroy();
    }
    await new Promise(() => undefined);
  }
}
