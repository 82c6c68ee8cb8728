/**
 * FHIR R4 over HTTP, as JSON: one client for whoever speaks it. Connections are kept, answers are bounded, and whom
 * something is about stands in a body, never in a URL.
 *
 * Numbers arrive as the text they were written as: FHIR's decimals are exact, and a number of JavaScript is not.
 */
import { z } from 'zod';
import { type Guarded, Refused, Unavailable } from './guard.ts';

/** The answer cannot be read as what was asked for. Asking again gives the same. */
export class Malformed extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`The other side answers what cannot be read (${code})`);
    this.code = code;
  }
}

/** The other side asks for a pause. Until it is over nothing is asked at all. */
export class RateLimited extends Unavailable {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('429');
    this.retryAfterMs = retryAfterMs;
  }
}

export interface FhirClient {
  /** What the server answers to the resource. Throws `Unavailable`, `Refused`, `Malformed` or `RateLimited`. */
  create(type: string, resource: object, signal?: AbortSignal): Promise<unknown>;
  /** All resources that are found, over all pages, each once. Throws as `create` does. */
  search(type: string, parameters: Parameters, signal?: AbortSignal): Promise<Resource[]>;
}

/** In pairs where a name comes twice, which means both. */
type Parameters = Readonly<Record<string, string>> | readonly [string, string][];

interface Server {
  readonly baseUrl: string;
  readonly token: string | undefined;
}

/** Whatever else it holds. */
const Resource = z.looseObject({ resourceType: z.string(), id: z.string() });
export type Resource = z.output<typeof Resource>;

const Bundle = z.object({
  resourceType: z.literal('Bundle'),
  link: z.array(z.object({ relation: z.string(), url: z.string() })).nullish(),
  entry: z
    .array(z.object({ resource: z.unknown().optional(), search: z.object({ mode: z.string() }).nullish() }))
    .nullish(),
});

const MAX_PAGES = 100;
const JSON_TYPE = 'application/fhir+json';
const FORM = 'application/x-www-form-urlencoded';

