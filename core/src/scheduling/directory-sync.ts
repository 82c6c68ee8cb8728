/**
 * The import of hours and busy times from an outside directory: provider by provider, each in a transaction of its own,
 * so that what is wrong with one holds up no other. What was known stays until something better is: an outage, and words
 * that contradict themselves, only mark it. Nothing that is booked is touched.
 */
import { sql } from 'kysely';
import * as audit from '#audit';
import { Malformed, RateLimited } from '#integrations/fhir';
import { Refused, Unavailable } from '#integrations/guard';
import type { OutsidePractitioner, OutsideTimes, ProviderDirectory } from '#integrations/provider-api';
import { emit } from '#platform/events';
import { isUuid } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { pause } from '#platform/ticker';
import { Contradiction, type DirectoryProblem, type DirectoryTimes, digestOf, timesOf } from './directory-times.ts';
import { lockProvider } from './hours.ts';
import { permitWrite } from './policy.ts';
import { findProvidersByIds } from './provider.ts';
import type { Range } from './zone.ts';

export interface DirectorySync {
  readonly directory: ProviderDirectory;
  /** Of this one alone; of all unless given. */
  readonly providerId?: string | undefined;
  /** Once it is aborted no further provider is asked for. */
  readonly signal: AbortSignal;
}

/** How many providers' times changed, stayed as they were, and could not be had. */
export interface DirectorySynced {
  readonly changed: number;
  readonly unchanged: number;
  readonly failed: number;
}

/** So far ahead; beyond it weekly hours count. */
export const DIRECTORY_DAYS = 60;
const AT_ONCE = 4;

/**
 * Asks the directory about the providers that it knows, and takes over what it says. Where none is configured there is
 * nothing to do. Throws Unavailable or Refused when it does not even say whom it knows; Forbidden.
 */
export async function syncDirectory(scope: Scope, asked: DirectorySync): Promise<DirectorySynced> {
  const { directory, providerId, signal } = asked;
  await permitWrite(scope, { action: 'provider.sync', resourceType: 'Provider', resourceId: providerId ?? null });
  const counts = { changed: 0, unchanged: 0, failed: 0 };
  const { source } = directory;
  if (source === null || (providerId !== undefined && !isUuid(providerId))) return counts;
  const practitioners = await patiently(() => directory.practitioners(), signal).catch(async (thrown: unknown) => {
    await noteAll(scope, problemOf(thrown), providerId);
    throw thrown;
  });
  const known = await knownTo(scope, practitioners, providerId);
  const queue = known.values();
  // Several are asked about at a time; what they say is written one after the other.
  let written: Promise<void> = Promise.resolve();
  const work = async () => {
    for (const one of queue) {
      if (signal.aborted) return;
      const word = await askAbout(scope, asked, one);
      written = written.then(async () => void counts[await takeOver(scope, { ...one, source }, word)]++);
      await written;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return counts;
}

interface Known {
  readonly providerId: string;
  readonly timeZone: string;
  /** Whom the directory means by it. More than one is nobody. */
  readonly practitioners: readonly string[];
}

/** Active providers that it knows by an identifier, and those that it once knew. */
async function knownTo(
  scope: Scope,
  practitioners: readonly OutsidePractitioner[],
  only: string | undefined,
): Promise<Known[]> {
  const ids = new Map<string, Set<string>>();
  for (const { id, identifiers, npis } of practitioners) {
    for (const name of [...identifiers, ...npis]) ids.set(name, (ids.get(name) ?? new Set()).add(id));
  }
  const names = [...ids.keys()];
  return transact(scope, async (scope) => {
    const { rows } = await sql<{ id: string; external_id: string; known_as: string[] }>`
      select id, external_id, known_as from providers p
      where active and (${only ?? null}::uuid is null or id = ${only ?? null}::uuid)
        and (known_as && ${names}::text[] or external_id = any(${names}::text[])
          or exists (select from provider_directories d where d.provider_id = p.id))
      order by id`.execute(scope.db);
    const providers = await findProvidersByIds(
      scope,
      rows.map(({ id }) => id),
    );
    return rows.map(({ id, external_id, known_as }) => ({
      providerId: id,
      timeZone: providers.get(id)?.timeZone ?? scope.clinic.timeZone,
      practitioners: meantBy([external_id].concat(known_as), ids),
    }));
  });
}

/** What it says of one, or why that is nothing. */
async function askAbout(
  scope: Scope,
  { directory, signal }: DirectorySync,
  one: Known,
): Promise<Said | DirectoryProblem> {
  const [practitioner, ...more] = one.practitioners;
  if (practitioner === undefined) return 'UNKNOWN_PRACTITIONER';
  if (more.length > 0) return 'AMBIGUOUS_PRACTITIONER';
  const range = rangeFor(scope, one.timeZone);
  try {
    const span = { from: instantAt(range.from), until: instantAt(range.until) };
    const times = await patiently(() => directory.times(practitioner, span), signal);
    return saidIn(times, range) ?? 'UNKNOWN_PRACTITIONER';
  } catch (thrown) {
    return problemOf(thrown);
  }
}

const PAUSES = 5;

/** Asks again when the other side wanted a pause and it is over. */
async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let pauses = 0; ; pauses++) {
    try {
      return await ask();
    } catch (thrown) {
      if (!(thrown instanceof RateLimited) || pauses === PAUSES || signal.aborted) throw thrown;
      await pause(thrown.retryAfterMs, signal);
    }
  }
}

