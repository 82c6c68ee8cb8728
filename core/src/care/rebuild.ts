/**
 * Building the name index anew, without what renamed and erased patients left behind.
 *
 * The next generation grows in its own tables while the current one answers; whatever is written meanwhile goes to
 * both. When every patient is in it, it takes over at once and the old tables are emptied. A patient's row says
 * which generation knows it, so after a crash the work goes on where it stood.
 */
import { sql } from 'kysely';
import * as audit from '#audit';
import { LOCKS } from '#platform/advisory-locks';
import { type Scope, asSystem, transact } from '#platform/scope';
import { permitAdmin } from './policy.ts';
import { openIdentity } from './record.ts';
import { addEntries, tables } from './search-index.ts';

export interface Progress {
  readonly done: number;
  readonly total: number;
}

const BATCH = 500;
const ACTION = 'patient.rebuildSearch';

/**
 * Builds the name index anew while reads and writes go on; started again after a crash it carries on. Returns how
 * many patients this call indexed. Admins and the system only. Throws Forbidden.
 */
export async function rebuildSearchIndex(
  scope: Scope,
  onProgress: (progress: Progress) => void = () => undefined,
): Promise<number> {
  await permitAdmin(scope, ACTION);
  await transact(scope, (scope) => audit.record(scope, { action: ACTION, resourceType: 'Patient' }));
  const system = asSystem(scope);

  const generation = await begin(system);
  const total = await countMissing(system, generation);
  let done = 0;
  for (let after = FIRST; ;) {
    const batch = await addBatch(system, generation, after);
    if (batch.last === undefined) break;
    after = batch.last;
    done += batch.count;
    onProgress({ done, total: Math.max(total, done) });
  }
  await finish(system, generation);
  return done;
}

const FIRST = '00000000-0000-0000-0000-000000000000';

/** Waits for whoever uses the index, and keeps it from everybody until the transaction ends. */
async function lockIndex({ db }: Scope): Promise<{ current: number; building: number | null }> {
  await sql`select pg_advisory_xact_lock(${LOCKS.nameIndex})`.execute(db);
  const { rows } = await sql<{ current: number; building: number | null }>`
    select current, building from patient_search`.execute(db);
  return rows[0] as { current: number; building: number | null };
}

/** From here on every new name goes to both generations: what is missing in the next one is already there to be found. */
async function begin(scope: Scope): Promise<number> {
  return transact(scope, async (scope) => {
    const { current, building } = await lockIndex(scope);
    if (building !== null) return building;
    await sql`update patient_search set building = ${current + 1}`.execute(scope.db);
    return current + 1;
  });
}

async function countMissing(scope: Scope, generation: number): Promise<number> {
  return transact(scope, async ({ db }) => {
    const { missing } = await db
      .selectFrom('patients')
      .select((eb) => eb.fn.countAll<number>().as('missing'))
      .where('search_id', 'is not', null)
      .where('search_generation', '<', generation)
      .executeTakeFirstOrThrow();
    return missing;
  });
}

/**
 * Patients are locked in the order of their ids, before the counts: as a rename does, which comes before or after.
 * A second rebuild at the same time waits for the first one's patients and then passes over them.
 */
async function addBatch(
  scope: Scope,
  generation: number,
  after: string,
): Promise<{ count: number; last: string | undefined }> {
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('patients')
      .select(['id', 'data_key', 'identity', 'search_id'])
      .where('id', '>', after)
      .where('search_id', 'is not', null)
      .where('search_generation', '<', generation)
      .orderBy('id')
      .limit(BATCH)
      .forUpdate()
      .execute();
    if (rows.length > 0) {
      const ids = rows.map(({ id }) => id);
      await sql`update patients set search_generation = ${generation} where id = any(${ids}::uuid[])`.execute(scope.db);
      await addEntries(
        scope,
        generation,
        rows.map((row) => ({ searchId: row.search_id as string, name: openIdentity(scope.vault, row) })),
      );
    }
    return { count: rows.length, last: rows.at(-1)?.id };
  });
}

async function finish(scope: Scope, generation: number): Promise<void> {
  await transact(scope, async (scope) => {
    const { current, building } = await lockIndex(scope);
    if (building !== generation) return;
    await sql`update patient_search set current = ${generation}, building = null`.execute(scope.db);
    const old = tables(current);
    await sql`truncate ${old.entries}, ${old.counts}`.execute(scope.db);
  });
}
