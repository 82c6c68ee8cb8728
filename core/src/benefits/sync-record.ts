/** What the payer answered about some patients, written down at once: many rows, few statements, one transaction. */
import { sql } from 'kysely';
import * as audit from '#audit';
import * as care from '#care';
import type { PayerAnswer } from '#integrations/benefits-api';
import type { Scope } from '#platform/scope';
import { type Benefit, toBenefit } from './benefit.ts';
import { compare } from './drift.ts';
import { recordDrifts } from './drift-record.ts';
import { keepSnapshots } from './snapshot.ts';
import type { Asked } from './sync-ask.ts';
import type { BenefitRow } from './tables.ts';

/**
 * Those of the patients who are live and have benefits at the payer that are not over, with what to ask for. For the
 * system, inside `transact`.
 */
export async function toAsk(scope: Scope, patientIds: readonly string[]): Promise<Asked[]> {
  const memberIds = await care.memberIdsOf(scope, patientIds);
  const rows = await scope.db
    .selectFrom('benefits')
    .select(['patient_id', 'external_plan_id'])
    .where('patient_id', '=', sql<string>`any(${[...memberIds.keys()]}::uuid[])`)
    .where('external_plan_id', 'is not', null)
    .where('ended_at', 'is', null)
    .orderBy('patient_id')
    .orderBy('id')
    .execute();
  const plans = Map.groupBy(rows, ({ patient_id }) => patient_id);
  return [...plans].map(([patientId, rows]) => ({
    patientId,
    memberId: memberIds.get(patientId) ?? null,
    planIds: [...new Set(rows.map(({ external_plan_id }) => external_plan_id as string))],
  }));
}

/**
 * Keeps what was said, and what of it differs from the ledger; no entry is written and no amount moved. Returns how many
 * differences there are. For the system, inside `transact`.
 */
export async function recordAnswers(scope: Scope, answers: ReadonlyMap<string, PayerAnswer>): Promise<number> {
  if (answers.size === 0) return 0;
  // Whoever was deleted meanwhile has no drifts any more.
  const live = await care.memberIdsOf(scope, [...answers.keys()]);
  const rows = await hold(scope, [...live.keys()]);
  const benefits = Map.groupBy(
    rows.map((row) => toBenefit(row, scope.now)),
    ({ patientId }) => patientId,
  );
  const found = [...benefits].flatMap(([patientId, of]) => {
    const answer = answers.get(patientId);
    return answer === undefined ? [] : foundOf(scope, answer, of);
  });
  await keepSnapshots(
    scope,
    found.map(({ answer, findings }) => [answer, findings] as const),
  );
  await markSynced(scope, rows);
  const patientIds = found.map(({ patientId }) => patientId);
  await audit.record(scope, { action: 'benefit.sync', resourceType: 'Benefit', patientIds });
  return recordDrifts(scope, found);
}

function foundOf({ now }: Scope, answer: PayerAnswer, benefits: readonly Benefit[]) {
  const patientId = benefits[0]?.patientId ?? '';
  return [{ patientId, answer, asOf: answer.asOf, findings: compare(benefits, answer, now) }];
}

/** For this transaction alone to change, in the order in which everybody locks them. */
function hold({ db }: Scope, patientIds: readonly string[]): Promise<BenefitRow[]> {
  return db
    .selectFrom('benefits')
    .selectAll()
    .where('patient_id', '=', sql<string>`any(${patientIds}::uuid[])`)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
}

async function markSynced({ db, now }: Scope, rows: readonly BenefitRow[]): Promise<void> {
  const ids = rows.flatMap(({ id, external_plan_id }) => (external_plan_id === null ? [] : id));
  await db
    .updateTable('benefits')
    .set({ last_synced_at: now.toString() })
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
}
