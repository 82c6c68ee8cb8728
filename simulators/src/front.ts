/** What a browser sees: the pages, and their forms. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './api-error.ts';
import { hangUp, numberThatWrote, press } from './control-api.ts';
import { notFound, readForm, seeOther } from './http.ts';
import { receiveText } from './inbound.ts';
import type { Sent } from './outbox.ts';
import { PAGE_HEADERS, renderConversation, renderOverview } from './page.ts';
import type { Provider } from './provider.ts';
import { isPhoneNumber } from './texts.ts';

const SHOWN = 200;

export class Front {
  readonly #provider: Provider;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { outbox } = this.#provider;
    if (request.method === 'POST') return this.#take(request, response, url);
    if (request.method !== 'GET') throw notFound(url.pathname);
    if (url.pathname === '/') return page(response, renderOverview(first(outbox.newestFirst())));
    const [, number = ''] = /^\/numbers\/([^/]+)$/.exec(url.pathname) ?? [];
    const asked = decodeURIComponent(number);
    if (!isPhoneNumber(asked)) throw notFound(url.pathname);
    page(response, renderConversation(asked, first(outbox.of(asked))));
  }

  async #take(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const form = await readForm(request);
    if (url.pathname === '/reply') return seeOther(response, await this.#reply(form));
    const [, id = '', what] = /^\/calls\/(\w+)\/(press|hangup)$/.exec(url.pathname) ?? [];
    if (what === 'press') press(this.#provider, id, /^[0-9*#]$/.exec(form.get('digits') ?? '')?.[0] ?? '');
    else if (what === 'hangup') hangUp(this.#provider, id);
    else throw notFound(url.pathname);
    // Not to where the form says it comes from: a header may say anything.
    seeOther(response, '/');
  }

  async #reply(form: URLSearchParams): Promise<string> {
    const from = form.get('from') ?? '';
    const body = form.get('body') ?? '';
    if (!isPhoneNumber(from) || body === '') throw new ApiError(400, 20001, 'A number and a text are needed.');
    const to = numberThatWrote(this.#provider, { from });
    await receiveText(this.#provider, { from, to, body, id: null, copies: 1 });
    return `/numbers/${encodeURIComponent(from)}`;
  }
}

/** No page of another site may answer as a patient here, or steer anything. */
export function refuseOtherSites(request: IncomingMessage): void {
  const site = request.headers['sec-fetch-site'] ?? 'none';
  if (request.method !== 'GET' && site !== 'none' && site !== 'same-origin') {
    throw new ApiError(403, 20403, 'Another site may not ask this.');
  }
}

function first(sent: Iterable<Sent>): Sent[] {
  return Iterator.from(sent).take(SHOWN).toArray();
}

function page(response: ServerResponse, text: string): void {
  response.writeHead(200, PAGE_HEADERS).end(text);
}
