/** How a test or an integrator steers the provider and looks at what it did, over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { Faults, Script } from './behaviour.ts';
import { notFound } from './http.ts';
import { type InboundText, receiveText } from './inbound.ts';
import type { Sent } from './outbox.ts';
import { forgetEverything, type Provider } from './provider.ts';
import { SIMULATED } from './simulated.ts';
import { listOf, parse, type Routes, steer } from './steering.ts';
import { isPhoneNumber } from './texts.ts';
import { isWebUrl } from './webhooks.ts';

const number = z.string().refine(isPhoneNumber, 'expected a number such as +12025550123');

const Inbound = z.strictObject({
  from: number,
  /** Ours; the one that texted last unless given. */
  to: z.string().max(64).optional(),
  body: z.string().max(1_600),
  id: z
    .string()
    .regex(/^SM\w{1,64}$/, 'expected an id such as SM1')
    .nullable()
    .default(null),
  copies: z.number().int().min(1).max(20).default(1),
});

const Settings = z.strictObject({
  inboundUrl: z.string().refine(isWebUrl, 'expected an http or https URL').nullable().optional(),
  keywords: z.enum(['provider', 'application']).optional(),
});

const Press = z.strictObject({ digits: z.string().regex(/^[0-9*#]{1,20}$/, 'expected keys such as 1') });

const SHOWN = 1_000;
const MOST_SHOWN = 200_000;

const ROUTES: Routes<Provider> = [
  ['GET', /^messages$/, (provider, query) => listSent(provider, query as URLSearchParams)],
  ['GET', /^messages\/(\w+)$/, ({ outbox }, _, [id = '']) => outbox.find(id) ?? missing(id)],
  ['GET', /^counts$/, countsOf],
  ['GET', /^repeats$/, repeatsOf],
  ['GET', /^scripts$/, ({ behaviours }) => behaviours.scripts()],
  ['POST', /^scripts$/, addScripts],
  ['DELETE', /^scripts$/, forgetScripts],
  ['POST', /^faults$/, setFaults],
  ['GET', /^settings$/, ({ settings }) => settings],
  ['POST', /^settings$/, changeSettings],
  ['POST', /^inbound$/, (provider, input) => receive(provider, parse(Inbound, input))],
  ['POST', /^calls\/(\w+)\/press$/, (provider, input, [id = '']) => press(provider, id, parse(Press, input).digits)],
  ['POST', /^calls\/(\w+)\/hangup$/, (provider, _, [id = '']) => hangUp(provider, id)],
  ['POST', /^reset$/, reset],
];

export class ControlApi {
  readonly #provider: Provider;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    return steer(ROUTES, this.#provider, { request, response, url, below: '/simulator/' });
  }
}

function missing(what: string): never {
  throw notFound(what);
}

/** The newest first; by number or address, kind and direction where asked for. */
function listSent({ outbox }: Provider, query: URLSearchParams): Sent[] {
  const asked = (name: string) => query.get(name) || undefined;
  const number = asked('number');
  const kind = asked('kind');
  const direction = asked('direction');
  const limit = Math.min(Number(asked('limit') ?? SHOWN) || SHOWN, MOST_SHOWN);
  const sent = Iterator.from(number === undefined ? outbox.newestFirst() : outbox.of(number));
  return sent
    .filter((one) => one.kind === (kind ?? one.kind))
    .filter((one) => direction === undefined || (one.kind === 'text' && one.direction === direction))
    .take(limit)
    .toArray();
}

function countsOf({ counts, webhooks }: Provider): object {
  return { ...counts, callbacks: { answered: webhooks.answered, unanswered: webhooks.unanswered } };
}

/** Texts that the application sent more than once to one number, among those that are kept. */
function repeatsOf({ outbox }: Provider): object[] {
  const ids = new Map<string, { to: string; body: string; ids: string[] }>();
  for (const sent of outbox.newestFirst()) {
    if (sent.kind !== 'text' || sent.direction !== 'outbound-api') continue;
    const { id, to, body } = sent;
    const key = `${to} ${body}`;
    const same = ids.get(key);
    if (same) same.ids.push(id);
    else ids.set(key, { to, body, ids: [id] });
  }
  return [...ids.values()].filter((one) => one.ids.length > 1);
}

/** One, or several at once. */
function addScripts({ behaviours }: Provider, input: unknown): object {
  for (const script of listOf(Script, input)) behaviours.script(script);
  return { scripts: behaviours.scripts().length };
}

function forgetScripts({ behaviours }: Provider): object {
  behaviours.forgetScripts();
  return {};
}

function setFaults({ behaviours }: Provider, input: unknown): object {
  const faults = parse(Faults, input);
  behaviours.setFaults(faults);
  return faults;
}

function changeSettings({ settings }: Provider, input: unknown): object {
  const { inboundUrl = settings.inboundUrl, keywords = settings.keywords } = parse(Settings, input);
  return Object.assign(settings, { inboundUrl, keywords });
}

function receive(provider: Provider, { to, ...inbound }: z.output<typeof Inbound>): Promise<object> {
  return receiveText(provider, { ...inbound, to: to ?? numberThatWrote(provider, inbound) });
}

/** Ours, that the patient answers; who has no text from us writes to the usual one. */
export function numberThatWrote({ outbox }: Provider, { from }: Pick<InboundText, 'from'>): string {
  for (const sent of outbox.of(from)) {
    if (sent.kind !== 'text') continue;
    return sent.direction === 'inbound' ? sent.to : sent.from;
  }
  return SIMULATED.number;
}

/** Throws where nobody is on the line. */
export function press({ lines, outbox }: Provider, id: string, keys: string): object {
  const call = outbox.find(id);
  const line = lines.get(id);
  if (call?.kind !== 'call' || line === undefined) return missing(id);
  line.press(keys);
  return {};
}

export function hangUp({ lines }: Provider, id: string): object {
  const line = lines.get(id) ?? missing(id);
  line.hangUp();
  return {};
}

function reset(provider: Provider): object {
  forgetEverything(provider);
  return {};
}
