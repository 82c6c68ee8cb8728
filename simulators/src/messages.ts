/**
 * Text messages as Twilio's API takes them: its path, its basic authentication, its answers and its errors.
 * Its numbers for trying out errors fail here as they do there.
 */
import type { SentText } from './outbox.ts';

export interface Credentials {
  readonly accountSid: string;
  readonly authToken: string;
}

/** An answer of the API that is no success. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  toJSON(): object {
    const { code, message, status } = this;
    return { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status };
  }
}

export interface NewText {
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly statusCallback: string | null;
}

const BAD_NUMBERS: Readonly<Record<string, readonly [number, string]>> = {
  '+15005550001': [21211, "The 'To' number +15005550001 is not a valid phone number."],
  '+15005550002': [21612, "The 'To' phone number +15005550002 is not currently reachable via SMS."],
  '+15005550003': [21408, 'Permission to send an SMS has not been enabled for the region of this number.'],
  '+15005550004': [21610, 'Attempt to send to unsubscribed recipient.'],
  '+15005550009': [21614, "'To' number is not a valid mobile number."],
};

/** What the form asks for. Throws {@link ApiError}. */
export function readNewText(form: URLSearchParams): NewText {
  const to = form.get('To') || missing(21604, "A 'To' phone number is required.");
  const from =
    form.get('From') || form.get('MessagingServiceSid') || missing(21603, "A 'From' phone number is required.");
  const body = form.get('Body') || missing(21602, 'Message body is required.');
  if (body.length > 1_600)
    throw new ApiError(400, 21617, 'The concatenated message body exceeds the 1600 character limit.');
  const bad = BAD_NUMBERS[to];
  if (bad) throw new ApiError(400, ...bad);
  if (!/^\+[1-9]\d{7,14}$/.test(to)) throw new ApiError(400, 21211, `Invalid 'To' Phone Number: ${to}`);
  return { from, to, body, statusCallback: form.get('StatusCallback') };
}

function missing(code: number, message: string): never {
  throw new ApiError(400, code, message);
}

/** Basic authentication with the account's id and token. */
export function isAuthentic(header: string | undefined, { accountSid, authToken }: Credentials): boolean {
  return header === `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`;
}

/** The message as the API shows it. */
export function messageResource(text: SentText, accountSid: string): object {
  const uri = `/2010-04-01/Accounts/${accountSid}/Messages/${text.id}.json`;
  const at = new Date(text.at.epochMilliseconds).toUTCString().replace('GMT', '+0000');
  return {
    account_sid: accountSid,
    api_version: '2010-04-01',
    body: text.body,
    date_created: at,
    date_sent: text.status === 'queued' ? null : at,
    date_updated: at,
    direction: 'outbound-api',
    error_code: null,
    error_message: null,
    from: text.from,
    messaging_service_sid: null,
    num_media: '0',
    num_segments: String(segments(text.body)),
    price: null,
    price_unit: 'USD',
    sid: text.id,
    status: text.status,
    subresource_uris: { media: uri.replace('.json', '/Media.json') },
    to: text.to,
    uri,
  };
}

const GSM7 = /^[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\[~\]|€]*$/;

/** A text in the GSM alphabet has 160 characters, or 153 in each part of several; any other one 70, or 67. */
function segments(body: string): number {
  const gsm = GSM7.test(body);
  const [whole, part] = gsm ? [160, 153] : [70, 67];
  const length = gsm ? body.length + (body.match(/[\^{}\\[~\]|€]/g)?.length ?? 0) : body.length;
  return length <= whole ? 1 : Math.ceil(length / part);
}
