/**
 * What a benefit has to do with a visit: it holds its amount from the hold or the booking on, spends it when the visit
 * has been, and gives it back when it will not be. Every change of a visit comes by here, in its own transaction.
 */
import { Decimal } from 'decimal.js';
import type { Insertable } from 'kysely';
import * as benefits from '#benefits';
import type { Database } from '#platform/database';
import { asSystem, type Scope } from '#platform/scope';
import type { AppointmentRow, AppointmentStatus } from './appointment.ts';
import { loadRules } from './calendar.ts';
import type { OnNoShow } from './cover-terms.ts';
import type { Wanted } from './wanted.ts';

type Columns = Insertable<Database['appointments']>;
type Cover = Required<Pick<Columns, 'benefit_id' | 'benefit_amount' | 'benefit_on_no_show'>>;

const UNCOVERED: Cover = { benefit_id: null, benefit_amount: null, benefit_on_no_show: null };

/**
 * The benefit that pays for a new visit, and the terms. None for a service that costs none. Throws BenefitNotCovering,
 * unless the caller accepts a visit that no benefit pays for.
 */
export async function coverFor(scope: Scope, wanted: Wanted, acceptUncovered: boolean | undefined): Promise<Cover> {
  const { coverage } = wanted.rules;
  if (!coverage) return UNCOVERED;
  const { type, unit, amount, onNoShow } = coverage;
  const { patientId, startsAt } = wanted;
  const cost = { patientId, type, unit, amount: new Decimal(amount), startsAt };
  try {
    const benefit_id = await benefits.coverVisit(asSystem(scope), cost);
    return { benefit_id, benefit_amount: amount, benefit_on_no_show: onNoShow };
  } catch (thrown) {
    if (acceptUncovered && thrown instanceof benefits.BenefitNotCovering) return UNCOVERED;
    throw thrown;
  }
}

/** The same for a visit that moves: in the period of its benefit that one goes on, into another it needs another. */
export async function coverOfMoved(
  scope: Scope,
  before: AppointmentRow,
  { wanted, acceptUncovered }: { wanted: Wanted; acceptUncovered: boolean | undefined },
): Promise<Cover> {
  if (before.benefit_id === null) return UNCOVERED;
  const stays = await benefits.coversVisitAt(asSystem(scope), before.benefit_id, wanted.startsAt);
  return stays ? coverOf(before) : coverFor(scope, wanted, acceptUncovered);
}

/** The same for a visit that gave its amount back, and is taken back or was there after all: it needs it anew. */
export async function coverOfMended(
  scope: Scope,
  before: AppointmentRow,
  { to, acceptUncovered }: { to: AppointmentStatus; acceptUncovered: boolean | undefined },
): Promise<Cover> {
  const onNoShow = before.benefit_on_no_show;
  if (onNoShow === null || stateOf(before.status, onNoShow) !== 'NONE' || stateOf(to, onNoShow) === 'NONE')
    return coverOf(before);
  const { patient_id: patientId, starts_at, service } = before;
  const rules = await loadRules(scope, service);
  return coverFor(scope, { patientId, startsAt: starts_at.toTemporalInstant(), rules } as Wanted, acceptUncovered);
}

const coverOf = ({ benefit_id, benefit_amount, benefit_on_no_show }: AppointmentRow): Cover => ({
  benefit_id,
  benefit_amount,
  benefit_on_no_show,
});

/** What the change of status means for the benefit that pays. Throws InsufficientBenefit. */
export async function settle(scope: Scope, row: AppointmentRow, from: AppointmentStatus | null): Promise<void> {
  const onNoShow = row.benefit_on_no_show;
  if (onNoShow === null) return;
  const states = {
    from: from === null ? ('NONE' as const) : stateOf(from, onNoShow),
    to: stateOf(row.status, onNoShow),
  };
  await settleFor(scope, row, states);
}

/** A visit that moved into another period gives back to the one and takes from the other. */
export async function moveCover(scope: Scope, before: AppointmentRow, after: AppointmentRow): Promise<void> {
  if (before.benefit_id === after.benefit_id) return;
  await settleFor(scope, before, { from: 'HELD', to: 'NONE' });
  await settleFor(scope, after, { from: 'NONE', to: 'HELD' });
}

type States = Pick<benefits.Settlement, 'from' | 'to'>;

async function settleFor(scope: Scope, row: AppointmentRow, states: States): Promise<void> {
  const { id: appointmentId, benefit_id: benefitId, benefit_amount, starts_at } = row;
  if (benefitId === null || benefit_amount === null || states.from === states.to) return;
  const startsAt = starts_at.toTemporalInstant();
  const amount = new Decimal(benefit_amount);
  await benefits.settleVisit(asSystem(scope), { benefitId, appointmentId, amount, startsAt, ...states });
}

function stateOf(status: AppointmentStatus, onNoShow: OnNoShow): benefits.VisitState {
  if (status === 'COMPLETED') return 'USED';
  if (status === 'NO_SHOW') return onNoShow === 'USE' ? 'USED' : 'NONE';
  return status === 'CANCELLED' ? 'NONE' : 'HELD';
}
