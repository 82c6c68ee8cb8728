/** Reading benefits and their entries. Every read is on record with whose they are. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import { idOf, isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import { type Benefit, toBenefit } from './benefit.ts';
import { byPeriodEnd } from './decision.ts';
import { type BenefitEntry, toEntry } from './entry.ts';
import { permitPatient, permitReader, visibleBenefit } from './policy.ts';
import type { BenefitRow, EntryRow } from './tables.ts';

/** The benefit with this id, or null. Throws Forbidden. */
export async function findBenefit(scope: Scope, id: string): Promise<Benefit | null> {
  const action = 'benefit.read';
  await permitReader(scope, action);
  return transact(scope, async (scope) => {
    const row = await visibleBenefit(scope, id, action);
    const [benefit] = await shown(scope, action, [row]);
    return benefit as Benefit;
  }).catch((thrown: unknown) => {
    if (thrown instanceof NotFound) return null;
    throw thrown;
  });
}

/** Those of the ids that are benefits the caller may see, by id: for loaders. Throws Forbidden. */
export async function benefitsByIds(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Benefit>> {
  const action = 'benefit.read';
  await permitReader(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('benefits')
      .selectAll()
      .where('id', '=', sql<string>`any(${ids.filter(isUuid)}::uuid[])`)
      .execute();
    const benefits = await shown(scope, action, rows);
    return new Map(benefits.map((benefit) => [benefit.id, benefit]));
  });
}

/** All of a patient's, those that end first at the front. Throws NotFound (a patient who asks of another), Forbidden. */
export async function patientBenefits(scope: Scope, patientId: string): Promise<Benefit[]> {
  await permitPatient(scope, patientId, 'benefit.list');
  return (await benefitsOfPatients(scope, [patientId])).get(idOf(patientId)) ?? [];
}

/** Those that can be spent from now. Throws NotFound, Forbidden. */
export async function activeBenefits(scope: Scope, patientId: string): Promise<Benefit[]> {
  return (await patientBenefits(scope, patientId)).filter(({ status }) => status === 'ACTIVE');
}

/** The benefits of those of the patients whom the caller may see, by patient: for loaders, one query. Throws Forbidden. */
export async function benefitsOfPatients(
  scope: Scope,
  patientIds: readonly string[],
): Promise<ReadonlyMap<string, Benefit[]>> {
  const action = 'benefit.list';
  await permitReader(scope, action);
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('benefits')
      .selectAll()
      .where('patient_id', '=', sql<string>`any(${patientIds.filter(isUuid)}::uuid[])`)
      .execute();
    const benefits = await shown(scope, action, rows);
    return Map.groupBy(benefits.toSorted(byPeriodEnd), ({ patientId }) => patientId);
  });
}

/**
 * A page of each benefit's entries, newest first: for loaders, in one statement. Those that the caller may not see have
 * none. Throws InvalidInput, Forbidden.
 */
export async function entriesOfBenefits(
  scope: Scope,
  benefitIds: readonly string[],
  input: PageInput = {},
): Promise<ReadonlyMap<string, Page<BenefitEntry>>> {
  const { first, after } = parse(PageInput, input);
  const action = 'benefit.readEntries';
  await permitReader(scope, action);
  return transact(scope, async (scope) => {
    const { rows } = await sql<EntryRow & { patient_id: string }>`
      select e.*, b.patient_id
      from unnest(${benefitIds.filter(isUuid)}::uuid[]) as wanted (id)
      join benefits b on b.id = wanted.id
      cross join lateral (
        select * from benefit_entries where benefit_id = b.id and ${beforePlace(after)}
        order by id desc limit ${first + 1}
      ) e order by e.id desc`.execute(scope.db);
    const patientIds = [...new Set(rows.map(({ patient_id }) => patient_id))];
    await audit.record(scope, { action, resourceType: 'Benefit', resourceIds: [...benefitIds], patientIds });
    const keys = rows.some(({ reason }) => reason !== null) ? await care.keysOf(scope, patientIds) : null;
    const byBenefit = [...Map.groupBy(rows, ({ benefit_id }) => benefit_id)];
    return new Map(
      byBenefit.map(([id, rows]) => [
        id,
        toPage(rows, first, {
          node: (row) => toEntry(row, keys?.get(row.patient_id)),
          key: ({ id }) => [id],
        }),
      ]),
    );
  });
}

/** Ids are made in the order of entries; times are finer than what a cursor holds. */
const Place = z.tuple([z.uuid()]);

function beforePlace(cursor: string | null) {
  if (cursor === null) return sql`true`;
  const [id] = decodeCursor(cursor, Place);
  return sql`id < ${id}::uuid`;
}

/** Opens the rows and records whose they are. */
export async function shown(scope: Scope, action: string, rows: readonly BenefitRow[]): Promise<Benefit[]> {
  await audit.record(scope, {
    action,
    resourceType: 'Benefit',
    resourceIds: rows.map(({ id }) => id),
    patientIds: [...new Set(rows.map(({ patient_id }) => patient_id))],
  });
  return rows.map((row) => toBenefit(row, scope.now));
}