export function fhirClient({ baseUrl, token }: Server, guarded: Guarded): FhirClient {
  const base = new URL(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
  const headers = { Accept: JSON_TYPE, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
  const quiet = new QuietTime();

  const ask = async (url: URL, asked: Asked, signal: AbortSignal | undefined): Promise<unknown> => {
    quiet.check();
    const answer = await untilAborted(
      guarded.ask((limit) => exchange(url, { ...asked, headers: { ...headers, ...asked.headers } }, [limit, signal])),
      signal,
    );
    // Not thrown inside the guard: it would ask again at once, and take a busy server for a broken one.
    if (answer instanceof RateLimited) throw quiet.keep(answer);
    return answer;
  };

  return {
    create: (type, resource, signal) =>
      ask(new URL(type, base), { ...post(JSON_TYPE), body: JSON.stringify(resource) }, signal),
    async search(type, parameters, signal) {
      const found = new Map<string, Resource>();
      const seen = new Set<string>();
      const first = { ...post(FORM), body: new URLSearchParams(parameters as Record<string, string>).toString() };
      let page = readBundle(await ask(new URL(`${type}/_search`, base), first, signal));
      for (;;) {
        for (const resource of page.resources) found.set(`${resource.resourceType}/${resource.id}`, resource);
        const next = page.next === null ? null : nextUrl(page.next, base);
        // A server that leads in a circle has said all that it has.
        if (next === null || seen.has(next.href)) return [...found.values()];
        if (seen.add(next.href).size > MAX_PAGES) throw new Malformed('TOO_MANY_PAGES');
        page = readBundle(await ask(next, { method: 'GET' }, signal));
      }
    },
  };
}

/** A value of a search, in which some characters mean something. */
export const escaped = (value: string): string => value.replaceAll(/[\\$,|]/g, '\\$&');

interface Asked {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const post = (type: string) => ({ method: 'POST', headers: { 'Content-Type': type } }) as const;

/** The token goes nowhere else. */
function nextUrl(url: string, base: URL): URL {
  if (!URL.canParse(url, base)) throw new Malformed('PAGE_ELSEWHERE');
  const next = new URL(url, base);
  if (next.origin !== base.origin) throw new Malformed('PAGE_ELSEWHERE');
  return next;
}

function readBundle(answer: unknown): { readonly resources: readonly Resource[]; readonly next: string | null } {
  const { data: bundle } = Bundle.safeParse(answer);
  if (!bundle) throw new Malformed('NOT_A_BUNDLE');
  // An OperationOutcome about the search may stand among what was found.
  const matches = (bundle.entry ?? []).filter(({ search }) => (search?.mode ?? 'match') === 'match');
  return {
    resources: matches.flatMap(({ resource }) => Resource.safeParse(resource).data ?? []),
    next: bundle.link?.find(({ relation }) => relation === 'next')?.url ?? null,
  };
}

/** One request and its answer, whichever of the two gives up first. */
async function exchange(url: URL, asked: Asked, signals: readonly (AbortSignal | undefined)[]): Promise<unknown> {
  const signal = AbortSignal.any(signals.filter((one) => one !== undefined));
  try {
    const response = await fetch(url, { ...asked, redirect: 'manual', signal });
    // Read to the end in any case, so that the connection can be used again.
    const text = await readText(response);
    return judge(response) ?? readJson(text);
  } catch (thrown) {
    if (thrown instanceof TypeError || signal.aborted) throw new Unavailable(networkCode(thrown));
    throw thrown;
  }
}

const OUR_CREDENTIALS = new Set([401, 403]);
const TRY_LATER = new Set([408, 425]);

/** Null where it is a success. A wrong token is not the fault of what was asked. */
function judge({ status, ok, headers }: Response): RateLimited | null {
  if (ok) return null;
  if (status === 429) return new RateLimited(pauseOf(headers.get('retry-after')));
  if (status >= 500 || OUR_CREDENTIALS.has(status) || TRY_LATER.has(status)) throw new Unavailable(String(status));
  throw new Refused(String(status));
}

const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 300_000;

/** In seconds, as it is nearly always written; a date counts as the shortest. */
function pauseOf(retryAfter: string | null): number {
  const ms = Number(retryAfter ?? 0) * 1_000;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS) : SHORTEST_PAUSE_MS;
}

const MAX_ANSWER_BYTES = 1024 * 1024;

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw new Malformed('TOO_LARGE');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

type Revive = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
/** ECMAScript 2026 tells a reviver the source as well. */
const parseJson = JSON.parse as (text: string, revive: Revive) => unknown;

/** Every number as its own text: 200.10 stays "200.10". */
function readJson(text: string): unknown {
  try {
    return parseJson(text, (_key, value, { source }) => (typeof value === 'number' ? source : value));
  } catch {
    throw new Malformed('NOT_JSON');
  }
}

/** The error's own text may repeat an address; its code does not. */
function networkCode(thrown: unknown): string {
  const { cause, name } = thrown as Error & { cause?: { code?: unknown } };
  if (typeof cause?.code === 'string' && /^[A-Z_]{1,40}$/.test(cause.code)) return cause.code;
  return name === 'AbortError' || name === 'TimeoutError' ? 'TIMEOUT' : 'NETWORK';
}

class QuietTime {
  #until = 0;

  /** Throws {@link RateLimited}. */
  check(): void {
    const left = this.#until - performance.now();
    if (left > 0) throw new RateLimited(Math.ceil(left));
  }

  keep(limited: RateLimited): RateLimited {
    this.#until = Math.max(this.#until, performance.now() + limited.retryAfterMs);
    return limited;
  }
}

/** Who has no patience left does not wait for the guard's. */
function untilAborted<T>(asked: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return asked;
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new Unavailable('TIMEOUT'));
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp, { once: true });
  return Promise.race([asked, promise]).finally(() => signal.removeEventListener('abort', giveUp));
}
