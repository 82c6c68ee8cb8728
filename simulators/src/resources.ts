/** Texts and calls as Twilio's API shows them. */
import { secondsOf } from './calls.ts';
import type { SentCall, SentText } from './outbox.ts';

const ROOT = '/2010-04-01/Accounts';

export function messageResource(text: SentText, accountSid: string): object {
  const uri = `${ROOT}/${accountSid}/Messages/${text.id}.json`;
  const isService = text.from.startsWith('MG');
  return {
    account_sid: accountSid,
    api_version: '2010-04-01',
    body: text.body,
    date_created: rfc2822(text.at),
    date_sent: text.sentAt === null ? null : rfc2822(text.sentAt),
    date_updated: rfc2822(text.sentAt ?? text.at),
    direction: text.direction,
    error_code: text.errorCode,
    error_message: null,
    from: isService ? null : text.from,
    messaging_service_sid: isService ? text.from : null,
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

export function callResource(call: SentCall, accountSid: string): object {
  const seconds = secondsOf(call);
  return {
    account_sid: accountSid,
    annotation: null,
    answered_by: null,
    api_version: '2010-04-01',
    caller_name: null,
    date_created: rfc2822(call.at),
    date_updated: rfc2822(call.endedAt ?? call.startedAt ?? call.at),
    direction: 'outbound-api',
    duration: seconds === null ? null : String(seconds),
    end_time: call.endedAt === null ? null : rfc2822(call.endedAt),
    forwarded_from: null,
    from: call.from,
    from_formatted: call.from,
    group_sid: null,
    parent_call_sid: null,
    phone_number_sid: null,
    price: null,
    price_unit: 'USD',
    queue_time: '0',
    sid: call.id,
    start_time: call.startedAt === null ? null : rfc2822(call.startedAt),
    status: call.status,
    subresource_uris: {},
    to: call.to,
    to_formatted: call.to,
    trunk_sid: null,
    uri: `${ROOT}/${accountSid}/Calls/${call.id}.json`,
  };
}

const rfc2822 = (at: Temporal.Instant): string => new Date(at.epochMilliseconds).toUTCString().replace('GMT', '+0000');

const GSM7 = /^[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\[~\]|€]*$/;

/** A text in the GSM alphabet has 160 characters, or 153 in each part of several; any other one 70, or 67. */
function segments(body: string): number {
  const gsm = GSM7.test(body);
  const [whole, part] = gsm ? [160, 153] : [70, 67];
  const length = gsm ? body.length + (body.match(/[\^{}\\[~\]|€]/g)?.length ?? 0) : body.length;
  return length <= whole ? 1 : Math.ceil(length / part);
}
