/**
 * The models, and which one is used: the one that was activated last. Every activation remembers what it took the place
 * of, so a roll-back goes back step by step; before the first there is the built-in model.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Scope } from '#platform/scope';
import type { RiskModel } from './model/model.ts';
import { restore } from './model/restore.ts';
import { builtIn } from './model/statistical.ts';
import type { ActivationCause } from './tables.ts';

export interface NamedModel {
  /** Null: the built-in one. */
  readonly id: string | null;
  readonly version: string;
  readonly model: RiskModel;
}

export interface Models {
  readonly inUse: NamedModel;
  /** The newest statistical one: what the other is measured by, and what it falls back to. */
  readonly statistical: NamedModel;
}

const BUILT_IN: NamedModel = { id: null, version: 'statistical-built-in', model: builtIn() };

/** Models never change, so what was read once need not be read again. */
const restored = new Map<string, NamedModel>();
const REMEMBERED = 8;

/** Inside `transact`, for the system. */
export async function modelsInUse(scope: Scope): Promise<Models> {
  const activation = await newestActivation(scope);
  const statistical = await newestStatistical(scope);
  return {
    inUse: await modelOf(scope, activation?.model_id ?? null),
    statistical: await modelOf(scope, statistical),
  };
}

export interface Activation {
  readonly id: string;
  readonly model_id: string | null;
  readonly before_id: string | null;
  readonly cause: ActivationCause;
  readonly activated_by: string;
  readonly activated_at: Date;
}

export async function newestActivation({ db }: Scope): Promise<Activation | undefined> {
  return db.selectFrom('risk_activations').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst();
}

/** Its id; null where there is but the built-in one. */
export async function newestStatistical({ db }: Scope): Promise<string | null> {
  const found = await db
    .selectFrom('risk_models')
    .select('id')
    .where('kind', '=', 'STATISTICAL')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return found?.id ?? null;
}

/** Null: the built-in one. */
export async function modelOf({ db }: Scope, id: string | null): Promise<NamedModel> {
  if (id === null) return BUILT_IN;
  const known = restored.get(id);
  if (known !== undefined) return known;
  const row = await db
    .selectFrom('risk_models')
    .select(['state', 'version'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const named = { id, version: row.version, model: restore(row.state) };
  restored.set(id, named);
  if (restored.size > REMEMBERED) restored.delete(restored.keys().next().value as string);
  return named;
}

interface NewActivation {
  /** Null: the built-in model. */
  readonly modelId: string | null;
  readonly cause: ActivationCause;
  readonly beforeId: string | null;
}

/** Has the model used from now on. Inside `transact`, for the system; `by` is who wants it. */
export async function activate(scope: Scope, { modelId, cause, beforeId }: NewActivation, by: string): Promise<string> {
  const id = randomUUIDv7();
  await scope.db
    .insertInto('risk_activations')
    .values({
      id,
      model_id: modelId,
      cause,
      before_id: beforeId,
      activated_by: by,
      activated_at: scope.now.toString(),
    })
    .execute();
  return id;
}
