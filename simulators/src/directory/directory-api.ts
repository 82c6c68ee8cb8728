/** The directory's FHIR R4 API: Practitioner, Schedule and Slot by search, and what it is capable of. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '../api-error.ts';
import {
  answerError,
  answerResource,
  answerSpoiled,
  capabilityStatement,
  checkToken,
  FhirError,
  fhirError,
  pageSize,
  type Resource,
  searchSet,
} from '../fhir.ts';
import { readForm } from '../http.ts';
import { pause } from '../pause.ts';
import { type Behaviour, behaviourFor, type RequestKind } from './behaviour.ts';
import { type Asked, type Directory, noteAsked } from './directory.ts';
import { practitionerIn, practitionerOf, scheduleOf, searchSlots, slotsFor } from './resources.ts';

/** The API's base URL, below the simulators' own. */
export const DIRECTORY_PATH = '/directory/fhir';

const READ = ['read', 'search-type'];
const CAPABLE = {
  title: 'Simulated directory of providers',
  date: '2026-01-01',
  interactions: { Practitioner: READ, Schedule: ['search-type'], Slot: ['search-type'] },
};

const KINDS = { Practitioner: 'practitioners', Schedule: 'schedules', Slot: 'slots' } as const;
type Type = keyof typeof KINDS;

interface Prepared {
  readonly kind: RequestKind;
  readonly practitioner: string;
  readonly answer: (behaviour: Behaviour) => object;
}

export class DirectoryApi {
  readonly #directory: Directory;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { settings, rate, scripts } = this.#directory;
    if (settings.outage) return void request.destroy();
    let asked: Asked | undefined;
    try {
      checkToken(request, settings.token);
      rate.take();
      const { kind, practitioner, answer } = await this.#prepare(request, url);
      asked = { kind, practitioner, status: null };
      noteAsked(this.#directory, asked);
      const behaviour = behaviourFor(scripts, kind, practitioner);
      if (!(await this.#lets(response, behaviour))) return;
      const resource = answer(behaviour);
      asked.status = 200;
      if (behaviour.body === undefined) answerResource(response, 200, resource);
      else answerSpoiled(response, behaviour.body, { status: 200, resource });
    } catch (thrown) {
      const error = thrown instanceof FhirError ? thrown : fhirError(thrown instanceof ApiError ? thrown.status : 500);
      if (asked) asked.status = error.status;
      answerError(response, error);
    }
  }

  /** Whether there is to be an answer. Throws the status that is to be said. */
  async #lets(response: ServerResponse, { delayMs, reply, retryAfterSeconds }: Behaviour): Promise<boolean> {
    const { settings, era } = this.#directory;
    await pause(delayMs + settings.delayMs, era.signal);
    if (reply === 'drop') response.destroy();
    if (typeof reply === 'number') throw fhirError(reply, retryAfterSeconds ?? null);
    return reply === undefined;
  }

  async #prepare(request: IncomingMessage, url: URL): Promise<Prepared> {
    const what = `${request.method} ${url.pathname.slice(DIRECTORY_PATH.length)}`;
    if (what === 'GET /metadata') return known('', capabilityStatement(CAPABLE));
    const [, type] = /^(?:POST \/(\w+)\/_search|GET \/(\w+))$/.exec(what)?.filter(Boolean) ?? [];
    if (isType(type)) {
      const parameters = request.method === 'POST' ? await readForm(request) : url.searchParams;
      return this.#search(type, parameters, `http://${request.headers.host}${DIRECTORY_PATH}/${type}`);
    }
    const [, id = ''] = /^GET \/Practitioner\/([A-Za-z0-9\-.]{1,64})$/.exec(what) ?? [];
    const found = this.#directory.practitioners.find(id);
    if (!found) throw fhirError(404);
    return known(id, practitionerOf(found));
  }

  /** The first page, or by its token the next one. */
  #search(type: Type, parameters: URLSearchParams, base: string): Prepared {
    const token = parameters.get('_page');
    const kept = token === null ? null : this.#directory.searches.find(token);
    if (kept === undefined) throw fhirError(404);
    const practitioner = kept?.criteria[0] ? practitionerIn(kept.criteria[0]) : whose(type, parameters);
    const page = {
      base,
      token,
      count: kept?.count ?? pageSize(parameters),
      offset: Math.max(0, Math.trunc(Number(parameters.get('_offset') ?? 0)) || 0),
      isAgain: parameters.has('_again'),
    };
    const answer = (behaviour: Behaviour) =>
      this.#page(kept?.criteria ?? this.#find(type, parameters, behaviour), page, behaviour);
    return { kind: KINDS[type], practitioner: type === 'Practitioner' ? '' : practitioner, answer };
  }

  #find(type: Type, parameters: URLSearchParams, { lie }: Behaviour): readonly Resource[] {
    const { practitioners, now } = this.#directory;
    if (type === 'Slot') return searchSlots(practitioners, parameters, { now: now(), lie });
    const active = practitioners.all().filter((one) => one.active || parameters.get('active') !== 'true');
    if (type === 'Practitioner') return active.map(practitionerOf);
    const sought = whose(type, parameters);
    return active.filter(({ id }) => id === sought).map((one) => scheduleOf(one, now()));
  }

  #page(all: readonly Resource[], { base, token, count, offset, isAgain }: Page, { pages }: Behaviour): object {
    const kept = () => token ?? this.#directory.searches.open({ criteria: all, count });
    const at = (position: number) => `${base}?_page=${kept()}&_offset=${position}`;
    const next = offset + count < all.length ? at(offset + count) : pages === 'loop' ? at(0) : null;
    const again = pages === 'doubled' && !isAgain ? `${at(offset)}&_again=1` : null;
    const self = token === null ? base : at(offset);
    return searchSet({ total: all.length, resources: all.slice(offset, offset + count), next: again ?? next, self });
  }
}

interface Page {
  readonly base: string;
  readonly token: string | null;
  readonly count: number;
  readonly offset: number;
  readonly isAgain: boolean;
}

const isType = (type: string | undefined): type is Type => type !== undefined && type in KINDS;

const known = (practitioner: string, resource: object): Prepared => ({
  kind: 'read',
  practitioner,
  answer: () => resource,
});

function whose(type: Type, parameters: URLSearchParams): string {
  if (type === 'Practitioner') return '';
  if (type === 'Slot') return slotsFor(parameters)[0] ?? '';
  return (parameters.get('actor') ?? '').replace(/^Practitioner\//, '');
}
