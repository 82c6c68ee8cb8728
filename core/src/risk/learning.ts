/**
 * Learning: a model from what came of the clinic's own visits. The last weeks are held out first and measured, beside the
 * statistical model that learned from the same; then the model learns from all. It does so in a thread of its own.
 */
import { randomUUIDv7 } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import * as audit from '#audit';
import { emit } from '#platform/events';
import { type Scope, transact } from '#platform/scope';
import type { Learned, Lesson } from './fit-thread.ts';
import { history } from './history.ts';
import type { LabelledRow, ModelKind, ModelState } from './model/model.ts';
import { permitSystem } from './policy.ts';

declare module '#platform/events' {
  interface Events {
    'risk_model.trained': { modelId: string };
  }
}

/** Kinds that learn. */
export type LearningKind = Exclude<ModelKind, 'LEGACY'>;

/** Fewer say too little. */
const LEAST: Readonly<Record<LearningKind, { readonly visits: number; readonly noShows: number }>> = {
  STATISTICAL: { visits: 100, noShows: 10 },
  ADVANCED: { visits: 1_000, noShows: 100 },
};

const DAYS = 730;

export interface LearningOptions {
  readonly signal?: AbortSignal | undefined;
  /** Visits that are read so far. */
  readonly onProgress?: ((visits: number) => void) | undefined;
}

/** The visits of the last two years that came to an end, for {@link train}. For the system. */
export async function readLessons(scope: Scope, { signal, onProgress }: LearningOptions = {}): Promise<LabelledRow[]> {
  const rows: LabelledRow[] = [];
  const span = { from: scope.now.subtract({ hours: 24 * DAYS }), until: scope.now };
  for await (const batch of history(scope, span)) {
    signal?.throwIfAborted();
    for (const row of batch) rows.push(row);
    onProgress?.(rows.length);
  }
  return rows;
}

/**
 * A new model of the kind. Returns its id, or null where there is too little to learn from. It is used by nobody before
 * it is activated. For the system. Throws Forbidden.
 */
export async function train(
  scope: Scope,
  { kind, rows, signal }: { kind: LearningKind; rows: readonly LabelledRow[]; signal?: AbortSignal | undefined },
): Promise<string | null> {
  const action = 'riskModel.train';
  await permitSystem(scope, action);
  const { visits, noShows } = LEAST[kind];
  if (rows.length < visits || rows.filter(({ noShow }) => noShow).length < noShows) return null;
  const id = randomUUIDv7();
  const version = versionOf(scope, kind, id);
  const previous = await transact(scope, (scope) => newestState(scope, kind));
  const learned = await inThread({ kind, previous }, rows, signal);
  return transact(scope, async (scope) => {
    await insertModel(scope, { id, version, kind, learned, rows });
    await audit.record(scope, { action, resourceType: 'RiskModel', resourceId: id });
    await emit(scope, 'risk_model.trained', { modelId: id });
    return id;
  });
}

/** `advanced-2026-03-02-9f3c` */
function versionOf({ now, clinic }: Scope, kind: LearningKind, id: string): string {
  const day = now.toZonedDateTimeISO(clinic.timeZone).toPlainDate();
  return `${kind.toLowerCase()}-${day.toString()}-${id.slice(-4)}`;
}

async function newestState({ db }: Scope, kind: LearningKind): Promise<ModelState | null> {
  const row = await db
    .selectFrom('risk_models')
    .select('state')
    .where('kind', '=', kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.state ?? null;
}

const CHUNK = 2_000;

async function inThread(lesson: Lesson, rows: readonly LabelledRow[], signal?: AbortSignal): Promise<Learned> {
  const worker = new Worker(new URL('./fit-thread.ts', import.meta.url), { workerData: lesson });
  const { promise, resolve, reject } = Promise.withResolvers<Learned>();
  const stop = () => reject(signal?.reason);
  worker.once('message', resolve).once('error', reject);
  worker.once('exit', () => reject(new Error('The thread that learns has ended')));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for (let from = 0; from < rows.length; from += CHUNK) worker.postMessage(rows.slice(from, from + CHUNK), []);
    worker.postMessage(null, []);
    return await promise;
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

interface NewModel {
  readonly id: string;
  readonly version: string;
  readonly kind: LearningKind;
  readonly learned: Learned;
  readonly rows: readonly LabelledRow[];
}

async function insertModel(scope: Scope, { id, version, kind, learned, rows }: NewModel): Promise<void> {
  await scope.db
    .insertInto('risk_models')
    .values({
      id,
      version,
      kind,
      state: JSON.stringify(learned.state),
      trained_from: dateOf(rows[0]),
      trained_until: dateOf(rows.at(-1)),
      visits: rows.length,
      no_shows: rows.filter(({ noShow }) => noShow).length,
      figures: JSON.stringify(learned.figures),
      created_by: scope.actor.id,
      created_at: scope.now.toString(),
    })
    .execute();
}

const EPOCH = Temporal.PlainDate.from('1970-01-01');

function dateOf(row: LabelledRow | undefined): string | null {
  return row === undefined ? null : EPOCH.add({ days: row.day }).toString();
}
