/** The payer's FHIR R4 API: Coverage by search and by id, CoverageEligibilityRequest, and what it is capable of. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  answerError,
  answerResource,
  answerSpoiled,
  capabilityStatement,
  checkToken,
  FhirError,
  fhirError,
  pageSize,
  searchSet,
} from '../fhir.ts';
import { ApiError } from '../api-error.ts';
import { readForm, readJson } from '../http.ts';
import { pause } from '../pause.ts';
import type { Behaviour } from './behaviour.ts';
import { type Asked, noteAnswered, noteAsked, type Payer, type Sought } from './payer.ts';
import { coverage, eligibilityResponse, readQuestion } from './resources.ts';

/** The API's base URL, below the simulators' own. */
export const PAYER_PATH = '/payer/fhir';

const CAPABLE = {
  title: 'Simulated payer',
  date: '2026-01-01',
  interactions: { Coverage: ['read', 'search-type'], CoverageEligibilityRequest: ['create'] },
};

/** What goes out, unless the payer behaves otherwise. */
interface Answer {
  readonly status: number;
  readonly resource: object;
}

interface Prepared {
  readonly asked: Asked;
  readonly behaviour: Behaviour;
  readonly answer: () => Answer;
}

export class PayerApi {
  readonly #payer: Payer;

  constructor(payer: Payer) {
    this.#payer = payer;
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (this.#payer.settings.outage) return void request.destroy();
    let asked: Asked | undefined;
    try {
      checkToken(request, this.#payer.settings.token);
      this.#payer.rate.take();
      const prepared = await this.#prepare(request, url);
      asked = prepared.asked;
      noteAsked(this.#payer, asked);
      await this.#settle(response, prepared);
    } catch (thrown) {
      const error = thrown instanceof FhirError ? thrown : fhirError(thrown instanceof ApiError ? thrown.status : 500);
      noteAnswered(this.#payer, asked, error.status);
      answerError(response, error);
    }
  }

  async #prepare(request: IncomingMessage, url: URL): Promise<Prepared> {
    const path = url.pathname.slice(PAYER_PATH.length);
    const what = `${request.method} ${path}`;
    const base = `http://${request.headers.host}${PAYER_PATH}/Coverage`;
    const asked = { method: request.method ?? '', url: request.url ?? '', planIds: [], status: null };
    if (what === 'POST /CoverageEligibilityRequest') return this.#eligibility(request, asked);
    if (what === 'POST /Coverage/_search') return this.#search(await readForm(request), base, asked);
    if (what === 'GET /Coverage') return this.#search(url.searchParams, base, asked);
    if (what === 'GET /metadata')
      return this.#known({ ...asked, kind: 'read', member: '' }, capabilityStatement(CAPABLE));
    const [, id = ''] = /^GET \/Coverage\/([A-Za-z0-9\-.]{1,64})$/.exec(what) ?? [];
    const found = this.#payer.members.find(id);
    if (!found) throw fhirError(404);
    return this.#known({ ...asked, kind: 'read', member: found.member }, coverage(found.member, found.plan));
  }

  #known(asked: Asked, resource: object): Prepared {
    const behaviour = this.#payer.behaviours.next('read', asked.member);
    return { asked, behaviour, answer: () => ({ status: 200, resource }) };
  }

  async #eligibility(request: IncomingMessage, asked: Omit<Asked, 'kind' | 'member'>): Promise<Prepared> {
    const question = readQuestion(await readJson(request));
    const { member, planIds } = question;
    const { members, behaviours } = this.#payer;
    const behaviour = behaviours.next('eligibility', member);
    const answer = () => {
      const now = this.#payer.now();
      const day = question.day ?? now.toZonedDateTimeISO('UTC').toPlainDate();
      const plans = members.plansOf(member, day).filter(({ id }) => planIds.includes(id));
      const id = `${this.#payer.counts.byKind.eligibility}`;
      return { status: 201, resource: eligibilityResponse({ id, question, plans, now, lie: behaviour.lie }) };
    };
    return { asked: { ...asked, kind: 'eligibility', member, planIds }, behaviour, answer };
  }

  /** The first page, or by its token the next one. */
  #search(parameters: URLSearchParams, base: string, asked: Omit<Asked, 'kind' | 'member'>): Prepared {
    const { searches, behaviours } = this.#payer;
    const token = parameters.get('_page');
    const known = token === null ? null : searches.find(token);
    if (known === undefined) throw fhirError(404);
    const sought = known?.criteria ?? { member: memberIn(parameters), status: parameters.get('status') };
    const page = {
      count: known?.count ?? pageSize(parameters),
      offset: Math.max(0, Math.trunc(Number(parameters.get('_offset') ?? 0)) || 0),
      token,
      isAgain: parameters.has('_again'),
      base,
    };
    const { member } = sought;
    const behaviour = behaviours.next('search', member);
    const answer = () => ({ status: 200, resource: this.#page(sought, page, behaviour) });
    return { asked: { ...asked, kind: 'search', member }, behaviour, answer };
  }

  #page(sought: Sought, { count, offset, token, isAgain, base }: Page, { pages }: Behaviour): object {
    const { members, searches, now } = this.#payer;
    const today = now().toZonedDateTimeISO('UTC').toPlainDate();
    const { member, status } = sought;
    const all = members
      .plansOf(member, today)
      .map((plan) => coverage(member, plan))
      .filter((one) => status === null || one['status'] === status);
    const kept = () => token ?? searches.open({ criteria: sought, count });
    const at = (position: number) => `${base}?_page=${kept()}&_offset=${position}`;
    const rest = offset + count < all.length;
    // Doubled: where the next page should begin, this one comes once more before it does.
    const next = rest ? at(offset + count) : pages === 'loop' ? at(0) : null;
    const again = pages === 'doubled' && !isAgain ? `${at(offset)}&_again=1` : null;
    return searchSet({
      total: all.length,
      resources: all.slice(offset, offset + count),
      next: again ?? next,
      self: token === null ? base : at(offset),
    });
  }

  async #settle(response: ServerResponse, { asked, behaviour, answer }: Prepared): Promise<void> {
    const { settings, era } = this.#payer;
    const { delayMs, reply, retryAfterSeconds = null, body } = behaviour;
    await pause(delayMs + settings.delayMs, era.signal);
    if (reply === 'drop') return void response.destroy();
    if (reply === 'never') return;
    if (typeof reply === 'number') throw fhirError(reply, retryAfterSeconds);
    const { status, resource } = answer();
    noteAnswered(this.#payer, asked, status);
    if (body === undefined) return answerResource(response, status, resource);
    answerSpoiled(response, body, { status, resource });
  }
}

interface Page {
  readonly count: number;
  readonly offset: number;
  readonly token: string | null;
  readonly isAgain: boolean;
  readonly base: string;
}

const WHOSE = ['beneficiary.identifier', 'patient.identifier', 'subscriber.identifier', 'beneficiary:identifier'];

/** `system|value`, or the value alone, in which `|` and the like are escaped. Throws the 400 of a search for everybody. */
function memberIn(parameters: URLSearchParams): string {
  const given = WHOSE.map((name) => parameters.get(name)).find((value) => value !== null);
  const [value = ''] = (given ?? '').split(/(?<!\\)\|/).toReversed();
  const member = value.replaceAll(/\\([\\$,|])/g, '$1');
  if (member === '') throw fhirError(400);
  return member;
}