const meantBy = (names: readonly string[], ids: ReadonlyMap<string, ReadonlySet<string>>): string[] => [
  ...new Set(names.flatMap((name) => [...(ids.get(name) ?? [])])),
];

type One = Known & { readonly source: string };

function takeOver(scope: Scope, one: One, word: Said | DirectoryProblem): Promise<keyof DirectorySynced> {
  if (typeof word === 'string') return fail(scope, one, word);
  return transact(scope, (scope) => write(scope, one, word));
}

/** From the midnight of the provider's today on. */
function rangeFor({ now }: Scope, timeZone: string): Range {
  const today = now.toZonedDateTimeISO(timeZone).startOfDay();
  return { from: today.epochMilliseconds, until: today.add({ days: DIRECTORY_DAYS }).epochMilliseconds };
}

interface Said extends DirectoryTimes {
  readonly covers: Range;
}

function saidIn(times: OutsideTimes | null, range: Range): Said | null {
  if (times === null) return null;
  const covers = {
    from: Math.max(range.from, times.from?.epochMilliseconds ?? range.from),
    until: Math.min(range.until, times.until?.epochMilliseconds ?? range.until),
  };
  return covers.from < covers.until ? { covers, ...timesOf(times.slots, covers) } : null;
}

function problemOf(thrown: unknown): DirectoryProblem {
  if (thrown instanceof Contradiction) return thrown.problem;
  if (thrown instanceof Unavailable) return 'UNREACHABLE';
  if (thrown instanceof Malformed) return 'MALFORMED';
  if (thrown instanceof Refused) return 'REFUSED';
  throw thrown;
}

/** A provider of whom it never had a good word, and has none now, is not in it. */
async function fail(scope: Scope, one: One, problem: DirectoryProblem): Promise<'failed'> {
  const { providerId, source, practitioners } = one;
  await transact(scope, async ({ db, now }) => {
    const at = now.toString();
    const { numUpdatedRows } = await db
      .updateTable('provider_directories')
      .set({ checked_at: at, problem })
      .where('provider_id', '=', providerId)
      .executeTakeFirst();
    const [practitioner] = practitioners;
    if (numUpdatedRows > 0n || practitioner === undefined) return;
    await db
      .insertInto('provider_directories')
      .values({ provider_id: providerId, source, practitioner, checked_at: at, problem })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
  return 'failed';
}

async function noteAll(scope: Scope, problem: DirectoryProblem, only: string | undefined): Promise<void> {
  await transact(scope, async ({ db, now }) => {
    let all = db.updateTable('provider_directories').set({ checked_at: now.toString(), problem });
    if (only !== undefined) all = all.where('provider_id', '=', only);
    await all.execute();
  });
}

async function write(scope: Scope, one: One, said: Said): Promise<'changed' | 'unchanged'> {
  const { providerId, source } = one;
  const [practitioner = ''] = one.practitioners;
  await lockProvider(scope, providerId);
  const before = await scope.db
    .selectFrom('provider_directories')
    .select('digest')
    .where('provider_id', '=', providerId)
    .executeTakeFirst();
  const digest = digestOf(said);
  const [at, from, until] = [scope.now, instantAt(said.covers.from), instantAt(said.covers.until)].map(String) as [
    string,
    string,
    string,
  ];
  const row = {
    source,
    practitioner,
    checked_at: at,
    problem: null,
    as_of: at,
    covers_from: from,
    covers_until: until,
    digest,
  };
  await scope.db
    .insertInto('provider_directories')
    .values({ provider_id: providerId, ...row })
    .onConflict((conflict) => conflict.column('provider_id').doUpdateSet(row))
    .execute();
  if (before?.digest === digest) return 'unchanged';
  await replaceTimes(scope, providerId, said);
  await audit.record(scope, {
    action: 'provider.sync',
    resourceType: 'Provider',
    resourceId: providerId,
    changedFields: ['directory'],
  });
  await emit(scope, 'provider.hours_changed', { providerId });
  return 'changed';
}

async function replaceTimes({ db }: Scope, providerId: string, { hours, busy }: DirectoryTimes): Promise<void> {
  // Whoever is booking at this moment is either seen afterwards, or sees this.
  await sql`select lock_time(${[providerId]}::uuid[], '{}')`.execute(db);
  await db.deleteFrom('provider_directory_times').where('provider_id', '=', providerId).execute();
  const times = [...hours.map((range) => ({ busy: false, range })), ...busy.map((range) => ({ busy: true, range }))];
  if (times.length === 0) return;
  const rows = times.map(({ busy, range: { from, until } }) => ({
    provider_id: providerId,
    busy,
    starts_at: String(instantAt(from)),
    ends_at: String(instantAt(until)),
  }));
  await sql`
    insert into provider_directory_times (provider_id, busy, starts_at, ends_at)
    select provider_id, busy, starts_at, ends_at
    from jsonb_populate_recordset(null::provider_directory_times, ${JSON.stringify(rows)}::jsonb)`.execute(db);
}

const instantAt = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);
