/**
 * Searching by name: which lists of the index to read, and which of the patients found there fit the query.
 *
 * Words are taken as the beginnings of names first. Only when nobody fits, they are taken by their sound. Of the
 * lists that hold everybody who fits, the shortest is read from its newest entry on, a batch at a time, until
 * the page is full; patients are opened and checked, so an entry that has become wrong shows nobody.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import { statement } from '#platform/database';
import { InvalidInput } from '#platform/errors';
import { type Page, decodeCursor, toPage } from '#platform/page';
import type { Scope } from '#platform/scope';
import { SearchExpired } from './errors.ts';
import { isBeginning, type Test, keywordsFor, passes, readingsOf, soundsOf, wordsOf } from './names.ts';
import type { Patient } from './patient.ts';
import { PATIENT_COLUMNS, toPatient } from './record.ts';
import { type Pointer, countsOf, entriesOf, useIndex } from './search-index.ts';

export interface Query {
  readonly words: readonly string[];
  /** ISO. */
  readonly dateOfBirth: string | null;
}

const MAX_QUERY = 200;
const MAX_WORDS = 8;

/** Throws {@link InvalidInput}. */
export function parseQuery({ clinic }: Scope, text: string): Query {
  const issue = (message: string) => new InvalidInput([{ path: ['query'], message }]);
  if (text.length > MAX_QUERY) throw issue(`expected at most ${MAX_QUERY} characters`);
  const monthFirst = clinic.region === 'US';
  const dates = [...text.matchAll(DATE)].map((match) => ({ typed: match[0], iso: toIso(match, monthFirst) }));
  const example = `1980-03-08 or ${monthFirst ? '03/08/1980' : '08/03/1980'}`;
  if (dates.length > 1 || dates.some(({ iso }) => !z.iso.date().safeParse(iso).success)) {
    throw issue(`expected at most one date of birth, such as ${example}`);
  }
  const words = wordsOf(dates.reduce((rest, { typed }) => rest.replace(typed, ' '), text));
  if (words.some((word) => /^\p{N}+$/u.test(word))) {
    throw issue(`expected names, and digits only as a date of birth such as ${example}`);
  }
  if (!isBeginning(words)) throw issue('expected at least two letters of a name');
  if (words.length > MAX_WORDS) throw issue(`expected at most ${MAX_WORDS} words`);
  return { words, dateOfBirth: dates[0]?.iso ?? null };
}

/** Year, month and day; or two numbers, whose order is the country's unless dots part them, and the year. */
const DATE = /(?<!\d)(?:\d{4}-\d{2}-\d{2}|(\d{1,2})([/.-])(\d{1,2})\2(\d{4}))(?!\d)/g;

function toIso([typed, first, separator, second, year]: RegExpExecArray, monthFirst: boolean): string {
  if (first === undefined || second === undefined) return typed;
  const [month, day] = monthFirst && separator !== '.' ? [first, second] : [second, first];
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}

/** Throws {@link InvalidInput} and {@link SearchExpired} for a cursor that is none, or no longer. */
export async function findByName(
  scope: Scope,
  query: Query,
  { first, after }: { first: number; after: string | null },
): Promise<Page<Patient>> {
  const cursor = after === null ? null : decodeCursor(after, Cursor);
  const { current: generation } = await useIndex(scope);
  if (cursor !== null && cursor[0] !== generation) throw new SearchExpired();

  const stages = [beginnings(query), sounds(query)];
  let found: Found[] = [];
  for (const [stage, sources] of stages.entries()) {
    if (cursor !== null && cursor[1] !== stage) continue;
    found = await walk(scope, { generation, stage, sources, query, cursor, wanted: first + 1 });
    if (found.length > 0) break;
  }
  return toPage(found, first, { node: ({ patient }) => patient, key: ({ cursor }) => cursor });
}

/** Generation, stage, source, which of the source's keywords was read, and the position in its list. */
const Cursor = z.tuple([z.int(), z.int().min(0).max(1), z.int().min(0), z.int().min(0), z.int().min(0)]);
type Cursor = z.output<typeof Cursor>;

/** One reading of the query. Everybody who passes its tests is in the list of each of its keywords. */
interface Source {
  readonly tests: readonly Test[];
  readonly keywords: readonly string[];
}

function beginnings({ words, dateOfBirth }: Query): Source[] {
  return readings(words)
    .map((words) => words.map((prefix): Test => ({ prefix })))
    .map((tests) => ({ tests, keywords: keywordsFor(tests, dateOfBirth) }))
    .filter(({ keywords }) => keywords.length > 0);
}

const MAX_SOURCES = 16;

function sounds({ words, dateOfBirth }: Query): Source[] {
  return readings(words)
    .flatMap((words) => combinations(words.map(soundTests)))
    .filter((tests) => tests.some((test) => 'sound' in test))
    .slice(0, MAX_SOURCES)
    .map((tests) => ({ tests, keywords: keywordsFor(tests, dateOfBirth) }));
}

/** A word too short to have a sound is a beginning still. */
function soundTests(word: string): Test[] {
  const codes = soundsOf(word);
  return codes.length > 0 ? codes.map((sound) => ({ sound })) : [{ prefix: word }];
}

