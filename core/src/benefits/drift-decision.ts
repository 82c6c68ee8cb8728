/** What a person decides about a drift: that the payer is right, or that it is not. */
import { z } from 'zod';
import { Decimal } from 'decimal.js';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { localDay, toBenefit } from './benefit.ts';
import { type BenefitDrift, reasonOf, shownDrifts } from './drift-list.ts';
import { toChanged } from './drift-record.ts';
import { DriftNotCorrectable, DriftSettled, StaleDrift } from './errors.ts';
import { words } from './input.ts';
import { lockBenefit, post } from './ledger.ts';
import { permitStaff } from './policy.ts';
import type { DriftRow } from './tables.ts';

const Acceptance = z.object({
  /** The version that the caller has seen: a newer one makes the decision fail. */
  version: z.int('expected a whole number').nullish(),
  idempotencyKey: z.string().nullish(),
});
export type Acceptance = z.input<typeof Acceptance>;

const Dispute = Acceptance.extend({ reason: words });
export type Dispute = z.input<typeof Dispute>;

/**
 * The payer is right: a correction entry changes what is allocated by the difference that was found. Staff only. Throws
 * NotFound, {@link DriftSettled}, {@link StaleDrift}, {@link DriftNotCorrectable}, InsufficientBenefit (what would be
 * taken is spent or held), InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function acceptDrift(scope: Scope, id: string, input: Acceptance = {}): Promise<BenefitDrift> {
  const action = 'benefit.acceptDrift';
  return decide(scope, id, {
    action,
    decision: parse(Acceptance, input),
    async settle(scope, drift) {
      const entry_id = await correct(scope, drift, action);
      return { status: 'ACCEPTED', entry_id };
    },
  });
}

/**
 * The payer is not right; the reason is sealed. The next sync leaves it so until there is something else to decide.
 * Staff only. Throws NotFound, {@link DriftSettled}, {@link StaleDrift}, InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function disputeDrift(scope: Scope, id: string, input: Dispute): Promise<BenefitDrift> {
  const { reason, ...decision } = parse(Dispute, input);
  return decide(scope, id, {
    action: 'benefit.disputeDrift',
    decision: { ...decision, reason },
    async settle(scope, { id, patient_id }) {
      const key = (await care.keysOf(scope, [patient_id])).get(patient_id);
      if (!key) throw new NotFound('Patient');
      return { status: 'DISPUTED', reason: key.seal(reasonOf(id), reason) };
    },
  });
}

interface Settled {
  readonly status: 'ACCEPTED' | 'DISPUTED';
  readonly entry_id?: string;
  readonly reason?: Buffer;
}

interface Deciding {
  readonly action: string;
  readonly decision: z.output<typeof Acceptance> & { readonly reason?: string };
  readonly settle: (scope: Scope, drift: DriftRow) => Promise<Settled>;
}

async function decide(scope: Scope, driftId: string, { action, decision, settle }: Deciding): Promise<BenefitDrift> {
  const { idempotencyKey: key, ...input } = decision;
  await permitStaff(scope, action, driftId);
  if (!isUuid(driftId)) throw new NotFound('Drift');
  const id = idOf(driftId);
  return transact(scope, async (scope) => {
    await once(scope, { key, operation: action, input: { id, ...input } }, async () => {
      const drift = await hold(scope, id);
      if (drift.status === 'ACCEPTED' || drift.status === 'RESOLVED') throw new DriftSettled(drift.status);
      if (typeof input.version === 'number' && input.version !== drift.version) throw new StaleDrift(drift.version);
      await write(scope, drift, { action, ...(await settle(scope, drift)) });
      return id;
    });
    const [shown] = await shownDrifts(scope, action, [await hold(scope, id)]);
    return shown as BenefitDrift;
  });
}

/** Its benefit first, as everybody who locks both. */
async function hold(scope: Scope, id: string): Promise<DriftRow> {
  const find = scope.db.selectFrom('benefit_drifts').selectAll().where('id', '=', id);
  const { benefit_id } = await find.executeTakeFirstOrThrow(() => new NotFound('Drift'));
  if (benefit_id !== null) await lockBenefit(scope, benefit_id);
  return find.forNoKeyUpdate().executeTakeFirstOrThrow(() => new NotFound('Drift'));
}

/** By what was found, not to what the payer said: what has been spent here since, it will learn. */
async function correct(scope: Scope, drift: DriftRow, action: string): Promise<string> {
  if (drift.benefit_id === null || drift.difference === null) throw new DriftNotCorrectable(drift.kind);
  const row = await lockBenefit(scope, drift.benefit_id);
  const benefit = toBenefit(row, scope.now);
  if (benefit.status === 'EXPIRED') throw new DriftNotCorrectable(drift.kind);
  const difference = new Decimal(drift.difference);
  return post(scope, row, {
    action,
    kind: 'SYNC_CORRECTION',
    amount: difference.abs(),
    direction: difference.isNegative() ? -1 : 1,
    serviceDate: localDay(benefit, scope.now),
  });
}

async function write(
  scope: Scope,
  drift: DriftRow,
  { action, ...settled }: Settled & { action: string },
): Promise<void> {
  const at = scope.now.toString();
  await scope.db
    .updateTable('benefit_drifts')
    .set({ ...settled, settled_by: scope.actor.id, settled_at: at, version: drift.version + 1, updated_at: at })
    .where('id', '=', drift.id)
    .execute();
  const about = { resourceType: 'BenefitDrift', resourceId: drift.id, patientIds: [drift.patient_id] };
  const changedFields = settled.reason ? ['status', 'reason'] : ['status'];
  await audit.record(scope, { action, ...about, changedFields });
  const topic = settled.status === 'ACCEPTED' ? 'benefit.drift_accepted' : 'benefit.drift_disputed';
  await emit(scope, topic, toChanged(drift));
}
