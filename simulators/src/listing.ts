/**
 * Lists of texts and calls as Twilio's client reads them: filtered, the newest first, page by page. A page's token is
 * the id before it, so what arrives meanwhile moves nothing.
 */
import { ApiError } from './api-error.ts';
import type { Outbox, Sent, SentCall, SentText } from './outbox.ts';

interface ListKind<T extends Sent> {
  readonly kind: T['kind'];
  /** The collection's name in the answer. */
  readonly name: 'messages' | 'calls';
  /** The query's name of the time that may be filtered by, and that time; null matches no filter. */
  readonly time: readonly [string, (sent: T) => Temporal.Instant | null];
  readonly show: (sent: T) => object;
}

export const texts = (show: (text: SentText) => object): ListKind<SentText> => ({
  kind: 'text',
  name: 'messages',
  time: ['DateSent', ({ sentAt }) => sentAt],
  show,
});

export const calls = (show: (call: SentCall) => object): ListKind<SentCall> => ({
  kind: 'call',
  name: 'calls',
  time: ['StartTime', ({ startedAt }) => startedAt],
  show,
});

const PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1_000;

export function listPage<T extends SentText | SentCall>(outbox: Outbox, list: ListKind<T>, url: URL): object {
  const query = url.searchParams;
  const size = Math.min(Math.max(Number(query.get('PageSize') ?? PAGE_SIZE) || PAGE_SIZE, 1), MAX_PAGE_SIZE);
  const page = Number(query.get('Page') ?? 0) || 0;
  const found = pageOf(matching(outbox, list, query), { size, after: query.get('PageToken')?.slice(2) ?? null });
  const next = new URLSearchParams(query);
  next.set('Page', String(page + 1));
  next.set('PageToken', `PA${found.shown.at(-1)?.id ?? ''}`);
  return {
    end: page * size + Math.max(found.shown.length - 1, 0),
    first_page_uri: `${url.pathname}?PageSize=${size}&Page=0`,
    next_page_uri: found.more ? `${url.pathname}?${next.toString()}` : null,
    page,
    page_size: size,
    previous_page_uri: null,
    start: page * size,
    uri: `${url.pathname}${url.search}`,
    [list.name]: found.shown.map(list.show),
  };
}

interface Cut {
  readonly size: number;
  readonly after: string | null;
}

function pageOf<T extends Sent>(found: Iterable<T>, { size, after }: Cut): { shown: T[]; more: boolean } {
  const shown: T[] = [];
  let begun = after === null;
  for (const one of found) {
    if (begun && shown.length === size) return { shown, more: true };
    if (begun) shown.push(one);
    else begun = one.id === after;
  }
  return { shown, more: false };
}

function* matching<T extends SentText | SentCall>(
  outbox: Outbox,
  list: ListKind<T>,
  query: URLSearchParams,
): Generator<T> {
  const to = asked(query, 'To');
  const from = asked(query, 'From');
  const status = asked(query, 'Status');
  const isInTime = timeFilter(list.time[0], query);
  for (const sent of candidates(outbox, to, from)) {
    if (sent.kind !== list.kind) continue;
    const one = sent as T;
    const isMeant = one.to === (to ?? one.to) && one.from === (from ?? one.from);
    if (isMeant && one.status === (status ?? one.status) && isInTime(list.time[1](one))) yield one;
  }
}

function asked(query: URLSearchParams, name: string): string | undefined {
  return query.get(name) || undefined;
}

/** Through the index where one of the numbers is a patient's; else all of them. */
function candidates(outbox: Outbox, to: string | undefined, from: string | undefined): Iterable<Sent> {
  const number = [to, from].find((one) => one !== undefined && outbox.has(one));
  return number === undefined ? outbox.newestFirst() : outbox.of(number);
}

/** `DateSent`, `DateSent>` and `DateSent<`: that day, at or after, at or before. */
function timeFilter(name: string, query: URLSearchParams): (at: Temporal.Instant | null) => boolean {
  const on = asked(query, name);
  const after = asked(query, `${name}>`);
  const before = asked(query, `${name}<`);
  const day = on === undefined ? undefined : (DAY.exec(on)?.[0] ?? on);
  const bounds = day === undefined ? [] : [startOf(day), endOf(day)];
  const least = after === undefined ? bounds[0] : startOf(after);
  const most = before === undefined ? bounds[1] : endOf(before);
  if (least === undefined && most === undefined) return () => true;
  return (at) => at !== null && !isBefore(at, least) && !isBefore(most, at);
}

function isBefore(one: Temporal.Instant | undefined, other: Temporal.Instant | undefined): boolean {
  return one !== undefined && other !== undefined && Temporal.Instant.compare(one, other) < 0;
}

const DAY = /^\d{4}-\d{2}-\d{2}/;

/** A time of day is left out where only the day is given. */
function startOf(text: string): Temporal.Instant {
  return timeOf(text.length > 10 ? text : `${text}T00:00:00Z`);
}

function endOf(text: string): Temporal.Instant {
  return timeOf(text.length > 10 ? text : `${text}T23:59:59.999Z`);
}

function timeOf(text: string): Temporal.Instant {
  try {
    return Temporal.Instant.from(text);
  } catch {
    throw new ApiError(400, 20001, 'A date is not valid.');
  }
}
