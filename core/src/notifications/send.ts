/** Giving a message to the provider, by its channel. */
import type { Channel } from '#care';
import type { Email } from '#integrations/email';
import { Refused, Unavailable } from '#integrations/guard';
import type { Sms } from '#integrations/sms';
import type { Voice } from '#integrations/voice';
import type { Message, Outcome } from './outgoing.ts';

/** Who takes messages for us. */
export interface Outside {
  readonly sms: Sms;
  readonly voice: Voice;
  readonly email: Email;
  /** Where they tell us what became of one; nothing is told when there is no such address. */
  readonly publicUrl: string | undefined;
}

export async function send(outside: Outside, message: Message): Promise<Outcome> {
  try {
    return { kind: 'SENT', providerMessageId: await BY[message.channel](outside, message) };
  } catch (thrown) {
    if (thrown instanceof Refused) return { kind: 'REFUSED', code: thrown.code };
    if (thrown instanceof Unavailable) return { kind: 'UNAVAILABLE', code: thrown.code };
    // Whatever else went wrong, it may have gone out.
    return { kind: 'UNKNOWN', code: codeOf(thrown) };
  }
}

function codeOf(thrown: unknown): string {
  const { code } = thrown as { code?: unknown };
  return typeof code === 'string' || typeof code === 'number' ? String(code) : 'UNKNOWN';
}

const BY: Readonly<Record<Channel, (outside: Outside, message: Message) => Promise<string>>> = {
  SMS: ({ sms, publicUrl }, message) => sms.send({ to: message.to, body: message.text, ...report(publicUrl, message) }),
  VOICE: ({ voice, publicUrl }, message) =>
    voice.call({
      to: message.to,
      say: message.text,
      language: message.language === 'es' ? 'es-US' : 'en-US',
      ...report(publicUrl, message),
      ...keys(publicUrl, message),
    }),
  EMAIL: ({ email }, { id, to, subject, text }) =>
    email.send({ to, subject: subject ?? '', text, messageId: `<${id}@careflex.invalid>` }),
};

/** Ids and nothing else: the provider keeps its addresses in logs. */
const idsOf = ({ id, attemptId }: Message): string => `?n=${id}&a=${attemptId}`;

function report(publicUrl: string | undefined, message: Message): { statusCallback?: string } {
  if (publicUrl === undefined) return {};
  return { statusCallback: new URL(`/webhooks/twilio/status${idsOf(message)}`, publicUrl).href };
}

function keys(publicUrl: string | undefined, message: Message): { gather?: { action: string } } {
  if (publicUrl === undefined) return {};
  return { gather: { action: new URL(`/webhooks/twilio/voice${idsOf(message)}`, publicUrl).href } };
}
