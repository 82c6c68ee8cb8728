/** Reading drifts: for staff, each read on record with whose they are. */
import { Decimal } from 'decimal.js';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import type { BenefitType, BenefitUnit } from './benefit.ts';
import type { DriftKind } from './drift.ts';
import { permitStaff } from './policy.ts';
import type { DriftRow } from './tables.ts';

export const DRIFT_STATUSES = ['OPEN', 'ACCEPTED', 'DISPUTED', 'RESOLVED'] as const;
export type DriftStatus = (typeof DRIFT_STATUSES)[number];

export interface Amounts {
  readonly allocated: Decimal;
  readonly used: Decimal;
}

/** A difference between payer and ledger, for a person to decide. */
export interface BenefitDrift {
  readonly id: string;
  readonly patientId: string;
  /** Null where the payer lists one that is not on record. */
  readonly benefitId: string | null;
  readonly kind: DriftKind;
  /** Why the payer's answer cannot be believed, by code. */
  readonly fault: string | null;
  readonly status: DriftStatus;
  readonly externalPlanId: string;
  readonly type: BenefitType;
  readonly unit: BenefitUnit;
  /** When the payer was asked last; null for the side that has none. */
  readonly here: Amounts | null;
  readonly there: Amounts | null;
  /** What is left there less what is left here. */
  readonly difference: Decimal | null;
  readonly asOf: Temporal.Instant;
  /** Why it is disputed; null also once the patient is erased. */
  readonly reason: string | null;
  /** The correction that it was accepted with. */
  readonly entryId: string | null;
  /** Null also for one that was closed by itself. */
  readonly settledBy: string | null;
  readonly settledAt: Temporal.Instant | null;
  /** Grows when there is something else to decide, and with each decision. */
  readonly version: number;
  readonly createdAt: Temporal.Instant;
}

export function toDrift(row: DriftRow, key: care.PatientKey | undefined): BenefitDrift {
  return {
    id: row.id,
    patientId: row.patient_id,
    benefitId: row.benefit_id,
    kind: row.kind,
    fault: row.fault,
    status: row.status,
    externalPlanId: row.external_plan_id,
    type: row.type,
    unit: row.unit,
    here: amountsOf(row.allocated_here, row.used_here),
    there: amountsOf(row.allocated_there, row.used_there),
    difference: row.difference === null ? null : new Decimal(row.difference),
    asOf: row.as_of.toTemporalInstant(),
    reason: row.reason && key ? key.open(reasonOf(row.id), row.reason) : null,
    entryId: row.entry_id,
    settledBy: row.settled_by,
    settledAt: row.settled_at?.toTemporalInstant() ?? null,
    version: row.version,
    createdAt: row.created_at.toTemporalInstant(),
  };
}

function amountsOf(allocated: string | null, used: string | null): Amounts | null {
  return allocated === null || used === null ? null : { allocated: new Decimal(allocated), used: new Decimal(used) };
}

/** Where the reason of a dispute is sealed for. */
export const reasonOf = (driftId: string) => ({ table: 'benefit_drifts', column: 'reason', row: driftId });

const DriftList = PageInput.extend({
  status: z
    .array(z.enum(DRIFT_STATUSES))
    .nullish()
    .transform((status) => status ?? (['OPEN'] as const)),
  patientId: z.string().max(100).nullish(),
});
/** Without `status`: the open ones. */
export type DriftList = z.input<typeof DriftList>;

/** Ids are made in the order in which drifts are found. */
const Place = z.tuple([z.uuid()]);

/** The oldest first. Staff only. Throws InvalidInput, Forbidden. */
export async function benefitDrifts(scope: Scope, input: DriftList = {}): Promise<Page<BenefitDrift>> {
  const { first, after, status, patientId } = parse(DriftList, input);
  const action = 'benefit.listDrifts';
  await permitStaff(scope, action);
  if (patientId && !isUuid(patientId)) return { items: [], hasNextPage: false };
  return transact(scope, async (scope) => {
    const rows = await scope.db
      .selectFrom('benefit_drifts')
      .selectAll()
      .where('status', '=', sql<DriftStatus>`any(${status})`)
      .$if(Boolean(patientId), (query) => query.where('patient_id', '=', patientId as string))
      .$if(after !== null, (query) => query.where('id', '>', decodeCursor(after ?? '', Place)[0]))
      .orderBy('id')
      .limit(first + 1)
      .execute();
    const drifts = await shownDrifts(scope, action, rows.slice(0, first));
    const opened = new Map(drifts.map((drift) => [drift.id, drift]));
    return toPage(rows, first, { node: ({ id }) => opened.get(id) as BenefitDrift, key: ({ id }) => [id] });
  });
}

/** Opens the rows and records whose they are. */
export async function shownDrifts(scope: Scope, action: string, rows: readonly DriftRow[]): Promise<BenefitDrift[]> {
  const patientIds = [...new Set(rows.map(({ patient_id }) => patient_id))];
  await audit.record(scope, {
    action,
    resourceType: 'BenefitDrift',
    resourceIds: rows.map(({ id }) => id),
    patientIds,
  });
  const keys = rows.some(({ reason }) => reason !== null) ? await care.keysOf(scope, patientIds) : null;
  return rows.map((row) => toDrift(row, keys?.get(row.patient_id)));
}
