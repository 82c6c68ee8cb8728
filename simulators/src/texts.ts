/** The life of a text: taken, and then on its way to the phone, with a report of each step. */
import { ApiError, MAGIC_NUMBERS, refusedWith } from './api-error.ts';
import type { Behaviour } from './behaviour.ts';
import type { SentText, TextStatus } from './outbox.ts';
import { pause } from './pause.ts';
import { countIn, moveTo, type Provider, type Reporting } from './provider.ts';
import { type Form, isWebUrl } from './webhooks.ts';

export interface NewText {
  readonly from: string;
  readonly to: string;
  readonly body: string;
  readonly statusCallback: string | null;
}

const MAX_LENGTH = 1_600;

/** What the form asks for. Throws {@link ApiError}. */
export function readNewText(form: URLSearchParams): NewText {
  const to = form.get('To') || missing(21604, "A 'To' phone number is required.");
  const from =
    form.get('From') || form.get('MessagingServiceSid') || missing(21603, "A 'From' phone number is required.");
  const body = form.get('Body') || missing(21602, 'Message body is required.');
  const statusCallback = form.get('StatusCallback');
  if (body.length > MAX_LENGTH) missing(21617, 'The concatenated message body exceeds the 1600 character limit.');
  if (statusCallback !== null && !isWebUrl(statusCallback)) missing(21609, 'The StatusCallback URL is not valid.');
  if (!isPhoneNumber(to)) throw refusedWith(21211);
  return { from, to, body, statusCallback };
}

export const isPhoneNumber = (text: string): boolean => /^\+[1-9]\d{7,14}$/.test(text);

function missing(code: number, message: string): never {
  throw new ApiError(400, code, message);
}

/** Why this text is refused by its number alone, if it is. */
export function refusalOf({ blocked }: Provider, { to }: NewText): ApiError | null {
  const code = MAGIC_NUMBERS.get(to) ?? (blocked.has(to) ? 21610 : null);
  return code === null ? null : refusedWith(code);
}

/** Takes it; what follows goes on by itself. */
export function sendText(provider: Provider, { statusCallback, ...text }: NewText, behaviour: Behaviour): SentText {
  const sent = keepText(provider, text, 'outbound-api');
  setImmediate(() => void deliver(provider, sent, { statusCallback, behaviour }));
  return sent;
}

/** What the provider says by itself, or a webhook answered. */
export function reply(provider: Provider, text: Pick<NewText, 'from' | 'to' | 'body'>): void {
  const sent = keepText(provider, text, 'outbound-reply');
  for (const status of ['sending', 'sent', 'delivered'] as const) advance(provider, sent, { status });
}

function keepText(
  { outbox, counts, newId, now }: Provider,
  { from, to, body }: Pick<NewText, 'from' | 'to' | 'body'>,
  direction: 'outbound-api' | 'outbound-reply',
): SentText {
  const sent: SentText = {
    kind: 'text',
    id: `SM${newId()}`,
    at: now(),
    from,
    to,
    body,
    direction,
    status: 'queued',
    sentAt: null,
    errorCode: null,
    reports: [],
  };
  outbox.add(sent);
  countIn(counts.texts, sent.status);
  return sent;
}

const ON_THE_WAY = ['sending', 'sent'] as const;
const STEPS: Readonly<Partial<Record<string, readonly TextStatus[]>>> = {
  queued: [],
  sending: ['sending'],
  sent: ON_THE_WAY,
  undelivered: [...ON_THE_WAY, 'undelivered'],
  failed: ['sending', 'failed'],
  delivered: [...ON_THE_WAY, 'delivered'],
};
const DELIVERED: readonly TextStatus[] = [...ON_THE_WAY, 'delivered'];
/** Twilio reports these by itself. */
const REPORTED: ReadonlySet<string> = new Set(['sent', 'delivered', 'undelivered', 'failed']);
const NOTHING: ReadonlySet<string> = new Set();
const UNKNOWN_ERROR = 30_008;

async function deliver(provider: Provider, text: SentText, reporting: Reporting): Promise<void> {
  const { behaviour } = reporting;
  const { signal } = provider.era;
  const steps = stepsOf(behaviour);
  const later = reportedLater(behaviour, steps);
  const atOnce = later === null ? REPORTED : NOTHING;
  const tell = (status: string) => report(provider, text, { status, ...reporting });
  for (const status of steps) {
    await pause(behaviour.stepMs, signal);
    if (signal.aborted) return;
    advance(provider, text, { status, errorCode: behaviour.errorCode });
    if (atOnce.has(status)) await tell(status);
  }
  for (const status of later ?? []) {
    await pause(behaviour.callbackDelayMs, signal);
    if (!signal.aborted) await tell(status);
  }
}

function stepsOf({ outcome = 'delivered' }: Behaviour): readonly TextStatus[] {
  return STEPS[outcome] ?? DELIVERED;
}

/** Scripted reports, and late ones, do not hold up the text itself. Null: each step is reported as it is taken. */
function reportedLater({ callbacks, callbackDelayMs }: Behaviour, steps: readonly string[]): readonly string[] | null {
  if (callbacks !== undefined) return callbacks;
  return callbackDelayMs > 0 ? steps.filter((status) => REPORTED.has(status)) : null;
}

const isFailure = (status: string): boolean => status === 'undelivered' || status === 'failed';

interface Step {
  readonly status: TextStatus;
  readonly errorCode?: number | undefined;
}

function advance({ counts, now }: Provider, text: SentText, { status, errorCode = UNKNOWN_ERROR }: Step): void {
  if (status === 'sent' || status === 'failed') text.sentAt = now();
  if (isFailure(status)) text.errorCode = errorCode;
  moveTo(counts, text, status);
}

async function report(
  { webhooks, credentials }: Provider,
  text: SentText,
  { status, statusCallback }: Reporting & { readonly status: string },
): Promise<void> {
  if (statusCallback === null) return;
  const error: Form = isFailure(status) ? { ErrorCode: String(text.errorCode ?? UNKNOWN_ERROR) } : {};
  const answer = await webhooks.post(statusCallback, {
    AccountSid: credentials.accountSid,
    ApiVersion: '2010-04-01',
    From: text.from,
    MessageSid: text.id,
    MessageStatus: status,
    SmsSid: text.id,
    SmsStatus: status,
    To: text.to,
    ...error,
  });
  text.reports.push({ status, answered: answer?.status ?? null });
}