function combinations<T>([choices, ...others]: readonly (readonly T[])[]): T[][] {
  if (choices === undefined) return [[]];
  return combinations(others).flatMap((rest) => choices.map((choice) => [choice, ...rest]));
}

/**
 * The words as they stand, then with each run of neighbours as one word: "o b" is how some type O'Brien. What is split
 * off is short; a run that began with a longer word would read the whole list of that word and find nobody.
 */
const MAX_SPLIT_OFF = 5;

function readings(words: readonly string[]): (readonly string[])[] {
  const runs = words.flatMap((_, from) =>
    words.slice(from + 1).flatMap((_, more) => {
      const run = words.slice(from, from + more + 2);
      if (run.slice(0, -1).some((word) => word.length > MAX_SPLIT_OFF)) return [];
      return [words.toSpliced(from, run.length, run.join(''))];
    }),
  );
  return [words, ...runs];
}

interface Walk {
  readonly generation: number;
  readonly stage: number;
  readonly sources: readonly Source[];
  readonly query: Query;
  readonly cursor: Cursor | null;
  /** Stop when so many are found. */
  readonly wanted: number;
}

interface Found {
  readonly patient: Patient;
  readonly cursor: Cursor;
}

async function walk(scope: Scope, { generation, stage, sources, query, cursor, wanted }: Walk): Promise<Found[]> {
  const begin = cursor?.[2] ?? 0;
  const lists = await listsOf(scope, { generation, sources, cursor });
  const found: Found[] = [];
  for (const [s, list] of lists.entries()) {
    if (s < begin) continue;
    if (found.length >= wanted) break;
    const fits = fitting(query, sources.slice(0, s + 1));
    const hits = await read(scope, { generation, list, fits, wanted: wanted - found.length });
    found.push(
      ...hits.map(({ patient, position }): Found => {
        return { patient, cursor: [generation, stage, s, list.choice, position] };
      }),
    );
  }
  return found;
}

interface List {
  readonly keyword: string;
  /** Which of the source's keywords it is. */
  readonly choice: number;
  /** The position to begin at; −1 when there is nothing to read. */
  readonly from: number;
}

/** For each source its shortest list; for the one that the cursor stands in, that same list below the cursor. */
async function listsOf(
  scope: Scope,
  { generation, sources, cursor }: Pick<Walk, 'generation' | 'sources' | 'cursor'>,
): Promise<List[]> {
  const counts = await countsOf(
    scope,
    generation,
    sources.flatMap(({ keywords }) => keywords),
  );
  return sources.map(({ keywords }, s) => {
    const lists = keywords.map((keyword, choice) => ({ keyword, choice, from: (counts.get(keyword) ?? 0) - 1 }));
    const shortest = lists.reduce((shortest, list) => (list.from < shortest.from ? list : shortest));
    if (cursor === null || cursor[2] !== s) return shortest;
    const list = lists[cursor[3]] ?? shortest;
    return { ...list, from: Math.min(list.from, cursor[4] - 1) };
  });
}

const MAX_BATCH = 400;

interface Hit {
  readonly patient: Patient;
  readonly position: number;
}

/** Reads a list in batches, each twice the one before, until enough patients fit. */
async function read(
  scope: Scope,
  list: { generation: number; list: List; fits: (patient: Patient) => boolean; wanted: number },
): Promise<Hit[]> {
  const { generation, fits, wanted } = list;
  const { keyword } = list.list;
  const hits: Hit[] = [];
  let { from } = list.list;
  for (let limit = wanted; from >= 0 && hits.length < wanted; limit = Math.min(2 * limit, MAX_BATCH)) {
    const pointers = await entriesOf(scope, { generation, keyword, from, limit });
    hits.push(...(await patientsAt(scope, pointers)).filter(({ patient }) => fits(patient)));
    from -= limit;
  }
  return hits;
}

/** Whoever fits an earlier source as well was found there. */
function fitting({ dateOfBirth }: Query, sources: readonly Source[]): (patient: Patient) => boolean {
  const earlier = sources.slice(0, -1);
  const source = sources.at(-1) as Source;
  return (patient) => {
    const born = patient.dateOfBirth?.toString() ?? null;
    if (dateOfBirth !== null && born !== dateOfBirth) return false;
    const readings = readingsOf({ ...patient, dateOfBirth: born });
    return passes(readings, source.tests) && !earlier.some(({ tests }) => passes(readings, tests));
  };
}

const bySearchIds = statement((db, { ids }: { ids: readonly string[] }) =>
  db
    .selectFrom('patients')
    .select([...PATIENT_COLUMNS, 'search_id'])
    .where('search_id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('deleted_at', 'is', null),
);

/** In the order of the pointers. Those that point to nobody, or to a deleted patient, are left out. */
async function patientsAt(scope: Scope, pointers: readonly Pointer[]): Promise<Hit[]> {
  const rows = await bySearchIds(scope.db, { ids: pointers.map(({ searchId }) => searchId) });
  const bySearchId = new Map(rows.map((row) => [row.search_id, row]));
  return pointers.flatMap(({ searchId, position }) => {
    const row = bySearchId.get(searchId);
    return row === undefined ? [] : [{ patient: toPatient(scope, row), position }];
  });
}
