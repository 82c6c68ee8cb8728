/** Choosing a model: an admin's act, on record, and undone step by step. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import * as audit from '#audit';
import { DomainError, NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { asSystem, type Scope, transact } from '#platform/scope';
import type { ModelFigures } from './fit-thread.ts';
import type { LearningKind } from './learning.ts';
import type { ModelKind } from './model/model.ts';
import { activate, newestActivation } from './models.ts';
import { permitAdmin } from './policy.ts';
import type { ActivationCause } from './tables.ts';

declare module '#platform/jobs' {
  interface Queues {
    'risk-scoring': Record<string, never>;
    'risk-training': { kind: LearningKind };
  }
}

declare module '#platform/events' {
  interface Events {
    /** Null: the built-in model. */
    'risk_model.activated': { modelId: string | null; cause: ActivationCause };
  }
}

export interface StoredModel {
  readonly id: string;
  readonly version: string;
  readonly kind: ModelKind;
  /** Local days of the first and the last visit that it learned from. */
  readonly trainedFrom: Temporal.PlainDate | null;
  readonly trainedUntil: Temporal.PlainDate | null;
  readonly visits: number;
  readonly noShows: number;
  readonly heldOut: ModelFigures['heldOut'];
  readonly active: boolean;
  readonly createdAt: Temporal.Instant;
}

/** There was no other model before. */
export class NothingToRollBack extends DomainError {
  readonly code = 'NOTHING_TO_ROLL_BACK';
  constructor() {
    super('No model was activated, so there is none to go back from');
  }
}

export interface Keyed {
  readonly idempotencyKey?: string | null | undefined;
}

const TRAINED = ['STATISTICAL', 'ADVANCED'] as const satisfies readonly LearningKind[];
const Training = z.object({ kind: z.enum(TRAINED), idempotencyKey: z.string().nullish() });
export type Training = z.input<typeof Training>;

/**
 * Has a model trained, by a job whose id this returns; nobody uses it before it is activated. Admins only. Throws
 * InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function requestTraining(scope: Scope, input: Training): Promise<string> {
  const { kind, idempotencyKey: key } = parse(Training, input);
  const operation = 'riskModel.requestTraining';
  await permitAdmin(scope, operation);
  return transact(scope, (scope) =>
    once(scope, { key, operation, input: { kind } }, async () => {
      const id = randomUUID();
      await scope.jobs.enqueue(scope, 'risk-training', { kind }, { id });
      await audit.record(scope, { action: operation, resourceType: 'RiskModel' });
      return id;
    }),
  );
}

/** The models that were trained, the newest first. Admins only. Throws InvalidInput, Forbidden. */
export async function riskModels(scope: Scope, input: PageInput = {}): Promise<Page<StoredModel>> {
  const { first, after } = parse(PageInput, input);
  const action = 'riskModel.list';
  await permitAdmin(scope, action);
  return transact(scope, async (scope) => {
    const place = after === null ? null : decodeCursor(after, z.tuple([z.uuid()]));
    const [rows, active] = await transact(asSystem(scope), async (scope) => [
      await modelRows(scope, { place: place?.[0] ?? null, most: first + 1 }),
      (await newestActivation(scope))?.model_id ?? null,
    ]);
    const page = toPage(rows, first, { node: (row) => toStored(row, active), key: ({ id }) => [id] });
    const resourceIds = page.items.map(({ node }) => node.id);
    await audit.record(scope, { action, resourceType: 'RiskModel', resourceIds });
    return page;
  });
}

const COLUMNS = [
  'id',
  'version',
  'kind',
  'trained_from',
  'trained_until',
  'visits',
  'no_shows',
  'figures',
  'created_at',
] as const;

type ModelRow = Awaited<ReturnType<typeof modelRows>>[number];

function modelRows({ db }: Scope, { place, most }: { place: string | null; most: number }) {
  return db
    .selectFrom('risk_models')
    .select(COLUMNS)
    .$if(place !== null, (query) => query.where('id', '<', place ?? ''))
    .orderBy('id', 'desc')
    .limit(most)
    .execute();
}

