/**
 * Scores every visit to come. It goes patient by patient, and how far it has come is written with the scores: whoever
 * takes over from a killed process goes on from there. A batch is scored while the next one is read and the last one is
 * written.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { type Scope, transact } from '#platform/scope';
import { knownAfter, type KnownPage, type Page, type Place } from './facts.ts';
import { type Models, modelsInUse } from './models.ts';
import { type Scored, scored, takeOffBegun, writeScores } from './scoring.ts';

export interface Progress {
  readonly done: number;
  readonly total: number;
}

export interface NightlyOptions {
  /** Visits in one transaction. */
  readonly batch?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

interface Run extends Progress {
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly place: Place;
}

const NOWHERE = '00000000-0000-0000-0000-000000000000';
const BEGINNING: Place = { patient: NOWHERE, startsAt: '-infinity', visit: NOWHERE };
const BATCH = 4_000;
/** What was begun longer ago is begun anew. */
const RESUME_WITHIN_HOURS = 12;

/**
 * Scores every visit to come as of now, or goes on with what was not finished. Returns how many it scored, what was done
 * before included. For the system.
 */
export async function scoreAhead(
  scope: Scope,
  { signal, onProgress, batch = BATCH }: NightlyOptions = {},
): Promise<Progress> {
  const { run, models } = await transact(scope, begin);
  let progress: Progress = run;
  const readAfter = (place: Place) => awaitedLater(read(scope, { ...place, at: run.at, most: batch }));
  let reading = readAfter(run.place);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (;;) {
      const { visits, place } = await reading;
      if (place === null) break;
      reading = readAfter(place);
      const scores = scored(scope, visits, models);
      await writing;
      signal?.throwIfAborted();
      const done = progress.done + visits.length;
      const now = (progress = { done, total: Math.max(run.total, done) });
      writing = awaitedLater(write(scope, scores, { run, models, place, done }).then(() => onProgress?.(now)));
    }
  } finally {
    await Promise.allSettled([reading, writing]);
  }
  await writing;
  await transact(scope, (scope) => finish(scope, run));
  return progress;
}

/** Its failure is nobody's until then. */
function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function begin(scope: Scope): Promise<{ run: Run; models: Models }> {
  const models = await modelsInUse(scope);
  return { models, run: (await unfinished(scope, models)) ?? (await newRun(scope, models)) };
}

async function unfinished({ db, now }: Scope, { inUse }: Models): Promise<Run | null> {
  const row = await db.selectFrom('risk_runs').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst();
  if (row === undefined || row.finished_at !== null || row.model_id !== inUse.id) return null;
  const at = row.at.toTemporalInstant();
  if (at.until(now).total('hours') > RESUME_WITHIN_HOURS) return null;
  const { id, done, total, after_patient: patient, after_starts_at: startsAt, after_id: visit } = row;
  const place =
    patient === null || startsAt === null || visit === null
      ? BEGINNING
      : { patient, startsAt: startsAt.toISOString(), visit };
  return { id, at, done, total, place };
}

async function newRun({ db, now }: Scope, { inUse }: Models): Promise<Run> {
  const id = randomUUIDv7();
  const { rows } = await sql<{ total: number }>`
    insert into risk_runs (id, at, model_id, total)
    values (${id}, ${now.toString()}, ${inUse.id}, risk_count_ahead(${now.toString()}::timestamptz))
    returning total`.execute(db);
  return { id, at: now, done: 0, total: rows[0]?.total ?? 0, place: BEGINNING };
}

function read(scope: Scope, page: Page): Promise<KnownPage> {
  return transact(scope, (scope) => knownAfter(scope, page));
}

interface Writing {
  readonly run: Run;
  readonly models: Models;
  readonly place: Place;
  readonly done: number;
}

function write(scope: Scope, visits: readonly Scored[], { run, models, place, done }: Writing): Promise<void> {
  return transact(scope, async (scope) => {
    await writeScores(scope, visits, { at: run.at, models });
    await scope.db
      .updateTable('risk_runs')
      .set({ done, after_patient: place.patient, after_starts_at: place.startsAt, after_id: place.visit })
      .where('id', '=', run.id)
      .execute();
  });
}

async function finish(scope: Scope, { id, at }: Run): Promise<void> {
  await takeOffBegun(scope, at);
  await scope.db.updateTable('risk_runs').set({ finished_at: scope.now.toString() }).where('id', '=', id).execute();
}
