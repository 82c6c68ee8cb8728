/**
 * The night's work: learn from what came of yesterday's visits, go on with the newer model of the kind in use unless it does
 * worse than the statistical one, and score every visit to come.
 */
import { type Scope, SYSTEM, transact } from '#platform/scope';
import { changeTo } from './activation.ts';
import type { ModelFigures } from './fit-thread.ts';
import { type LearningKind, readLessons, train } from './learning.ts';
import { isWorse } from './measures.ts';
import { modelsInUse, newestActivation } from './models.ts';
import { type NightlyOptions, type Progress, scoreAhead } from './nightly.ts';
import { permitSystem } from './policy.ts';

/** Done again, it learns no second time in a night. For the system. Throws Forbidden. */
export async function nightly(scope: Scope, options: NightlyOptions = {}): Promise<Progress> {
  await permitSystem(scope, 'risk.nightly');
  await learnTonight(scope, options.signal);
  return scoreAhead(scope, options);
}

const KINDS = ['STATISTICAL', 'ADVANCED'] as const satisfies readonly LearningKind[];
const A_NIGHT_HOURS = 12;

async function learnTonight(scope: Scope, signal?: AbortSignal): Promise<void> {
  const missing = await transact(scope, async (scope) => {
    const { rows } = await learnedSince(scope, scope.now.subtract({ hours: A_NIGHT_HOURS }));
    return KINDS.filter((kind) => !rows.has(kind));
  });
  if (missing.length === 0) return;
  const rows = await readLessons(scope, { signal });
  for (const kind of missing) {
    const id = await train(scope, { kind, rows, signal });
    if (id !== null) await transact(scope, (scope) => goOnWith(scope, kind, id));
  }
}

async function learnedSince({ db }: Scope, since: Temporal.Instant) {
  const rows = await db
    .selectFrom('risk_models')
    .select('kind')
    .where('created_at', '>', new Date(since.epochMilliseconds))
    .execute();
  return { rows: new Set<string>(rows.map(({ kind }) => kind)) };
}

/** The newer one of the kind in use takes its place, and a roll-back goes where it would have gone before. */
async function goOnWith(scope: Scope, kind: LearningKind, id: string): Promise<void> {
  const { inUse } = await modelsInUse(scope);
  if (inUse.model.kind !== kind) return;
  const { figures } = await scope.db
    .selectFrom('risk_models')
    .select('figures')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  if (doesWorse(figures as ModelFigures)) return;
  const current = await newestActivation(scope);
  await changeTo(scope, { modelId: id, cause: 'NIGHTLY', beforeId: current?.before_id ?? null }, SYSTEM.id);
}

function doesWorse({ heldOut }: ModelFigures): boolean {
  return heldOut !== null && isWorse(heldOut.model, heldOut.statistical);
}
