/** How a test or an integrator steers the payer and looks at what it was asked, over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { listOf, parse, type Routes, steer } from '../steering.ts';
import { Faults, Script } from './behaviour.ts';
import { Member } from './members.ts';
import { forgetPayer, type Payer } from './payer.ts';

const Settings = z.strictObject({
  outage: z.boolean().optional(),
  delayMs: z.number().int().min(0).max(3_600_000).optional(),
  token: z.string().min(1).nullable().optional(),
  ratePerSecond: z.number().min(1).nullable().optional(),
});

/** Below `/simulator/payer/`. */
const ROUTES: Routes<Payer> = [
  ['GET', /^members$/, (payer, query) => plansOf(payer, query as URLSearchParams)],
  ['POST', /^members$/, tellMembers],
  ['GET', /^requests$/, ({ asked }) => asked.toReversed()],
  ['GET', /^counts$/, ({ counts }) => counts],
  ['GET', /^scripts$/, ({ behaviours }) => behaviours.scripts.list()],
  ['POST', /^scripts$/, addScripts],
  ['DELETE', /^scripts$/, forgetScripts],
  ['POST', /^faults$/, setFaults],
  ['GET', /^settings$/, settingsOf],
  ['POST', /^settings$/, changeSettings],
  ['POST', /^reset$/, reset],
];

export const PAYER_CONTROL = '/simulator/payer/';

export class PayerControl {
  readonly #payer: Payer;

  constructor(payer: Payer) {
    this.#payer = payer;
  }

  answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    return steer(ROUTES, this.#payer, { request, response, url, below: PAYER_CONTROL });
  }
}

/** Of one member, this year. */
function plansOf({ members, now }: Payer, query: URLSearchParams): object {
  const member = query.get('member') ?? '';
  return { member, plans: members.plansOf(member, now().toZonedDateTimeISO('UTC').toPlainDate()) };
}

function tellMembers({ members }: Payer, input: unknown): object {
  for (const member of listOf(Member, input)) members.tell(member);
  return { members: members.size };
}

function addScripts({ behaviours }: Payer, input: unknown): object {
  for (const script of listOf(Script, input)) behaviours.scripts.add(script);
  return { scripts: behaviours.scripts.list().length };
}

function forgetScripts({ behaviours }: Payer): object {
  behaviours.scripts.clear();
  return {};
}

function setFaults({ behaviours }: Payer, input: unknown): object {
  const faults = parse(Faults, input);
  behaviours.setFaults(faults);
  return faults;
}

function settingsOf({ settings, rate }: Payer): object {
  return { ...settings, ratePerSecond: rate.perSecond };
}

function changeSettings(payer: Payer, input: unknown): object {
  const { ratePerSecond = payer.rate.perSecond, ...changed } = parse(Settings, input);
  payer.rate.perSecond = ratePerSecond;
  Object.assign(payer.settings, changed);
  return settingsOf(payer);
}

function reset(payer: Payer): object {
  forgetPayer(payer);
  return {};
}
