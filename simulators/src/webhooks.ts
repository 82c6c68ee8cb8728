/** Posts to the application's webhooks, signed as Twilio signs them, so that the receiver's check is the real one. */
import { createHmac, hash } from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';

export type Form = Readonly<Record<string, string>>;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** At once, over all receivers. */
const SOCKETS = 32;
const TIMEOUT_MS = 15_000;
const MAX_ANSWER = 64 * 1024;

export class Webhooks implements Disposable {
  readonly #authToken: string;
  readonly #plain = new http.Agent({ keepAlive: true, maxSockets: SOCKETS });
  readonly #secure = new https.Agent({ keepAlive: true, maxSockets: SOCKETS });
  answered = 0;
  unanswered = 0;

  constructor(authToken: string) {
    this.#authToken = authToken;
  }

  /** Null where nobody answers. That one is not asked again. */
  async post(url: string, form: Form): Promise<Answer | null> {
    try {
      const answer = await this.#request(url, form);
      this.answered++;
      return answer;
    } catch {
      this.unanswered++;
      return null;
    }
  }

  async #request(url: string, form: Form): Promise<Answer> {
    const secure = url.startsWith('https:');
    const options = {
      method: 'POST',
      agent: secure ? this.#secure : this.#plain,
      timeout: TIMEOUT_MS,
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
        'I-Twilio-Idempotency-Token': hash('sha1', url + JSON.stringify(form)),
        'User-Agent': 'TwilioProxy/1.1',
        'X-Twilio-Signature': signature(url, form, this.#authToken),
      },
    };
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = (secure ? https : http).request(url, options, resolve);
    request.on('error', reject).on('timeout', () => request.destroy(new Error('timeout')));
    // It is ASCII: written with its head, and without being looked at again.
    request.end(new URLSearchParams(form).toString(), 'latin1');
    const response = await promise;
    return { status: response.statusCode ?? 0, body: await bodyOf(response) };
  }

  forgetCounts(): void {
    this.answered = 0;
    this.unanswered = 0;
  }

  [Symbol.dispose](): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** By its events: an iterator costs more than all the rest of a short answer. */
function bodyOf(response: http.IncomingMessage): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    if (body.length < MAX_ANSWER) body += chunk;
  });
  response.on('end', () => resolve(body)).on('error', reject);
  return promise;
}

/** HMAC-SHA1 over the URL followed by each field's name and value, the names in order. */
export function signature(url: string, form: Form, authToken: string): string {
  const fields = Object.keys(form)
    .toSorted()
    .map((name) => name + form[name]);
  return createHmac('sha1', authToken)
    .update(url + fields.join(''))
    .digest('base64');
}

export function isWebUrl(url: string): boolean {
  return /^https?:\/\/[^/\s]/.test(url) && URL.canParse(url);
}
