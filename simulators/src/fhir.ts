/** What servers that speak FHIR R4 have in common: resources, bundles with pages, and how they say no. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Resource {
  readonly resourceType: string;
  readonly id: string;
  readonly [element: string]: unknown;
}

/** An answer that is no success. */
export class FhirError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, code: string, headers: Readonly<Record<string, string>> = {}) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

const CODES: ReadonlyMap<number, string> = new Map([
  [400, 'invalid'],
  [401, 'login'],
  [403, 'forbidden'],
  [404, 'not-found'],
  [422, 'processing'],
  [429, 'throttled'],
  [503, 'transient'],
]);

/** `retryAfterSeconds` is said to whoever asks too much. */
export function fhirError(status: number, retryAfterSeconds: number | null = null): FhirError {
  const headers = retryAfterSeconds === null ? {} : { 'Retry-After': String(retryAfterSeconds) };
  return new FhirError(status, CODES.get(status) ?? 'exception', headers);
}

const HEADERS = { 'Content-Type': 'application/fhir+json; charset=utf-8' };

export function answerResource(response: ServerResponse, status: number, resource: object): void {
  response.writeHead(status, HEADERS).end(JSON.stringify(resource));
}

export function answerError(response: ServerResponse, { status, code, headers }: FhirError): void {
  const outcome = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code }] };
  response.writeHead(status, { ...HEADERS, ...headers }).end(JSON.stringify(outcome));
}

/** ECMAScript 2026 has it. */
const raw = JSON as typeof JSON & { readonly rawJSON: (text: string) => unknown };

/** Exactly the digits of the text: a number of JSON that no float has been. */
export function decimal(text: string): unknown {
  return raw.rawJSON(text);
}

/** What may come instead of a resource: JSON that is cut off, a page of HTML, nothing, another resource, two megabytes. */
export const BODIES = ['cut', 'html', 'empty', 'other', 'huge'] as const;
type Body = (typeof BODIES)[number];

const SPOILED: Readonly<Record<Body, (resource: object) => string>> = {
  cut: (resource) => JSON.stringify(resource).slice(0, -20),
  html: () => '<!doctype html><title>Welcome</title>',
  empty: () => '',
  other: () => '{"resourceType":"Basic","id":"1"}',
  huge: () => JSON.stringify({ resourceType: 'Bundle', text: 'x'.repeat(2 * 1024 * 1024) }),
};

interface Answer {
  readonly status: number;
  readonly resource: object;
}

export function answerSpoiled(response: ServerResponse, body: Body, { status, resource }: Answer): void {
  response.writeHead(status, { 'Content-Type': body === 'html' ? 'text/html' : 'application/fhir+json' });
  response.end(SPOILED[body](resource));
}

interface Found {
  readonly total: number;
  readonly resources: readonly Resource[];
  /** The URL of the next page. */
  readonly next: string | null;
  readonly self: string;
}

export function searchSet({ total, resources, next, self }: Found): object {
  const link = [{ relation: 'self', url: self }, ...(next === null ? [] : [{ relation: 'next', url: next }])];
  const entry = resources.map((resource) => ({
    fullUrl: `${new URL(self).origin}/${resource.resourceType}/${resource.id}`,
    resource,
    search: { mode: 'match' },
  }));
  return { resourceType: 'Bundle', type: 'searchset', total, link, ...(entry.length === 0 ? {} : { entry }) };
}

interface Search<Criteria> {
  readonly criteria: Criteria;
  readonly count: number;
}

/**
 * Searches whose pages are still to come, each under a token: what was searched for stands in no URL. The oldest are
 * forgotten first.
 */
export class Searches<Criteria> {
  readonly #kept = new Map<string, Search<Criteria>>();
  readonly #most: number;

  constructor(most = 10_000) {
    this.#most = most;
  }

  open(search: Search<Criteria>): string {
    const token = randomUUID();
    this.#kept.set(token, search);
    if (this.#kept.size > this.#most) this.#kept.delete(this.#kept.keys().next().value ?? '');
    return token;
  }

  find(token: string): Search<Criteria> | undefined {
    return this.#kept.get(token);
  }

  clear(): void {
    this.#kept.clear();
  }
}

const MAX_PAGE = 1_000;
const PAGE = 50;

/** How many a page has: what `_count` asks for, within reason. */
export function pageSize(parameters: URLSearchParams): number {
  const asked = Math.trunc(Number(parameters.get('_count') ?? PAGE));
  return asked >= 1 ? Math.min(asked, MAX_PAGE) : PAGE;
}

interface Capable {
  readonly title: string;
  readonly date: string;
  /** By type, what can be done with it. */
  readonly interactions: Readonly<Record<string, readonly string[]>>;
}

export function capabilityStatement({ title, date, interactions }: Capable): object {
  const resource = Object.entries(interactions).map(([type, codes]) => ({
    type,
    interaction: codes.map((code) => ({ code })),
  }));
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date,
    kind: 'instance',
    implementation: { description: title },
    fhirVersion: '4.0.1',
    format: ['json'],
    rest: [{ mode: 'server', resource }],
  };
}

/** Requests a second, on the average of a second; null is no limit. */
export class RateLimit {
  perSecond: number | null = null;
  #left = 0;
  #at = 0;

  /** Throws the 429 that says when to come again. */
  take(): void {
    if (this.perSecond === null) return;
    const now = performance.now();
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) / 1_000) * this.perSecond);
    this.#at = now;
    if (this.#left < 1) throw fhirError(429, 1);
    this.#left--;
  }
}

/** Throws where the token is another than the one that is expected; none is expected by default. */
export function checkToken(request: IncomingMessage, token: string | null): void {
  if (token !== null && request.headers.authorization !== `Bearer ${token}`) throw fhirError(401);
}
