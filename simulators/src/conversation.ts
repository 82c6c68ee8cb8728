/** What a call was told to do, done verb by verb: text is said, keys are waited for, and the application is asked on. */
import type { Line } from './line.ts';
import type { SentCall } from './outbox.ts';
import { pause } from './pause.ts';
import type { Provider } from './provider.ts';
import { type Element, readTwiml, textOf } from './twiml.ts';
import { type Form, isWebUrl } from './webhooks.ts';

interface Talk {
  readonly line: Line;
  readonly instructions: { readonly twiml: string } | { readonly url: string };
}

/** A document to follow, and where it came from; null ends the call. */
type Next = { readonly response: Element; readonly url: string | null } | null;

/** As many as anybody needs; an application that sends a call in a circle ends it. */
const MAX_DOCUMENTS = 50;

export async function converse(provider: Provider, call: SentCall, { line, instructions }: Talk): Promise<void> {
  const conversation = new Conversation(provider, call, line);
  let next =
    'url' in instructions
      ? await conversation.ask(instructions.url, {})
      : conversation.read(instructions.twiml, { url: null });
  for (let count = 0; next !== null && count < MAX_DOCUMENTS; count++) next = await conversation.follow(next);
}

class Conversation {
  readonly #provider: Provider;
  readonly #call: SentCall;
  readonly #line: Line;

  constructor(provider: Provider, call: SentCall, line: Line) {
    this.#provider = provider;
    this.#call = call;
    this.#line = line;
  }

  /** Does what the document says, up to where another one takes over. */
  async follow({ response, url }: NonNullable<Next>): Promise<Next> {
    for (const verb of response.children) {
      if (typeof verb === 'string') continue;
      if (this.#line.signal.aborted) return null;
      if (verb.name === 'Hangup' || verb.name === 'Reject') return null;
      if (verb.name === 'Redirect') return this.#askNext(textOf(verb).trim(), { url, keys: '' });
      if (verb.name === 'Gather') {
        const keys = await this.#gather(verb);
        if (keys !== '') return this.#askNext(verb.attributes['action'] ?? '', { url, keys });
      } else await this.#perform(verb);
    }
    return null;
  }

  async #perform({ name, attributes, ...verb }: Element): Promise<void> {
    const { secondMs } = this.#provider.pace;
    const text = textOf({ name, attributes, ...verb }).trim();
    if (name === 'Say') this.#say(text, attributes['language'] ?? 'en-US');
    if (name === 'Play') this.#say(`[${text}]`, '');
    if (name === 'Pause') await pause(Number(attributes['length'] ?? 1) * secondMs, this.#line.signal);
  }

  #say(text: string, language: string): void {
    this.#call.said.push({ language, text });
  }

  async #gather({ attributes, children }: Element): Promise<string> {
    for (const child of children) {
      if (typeof child !== 'string') await this.#perform(child);
    }
    const { secondMs, keySeconds } = this.#provider.pace;
    this.#call.waitsForKey = true;
    const keys = await this.#line.collect({
      count: Number(attributes['numDigits'] ?? Number.POSITIVE_INFINITY),
      finishOn: attributes['finishOnKey'] ?? '#',
      waitMs: (keySeconds ?? Number(attributes['timeout'] ?? 5)) * secondMs,
    });
    this.#call.waitsForKey = false;
    if (keys !== '') this.#call.keys.push(keys);
    return this.#line.signal.aborted ? '' : keys;
  }

  /** Without an address it is the same document's once more. */
  async #askNext(to: string, { url, keys }: { url: string | null; keys: string }): Promise<Next> {
    const target = URL.parse(to, url ?? undefined)?.href ?? '';
    const pressed: Form = keys === '' ? {} : { Digits: keys, FinishedOnKey: '', msg: 'Gather End' };
    return isWebUrl(target) ? this.ask(to.startsWith('http') ? to : target, pressed) : this.#fail('11100');
  }

  async ask(url: string, more: Form): Promise<Next> {
    const answer = await this.#provider.webhooks.post(url, { ...callForm(this.#provider, this.#call), ...more });
    this.#call.reports.push({ status: 'twiml', answered: answer?.status ?? null });
    if (answer === null || answer.status >= 300) return this.#fail('11200');
    return answer.body.trim() === '' ? null : this.read(answer.body, { url });
  }

  read(twiml: string, { url }: { readonly url: string | null }): Next {
    const response = readTwiml(twiml.trim());
    return response === null ? this.#fail('12100') : { response, url };
  }

  /** What Twilio says then, by its code. */
  #fail(code: string): null {
    this.#call.fault = code;
    this.#say('We are sorry, an application error has occurred. Goodbye.', 'en-US');
    return null;
  }
}

/** What each request about a call says of it. */
export function callForm({ credentials }: Provider, call: SentCall): Form {
  return {
    AccountSid: credentials.accountSid,
    ApiVersion: '2010-04-01',
    CallSid: call.id,
    CallStatus: call.status,
    Called: call.to,
    Caller: call.from,
    Direction: 'outbound-api',
    From: call.from,
    To: call.to,
  };
}
