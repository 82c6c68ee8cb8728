/**
 * Finding patients: how long a search and a look-up take with how many patients, and how fast they come in.
 *
 *   node bench/src/search.ts 10000 100000
 */
import pg from 'pg';
import * as care from '@careflex/core/care';
import type { Scope } from '@careflex/core/platform/scope';
import { type BenchPlatform, benchPlatform } from './platform.ts';
import { phoneOf, randomFrom, syntheticPatients } from './synthetic-patients.ts';

export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface SearchFigures {
  readonly patients: number;
  readonly importedPerSecond: number;
  /** Of this process after the import, in MiB. */
  readonly memory: { readonly first: number; readonly last: number };
  /** On disk with its indexes, in bytes a patient. */
  readonly bytes: { readonly patients: number; readonly searchIndex: number };
  /** In milliseconds, by kind of question. */
  readonly latency: Readonly<Record<string, Latency>>;
}

export interface SearchOptions {
  readonly patients: number;
  /** Questions of each kind. */
  readonly questions?: number;
  readonly batch?: number;
}

export async function measureSearch({ patients, questions = 500, batch = 500 }: SearchOptions): Promise<SearchFigures> {
  await using platform = await benchPlatform();
  const { scope } = platform;
  const build = await importAll(scope, patients, batch);
  // As after a night: statistics taken, pages written. What the import left to do is not the search's.
  await asAdmin(platform, 'vacuum analyze', 'checkpoint');
  const latency: Record<string, Latency> = {};
  for (const [kind, ask] of Object.entries(kindsOf(patients))) latency[kind] = await time(scope, ask, questions);
  return { patients, ...build, bytes: await sizeOf(platform, patients), latency };
}

type Ask = (scope: Scope, random: () => number) => Promise<unknown>;

function kindsOf(patients: number): Record<string, Ask> {
  const search = (write: (name: Sample, random: () => number) => string): Ask => {
    const samples = [...sampled(patients)];
    return (scope, random) => {
      const name = samples[Math.floor(random() * samples.length)] as Sample;
      return care.searchPatients(scope, { query: write(name, random), first: 25 });
    };
  };
  return {
    'prefix of 2 letters': search(({ last }) => last.slice(0, 2)),
    'prefix of 3 to 6 letters': search(({ last }, random) => last.slice(0, 3 + Math.floor(random() * 4))),
    'first and last name, both begun': search(({ first, last }) => `${first.slice(0, 2)} ${last.slice(0, 3)}`),
    'first and last name': search(({ first, last }) => `${last} ${first}`),
    'first letters and date of birth': search(({ last, born }) => `${last.slice(0, 2)} ${born}`),
    'misspelled, by sound': search(({ first, last }) => `${misspelled(first)} ${misspelled(last)}`),
    nobody: search(({ first }) => `${first.slice(0, 3)} qqxx`),
    phone: (scope, random) => care.patientsByPhone(scope, phoneOf(Math.floor(random() * patients))),
  };
}

interface Sample {
  readonly first: string;
  readonly last: string;
  readonly born: string;
}

const SAMPLES = 2_000;

function* sampled(patients: number): Generator<Sample> {
  const random = randomFrom(7);
  for (const { firstName, lastName, dateOfBirth } of syntheticPatients(patients)) {
    if (random() > SAMPLES / patients) continue;
    yield { first: firstName.split(' ')[0] ?? '', last: lastName.replace("'", ''), born: dateOfBirth ?? '' };
  }
}

/** Two vowels for one, and an h where none was: it sounds the same and begins otherwise. */
function misspelled(name: string): string {
  return name.replace(/[aeiou]/, (vowel) => `${vowel === 'e' ? 'i' : 'e'}h`);
}

const WARM_UP = 50;

async function time(scope: Scope, ask: Ask, questions: number): Promise<Latency> {
  const random = randomFrom(3);
  for (let i = 0; i < WARM_UP; i++) await ask(scope, random);
  const took: number[] = [];
  for (let i = 0; i < questions; i++) {
    const start = performance.now();
    await ask(scope, random);
    took.push(performance.now() - start);
  }
  const sorted = took.toSorted((a, b) => a - b);
  const at = (share: number) => Number((sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2));
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

async function importAll(
  scope: Scope,
  patients: number,
  batch: number,
): Promise<Pick<SearchFigures, 'importedPerSecond' | 'memory'>> {
  const memory: number[] = [];
  const start = performance.now();
  let records: care.ImportedPatient[] = [];
  const flush = async () => {
    const outcomes = await care.importPatients(scope, records);
    const refused = outcomes.find(({ outcome }) => outcome === 'refused');
    if (refused) throw new Error('A synthetic patient was refused', { cause: refused });
    records = [];
    memory.push(Math.round(process.memoryUsage().rss / 2 ** 20));
  };
  for (const record of syntheticPatients(patients)) {
    records.push(record);
    if (records.length === batch) await flush();
  }
  if (records.length > 0) await flush();
  const seconds = (performance.now() - start) / 1000;
  const warm = memory[Math.floor(memory.length / 4)] ?? 0;
  return { importedPerSecond: Math.round(patients / seconds), memory: { first: warm, last: memory.at(-1) ?? 0 } };
}

async function sizeOf(platform: BenchPlatform, patients: number): Promise<SearchFigures['bytes']> {
  const [row] = await asAdmin(
    platform,
    `select pg_total_relation_size('patients') as patients, (
       select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relname like 'patient_search_%'
     ) as index`,
  );
  return {
    patients: Math.round(Number(row?.['patients']) / patients),
    searchIndex: Math.round(Number(row?.['index']) / patients),
  };
}

async function asAdmin({ adminUrl }: BenchPlatform, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  for (const patients of sizes.length > 0 ? sizes : [10_000]) {
    const { latency, ...build } = await measureSearch({ patients });
    console.log(build);
    console.table(latency);
  }
}
