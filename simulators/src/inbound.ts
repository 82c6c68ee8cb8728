/**
 * Texts from patients: posted to the application, and, as Twilio does by itself, STOP, START and HELP answered.
 * Who wrote STOP is sent nothing more until START.
 */
import type { SentText } from './outbox.ts';
import type { Provider } from './provider.ts';
import { reply } from './texts.ts';
import { readTwiml, textOf } from './twiml.ts';

export interface InboundText {
  readonly from: string;
  readonly to: string;
  readonly body: string;
  /** Posted again under this id, as Twilio does when it is not sure. */
  readonly id: string | null;
  readonly copies: number;
}

export interface Received {
  readonly id: string;
  /** What the webhook answered each time; null where it did not. */
  readonly answered: readonly (number | null)[];
}

const STOP = new Set(['STOP', 'STOPALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT', 'REVOKE', 'OPTOUT']);
const START = new Set(['START', 'YES', 'UNSTOP']);
const HELP = new Set(['HELP', 'INFO']);

const ANSWERS = {
  stop: 'You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe.',
  start:
    'You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.',
  help: 'Reply STOP to unsubscribe. Msg&Data Rates May Apply.',
} as const;

/** Resolves when the application has answered. */
export async function receiveText(provider: Provider, inbound: InboundText): Promise<Received> {
  const text = keepInbound(provider, inbound);
  if (provider.settings.keywords === 'provider') answerKeyword(provider, text);
  const answered: (number | null)[] = [];
  for (let copy = 0; copy < inbound.copies; copy++) answered.push(await forward(provider, text));
  return { id: text.id, answered };
}

function keepInbound(provider: Provider, { from, to, body, id }: InboundText): SentText {
  const known = id === null ? undefined : provider.outbox.find(id);
  if (known?.kind === 'text') return known;
  const at = provider.now();
  const text: SentText = {
    kind: 'text',
    id: id ?? `SM${provider.newId()}`,
    at,
    from,
    to,
    body,
    direction: 'inbound',
    status: 'received',
    sentAt: at,
    errorCode: null,
    reports: [],
  };
  provider.outbox.add(text);
  provider.counts.received++;
  return text;
}

function answerKeyword(provider: Provider, { from, to, body }: SentText): void {
  const word = body.trim().toUpperCase();
  const say = (answer: keyof typeof ANSWERS) => reply(provider, { from: to, to: from, body: ANSWERS[answer] });
  if (STOP.has(word)) {
    if (provider.blocked.has(from)) return;
    provider.blocked.add(from);
    say('stop');
  } else if (START.has(word)) {
    // YES may be an answer to something else.
    if (provider.blocked.delete(from) || word !== 'YES') say('start');
  } else if (HELP.has(word)) say('help');
}

async function forward(provider: Provider, text: SentText): Promise<number | null> {
  const { credentials, settings, webhooks } = provider;
  if (settings.inboundUrl === null) return null;
  const answer = await webhooks.post(settings.inboundUrl, {
    AccountSid: credentials.accountSid,
    ApiVersion: '2010-04-01',
    Body: text.body,
    From: text.from,
    MessageSid: text.id,
    NumMedia: '0',
    NumSegments: '1',
    SmsMessageSid: text.id,
    SmsSid: text.id,
    SmsStatus: 'received',
    To: text.to,
  });
  text.reports.push({ status: 'received', answered: answer?.status ?? null });
  if (answer !== null && answer.status < 300) answerTwiml(provider, text, answer.body);
  return answer?.status ?? null;
}

function answerTwiml(provider: Provider, { from, to }: SentText, twiml: string): void {
  if (!twiml.trimStart().startsWith('<')) return;
  const response = readTwiml(twiml);
  for (const verb of response?.children ?? []) {
    if (typeof verb === 'string' || verb.name !== 'Message') continue;
    if (!provider.blocked.has(from)) reply(provider, { from: to, to: from, body: textOf(verb).trim() });
  }
}
