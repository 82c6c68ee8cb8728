/** Taking back what was used. */
import { Decimal } from 'decimal.js';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { toBenefit } from './benefit.ts';
import { ReversalTooLarge } from './errors.ts';
import { mustFit, Reversal } from './input.ts';
import { lockBenefit, post, type Posting, type Recorded, recorded, repeatOf } from './ledger.ts';
import { permitStaff } from './policy.ts';
import type { EntryRow } from './tables.ts';

const ACTION = 'benefit.reverseUsage';

/**
 * Takes back what was used, in whole or in part, to the period that it came from; when that is over it expires at once.
 * Staff only. Throws InvalidInput, NotFound (no entry, or none that was a use), {@link ReversalTooLarge},
 * IdempotencyMismatch, Forbidden.
 */
export async function reverseUsage(scope: Scope, entryId: string, input: Reversal): Promise<Recorded> {
  const { idempotencyKey: key, ...reversal } = parse(Reversal, input);
  await permitStaff(scope, ACTION);

  return transact(scope, async (scope) => {
    const use = await usageOf(scope, entryId);
    // What is left of it is known once nobody else can take from it.
    const benefit = await lockBenefit(scope, use.benefit_id);
    if (reversal.amount) mustFit(reversal.amount, benefit.unit);
    const once = { key, input: { action: ACTION, entryId: use.id, ...reversal } };
    const first = await repeatOf(scope, benefit.id, once);
    if (first !== null) return recorded(scope, benefit.id, first);

    const left = await leftOf(scope, use);
    const amount = reversal.amount ?? left;
    if (amount.greaterThan(left) || left.isZero()) throw new ReversalTooLarge(left);
    const reason = { text: reversal.reason, key: await keyFor(scope, benefit.patient_id) };
    const posting: Posting = {
      action: ACTION,
      kind: 'REVERSE',
      amount,
      reverses: use.id,
      reason,
      once,
      ...placeOf(use),
    };
    const id = await post(scope, benefit, posting);
    await expireAtOnce(scope, use, amount);
    return recorded(scope, benefit.id, id);
  });
}

async function usageOf({ db }: Scope, id: string): Promise<EntryRow> {
  if (!isUuid(id)) throw new NotFound('Usage');
  const use = db.selectFrom('benefit_entries').selectAll().where('id', '=', id).where('kind', '=', 'USE');
  return use.executeTakeFirstOrThrow(() => new NotFound('Usage'));
}

async function leftOf({ db }: Scope, { id, amount }: EntryRow): Promise<Decimal> {
  const taken = await db.selectFrom('benefit_entries').select('amount').where('reverses', '=', id).execute();
  return taken.reduce((left, { amount }) => left.minus(amount), new Decimal(amount));
}

async function keyFor(scope: Scope, patientId: string): Promise<care.PatientKey> {
  const key = (await care.keysOf(scope, [patientId])).get(patientId);
  if (!key) throw new NotFound('Patient');
  return key;
}

const placeOf = ({ service_date, appointment_id }: EntryRow) => ({
  serviceDate: Temporal.PlainDate.from(service_date),
  appointmentId: appointment_id,
});

/** In a period that is over nothing can be spent any more. */
async function expireAtOnce(scope: Scope, use: EntryRow, amount: Decimal): Promise<void> {
  const benefit = await lockBenefit(scope, use.benefit_id);
  if (toBenefit(benefit, scope.now).status !== 'EXPIRED') return;
  await post(scope, benefit, { action: 'benefit.expire', kind: 'EXPIRE', amount, ...placeOf(use) });
}