function toStored(row: ModelRow, active: string | null): StoredModel {
  const date = (text: string | null) => (text === null ? null : Temporal.PlainDate.from(text));
  return {
    id: row.id,
    version: row.version,
    kind: row.kind,
    trainedFrom: date(row.trained_from),
    trainedUntil: date(row.trained_until),
    visits: row.visits,
    noShows: row.no_shows,
    heldOut: (row.figures as ModelFigures).heldOut,
    active: row.id === active,
    createdAt: row.created_at.toTemporalInstant(),
  };
}

/**
 * Has the model used from now on, and every visit to come scored anew. Admins only. Throws NotFound,
 * IdempotencyMismatch, Forbidden.
 */
export async function activateModel(
  scope: Scope,
  modelId: string,
  { idempotencyKey: key }: Keyed = {},
): Promise<StoredModel> {
  const id = idOf(modelId);
  const operation = 'riskModel.activate';
  await permitAdmin(scope, operation, id);
  if (!isUuid(id)) throw new NotFound('Model');
  return transact(scope, async (scope) => {
    await once(scope, { key, operation, input: { id } }, async () => {
      await transact(asSystem(scope), async (inner) => {
        await storedModel(inner, id);
        const before = await newestActivation(inner);
        if (before?.model_id === id) return;
        await changeTo(inner, { modelId: id, cause: 'ADMIN', beforeId: before?.id ?? null }, scope.actor.id);
      });
      await audit.record(scope, { action: operation, resourceType: 'RiskModel', resourceId: id });
      return id;
    });
    return transact(asSystem(scope), (scope) => storedModel(scope, id));
  });
}

async function storedModel(scope: Scope, id: string): Promise<StoredModel> {
  const row = await scope.db.selectFrom('risk_models').select(COLUMNS).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new NotFound('Model');
  return toStored(row, (await newestActivation(scope))?.model_id ?? null);
}

/**
 * Goes back to the model that was used before the last one that somebody chose; null is the built-in one. Admins only.
 * Throws {@link NothingToRollBack}, IdempotencyMismatch, Forbidden.
 */
export async function rollBackModel(scope: Scope, { idempotencyKey: key }: Keyed = {}): Promise<StoredModel | null> {
  const operation = 'riskModel.rollBack';
  await permitAdmin(scope, operation);
  return transact(scope, async (scope) => {
    await once(scope, { key, operation, input: {} }, async () => {
      const id = await transact(asSystem(scope), (inner) => goBack(inner, scope.actor.id));
      await audit.record(scope, { action: operation, resourceType: 'RiskModel', resourceId: id });
      return id;
    });
    return transact(asSystem(scope), async (scope) => {
      const active = (await newestActivation(scope))?.model_id ?? null;
      return active === null ? null : storedModel(scope, active);
    });
  });
}

/** Returns the id of the activation. */
async function goBack(scope: Scope, by: string): Promise<string> {
  const newest = await newestActivation(scope);
  if (newest === undefined || (newest.model_id === null && newest.before_id === null)) throw new NothingToRollBack();
  const before =
    newest.before_id === null
      ? null
      : await scope.db
          .selectFrom('risk_activations')
          .selectAll()
          .where('id', '=', newest.before_id)
          .executeTakeFirstOrThrow();
  const target = { modelId: before?.model_id ?? null, beforeId: before?.before_id ?? null };
  return changeTo(scope, { ...target, cause: 'ROLL_BACK' }, by);
}

/** Inside `transact`, for the system. Returns the id of the activation. */
export async function changeTo(scope: Scope, to: Parameters<typeof activate>[1], by: string): Promise<string> {
  const id = await activate(scope, to, by);
  await emit(scope, 'risk_model.activated', { modelId: to.modelId, cause: to.cause });
  // The night scores them all anyway.
  if (to.cause !== 'NIGHTLY') await scope.jobs.enqueue(scope, 'risk-scoring', {}, { singletonKey: 'all' });
  return id;
}
