/** The part of Twilio's API that sends texts and places calls, and says what became of them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, faultOf, refusedWith } from './api-error.ts';
import { type Behaviour, isTaken } from './behaviour.ts';
import { callRefusalOf, placeCall, readNewCall } from './calls.ts';
import { json, notFound, readForm } from './http.ts';
import { calls, listPage, texts } from './listing.ts';
import type { SentCall, SentText } from './outbox.ts';
import { pause } from './pause.ts';
import type { Provider } from './provider.ts';
import { callResource, messageResource } from './resources.ts';
import { readNewText, refusalOf, sendText } from './texts.ts';

export class TwilioApi {
  readonly #provider: Provider;
  readonly #authorization: string;
  readonly #account: string;

  constructor(provider: Provider) {
    const { accountSid, authToken } = provider.credentials;
    this.#provider = provider;
    this.#authorization = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`;
    this.#account = `/2010-04-01/Accounts/${accountSid}/`;
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (request.headers.authorization !== this.#authorization) throw new ApiError(401, 20003, 'Authenticate');
    const path = url.pathname.startsWith(this.#account) ? url.pathname.slice(this.#account.length) : '';
    const what = `${request.method} ${path}`;
    if (what === 'POST Messages.json') return this.#sendText(request, response);
    if (what === 'POST Calls.json') return this.#placeCall(request, response);
    if (request.method === 'GET') return json(response, 200, this.#show(path, url));
    throw notFound(url.pathname);
  }

  #show(path: string, url: URL): object {
    const { outbox } = this.#provider;
    if (path === 'Messages.json') return listPage(outbox, texts(this.#message), url);
    if (path === 'Calls.json') return listPage(outbox, calls(this.#call), url);
    return this.#find(path) ?? notFoundAt(url);
  }

  #find(path: string): object | null {
    const [, kind, id = ''] = /^(Messages|Calls)\/(\w+)\.json$/.exec(path) ?? [];
    const found = this.#provider.outbox.find(id);
    if (kind === 'Messages' && found?.kind === 'text') return this.#message(found);
    if (kind === 'Calls' && found?.kind === 'call') return this.#call(found);
    return null;
  }

  readonly #message = (text: SentText): object => messageResource(text, this.#provider.credentials.accountSid);
  readonly #call = (call: SentCall): object => callResource(call, this.#provider.credentials.accountSid);

  async #sendText(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider;
    const text = readNewText(await readForm(request));
    const behaviour = provider.behaviours.next('text', text.to);
    await this.#settle(response, {
      behaviour,
      refusal: refusalOf(provider, text),
      tally: provider.counts.texts,
      take: () => this.#message(sendText(provider, text, behaviour)),
    });
  }

  async #placeCall(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider;
    const call = readNewCall(await readForm(request));
    const behaviour = provider.behaviours.next('call', call.to);
    const { statusCallback } = call;
    await this.#settle(response, {
      behaviour,
      refusal: callRefusalOf(call),
      tally: provider.counts.calls,
      take: () => this.#call(placeCall(provider, call, { statusCallback, behaviour })),
    });
  }

  /** Takes it or not, and says so or not: the two need not agree. */
  async #settle(response: ServerResponse, { behaviour, refusal, tally, take }: Order): Promise<void> {
    const { reply, error, delayMs } = behaviour;
    const refused = error === undefined ? refusal : refusedWith(error);
    const resource = refused === null && isTaken(behaviour) ? take() : null;
    if (resource === null) tally.refused++;
    await pause(delayMs, this.#provider.era.signal);
    if (reply === 'drop') return void response.destroy();
    if (reply === 'never') return;
    if (typeof reply === 'number') throw faultOf(reply);
    if (resource === null) throw refused ?? faultOf(503);
    json(response, 201, resource);
  }
}

function notFoundAt(url: URL): never {
  throw notFound(url.pathname);
}

interface Order {
  readonly behaviour: Behaviour;
  readonly refusal: ApiError | null;
  readonly tally: { refused: number };
  /** Returns what the API shows of it. */
  readonly take: () => object;
}
