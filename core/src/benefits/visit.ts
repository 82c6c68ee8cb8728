/**
 * What a visit does to the benefit that pays for it: it holds its amount while it is ahead, spends it when it has been,
 * and gives it back when it will not be. In the transaction of the visit's own change, for the system on behalf of
 * whoever changes the visit: a patient books, and may write no ledger.
 */
import { Decimal } from 'decimal.js';
import * as audit from '#audit';
import * as care from '#care';
import { type Scope, transact } from '#platform/scope';
import { type BenefitType, type BenefitUnit, covers, localDay, toBenefit } from './benefit.ts';
import { decide } from './decision.ts';
import { BenefitNotCovering } from './errors.ts';
import { lockBenefit, post, type Posting } from './ledger.ts';
import { visibleBenefit } from './policy.ts';
import type { BenefitRow, EntryRow } from './tables.ts';

/** What a visit costs, and of which benefits. */
export interface Cost {
  readonly patientId: string;
  readonly type: BenefitType;
  readonly unit: BenefitUnit;
  readonly amount: Decimal;
  /** When the visit begins: the day in each plan's zone decides. */
  readonly startsAt: Temporal.Instant;
}

/**
 * The benefit that pays for a visit: of those that could, the one that ends first. Nobody else spends it until the
 * transaction ends. Call it inside `transact`. Throws {@link BenefitNotCovering}, NotFound, Forbidden.
 */
export async function coverVisit(scope: Scope, cost: Cost): Promise<string> {
  await permitSystem(scope, 'benefit.coverVisit');
  return transact(scope, async (scope) => {
    const { status: patientStatus } = await care.standingOf(scope, cost.patientId);
    const rows = await scope.db
      .selectFrom('benefits')
      .selectAll()
      .where('patient_id', '=', cost.patientId)
      .where('type', '=', cost.type)
      .where('unit', '=', cost.unit)
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    const { decision, reasons, benefit } = decide({
      patientStatus,
      benefits: rows.map((row) => toBenefit(row, scope.now)),
      required: cost.amount,
      dayOf: (benefit) => localDay(benefit, cost.startsAt),
      now: scope.now,
    });
    if (decision === 'ELIGIBLE' && benefit) return benefit.id;
    throw new BenefitNotCovering(reasons, cost.amount, benefit?.available ?? null);
  });
}

/** Whether the visit would still be in the benefit's period. For the system. Throws NotFound, Forbidden. */
export async function coversVisitAt(scope: Scope, benefitId: string, startsAt: Temporal.Instant): Promise<boolean> {
  const action = 'benefit.coverVisit';
  await permitSystem(scope, action);
  const benefit = toBenefit(await visibleBenefit(scope, benefitId, action), scope.now);
  return covers(benefit, localDay(benefit, startsAt));
}

/** What a visit has of its benefit: nothing, an amount that is kept for it, or one that is spent. */
export type VisitState = 'NONE' | 'HELD' | 'USED';

export interface Settlement {
  readonly benefitId: string;
  readonly appointmentId: string;
  readonly amount: Decimal;
  readonly startsAt: Temporal.Instant;
  readonly from: VisitState;
  readonly to: VisitState;
}

/**
 * Brings what the visit has of its benefit from one state to the other. Call it inside `transact`. Throws
 * InsufficientBenefit when what was given back is spent by now, Forbidden.
 */
export async function settleVisit(scope: Scope, settlement: Settlement): Promise<void> {
  const { benefitId, from, to } = settlement;
  await permitSystem(scope, 'benefit.settleVisit');
  if (from === to) return;
  await transact(scope, async (scope) => {
    const benefit = await lockBenefit(scope, benefitId);
    if (from === 'HELD') await release(scope, benefit, settlement);
    if (from === 'USED') await takeBack(scope, benefit, settlement);
    if (to !== 'NONE') await add(scope, benefit, settlement);
    else await expireAtOnce(scope, benefit, settlement);
  });
}

async function release(scope: Scope, benefit: BenefitRow, settlement: Settlement): Promise<void> {
  const entries = await entriesOf(scope, settlement);
  const held = entries.reduce((sum, { held_delta }) => sum.plus(held_delta), new Decimal(0));
  if (held.isPositive() && !held.isZero())
    await post(scope, benefit, { kind: 'RELEASE', amount: held, ...about(benefit, settlement) });
}

/** What is left of what it spent: a person may have taken back a part of it. */
async function takeBack(scope: Scope, benefit: BenefitRow, settlement: Settlement): Promise<void> {
  const entries = await entriesOf(scope, settlement);
  for (const use of entries.filter(isOfVisit)) {
    const taken = entries.filter(({ reverses }) => reverses === use.id);
    const left = taken.reduce((sum, { amount }) => sum.minus(amount), new Decimal(use.amount));
    if (left.isZero()) continue;
    await post(scope, benefit, { kind: 'REVERSE', amount: left, reverses: use.id, ...about(benefit, settlement) });
  }
}

/** What a person has spent for the same visit is that person's to take back. */
const isOfVisit = ({ kind, recorded_role }: EntryRow): boolean => kind === 'USE' && recorded_role === 'system';

async function add(scope: Scope, benefit: BenefitRow, settlement: Settlement): Promise<void> {
  const kind = settlement.to === 'HELD' ? 'HOLD' : 'USE';
  await post(scope, benefit, { kind, amount: settlement.amount, ...about(benefit, settlement) });
}

/** In a period that is over nothing can be spent any more. */
async function expireAtOnce(scope: Scope, { id }: BenefitRow, settlement: Settlement): Promise<void> {
  const benefit = await lockBenefit(scope, id);
  const { status, available } = toBenefit(benefit, scope.now);
  if (status !== 'EXPIRED' || available.isZero()) return;
  const { serviceDate } = about(benefit, settlement);
  await post(scope, benefit, { action: 'benefit.expire', kind: 'EXPIRE', amount: available, serviceDate });
}

function about(benefit: BenefitRow, { appointmentId, startsAt }: Settlement) {
  return {
    action: 'benefit.settleVisit',
    appointmentId,
    serviceDate: localDay({ timeZone: benefit.time_zone }, startsAt),
  } satisfies Partial<Posting>;
}

function entriesOf({ db }: Scope, { benefitId, appointmentId }: Settlement): Promise<EntryRow[]> {
  return db
    .selectFrom('benefit_entries')
    .selectAll()
    .where('benefit_id', '=', benefitId)
    .where('appointment_id', '=', appointmentId)
    .execute();
}

function permitSystem(scope: Scope, action: string): Promise<void> {
  return audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'Benefit' });
}
