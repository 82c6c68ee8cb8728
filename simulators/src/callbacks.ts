/** Status callbacks, signed as Twilio signs them, so that the receiver's check is the real one. */
import { createHmac } from 'node:crypto';
import type { Credentials } from './messages.ts';
import type { SentText } from './outbox.ts';

/** Tells `url` of each step on the way to delivery. A receiver that does not answer is not asked again. */
export async function reportDelivery(url: string, text: SentText, credentials: Credentials): Promise<void> {
  for (const status of ['sent', 'delivered'] as const) {
    text.status = status;
    await post(url, statusForm(text, credentials.accountSid), credentials.authToken);
  }
}

function statusForm({ id, to, from, status }: SentText, accountSid: string): Record<string, string> {
  return {
    AccountSid: accountSid,
    ApiVersion: '2010-04-01',
    From: from,
    MessageSid: id,
    MessageStatus: status,
    SmsSid: id,
    SmsStatus: status,
    To: to,
  };
}

async function post(url: string, form: Record<string, string>, authToken: string): Promise<void> {
  await fetch(url, {
    method: 'POST',
    headers: { 'X-Twilio-Signature': signature(url, form, authToken) },
    body: new URLSearchParams(form),
    signal: AbortSignal.timeout(5_000),
  }).catch(() => undefined);
}

/** HMAC-SHA1 over the URL followed by each field's name and value, the names in order. */
export function signature(url: string, form: Readonly<Record<string, string>>, authToken: string): string {
  const fields = Object.keys(form)
    .toSorted()
    .map((name) => name + form[name]);
  return createHmac('sha1', authToken)
    .update(url + fields.join(''))
    .digest('base64');
}
