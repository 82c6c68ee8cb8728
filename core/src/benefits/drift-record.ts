/**
 * Findings, written down: what differs is one live drift for each benefit, brought up to date by each answer and closed
 * by itself once both agree. A disputed one stays so until there is something else to decide.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import * as audit from '#audit';
import type { PayerBenefit } from '#integrations/benefits-api';
import { emitAll } from '#platform/events';
import type { Scope } from '#platform/scope';
import type { Benefit } from './benefit.ts';
import { type Finding, placeOf } from './drift.ts';
import type { DriftRow } from './tables.ts';

declare module '#platform/events' {
  interface Events {
    /** Payer and ledger differ, or now differ in another way. */
    'benefit.drifted': DriftChanged;
    'benefit.drift_accepted': DriftChanged;
    'benefit.drift_disputed': DriftChanged;
    /** Both agree again, or its period is over. */
    'benefit.drift_resolved': DriftChanged;
  }
}

export interface DriftChanged {
  readonly driftId: string;
  readonly benefitId: string | null;
  readonly patientId: string;
}

export const toChanged = ({ id, benefit_id, patient_id }: Place): DriftChanged => ({
  driftId: id,
  benefitId: benefit_id,
  patientId: patient_id,
});

type Place = Pick<DriftRow, 'id' | 'benefit_id' | 'patient_id'>;

/** All that was found about one patient. */
export interface Found {
  readonly patientId: string;
  readonly asOf: Temporal.Instant;
  readonly findings: readonly Finding[];
}

/**
 * Writes down what was found, with audit entry and events. Returns how many differences there are. For the system, under
 * the locks of the patients' benefits.
 */
export async function recordDrifts(scope: Scope, found: readonly Found[]): Promise<number> {
  const live = await liveDrifts(
    scope,
    found.map(({ patientId }) => patientId),
  );
  const wanted = found.flatMap((one) => one.findings.flatMap((finding) => wantedOf(one, finding) ?? []));
  const rows = wanted.map((drift) => ({ drift, before: live.get(`${drift.patient_id} ${drift.about}`) }));
  await write(scope, rows);
  const still = new Set(rows.map(({ before }) => before?.id));
  // An answer that says nothing about a benefit leaves its drift as it is.
  const answered = new Set(found.flatMap(({ findings }) => findings.map(({ benefit }) => benefit?.id)));
  const gone = [...live.values()].filter(
    ({ id, benefit_id }) => !still.has(id) && (benefit_id === null || answered.has(benefit_id)),
  );
  await resolveDrifts(
    scope,
    gone.map(({ id }) => id),
  );
  const changed = rows.filter(({ drift, before }) => before === undefined || !isSame(before, drift));
  const places = changed.map(({ drift, before }): Place => before ?? drift);
  await note(scope, { action: 'benefit.drift', topic: 'benefit.drifted' }, places);
  return rows.length;
}

async function liveDrifts({ db }: Scope, patientIds: readonly string[]): Promise<Map<string, DriftRow>> {
  const rows = await db
    .selectFrom('benefit_drifts')
    .selectAll()
    .where('patient_id', '=', sql<string>`any(${patientIds}::uuid[])`)
    .where('status', 'in', ['OPEN', 'DISPUTED'])
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
  return new Map(rows.map((row) => [`${row.patient_id} ${row.about}`, row]));
}

type Wanted = ReturnType<typeof toDrift>;

function wantedOf(of: Found, finding: Finding): Wanted | null {
  return finding.kind === null ? null : toDrift(of, finding);
}

function toDrift({ patientId, asOf }: Found, finding: Finding) {
  const { benefit, there, kind, fault, difference } = finding;
  const [allocated_here, used_here] = amountsOf(benefit);
  const [allocated_there, used_there] = amountsOf(there);
  return {
    id: randomUUIDv7(),
    patient_id: patientId,
    ...subjectOf(finding),
    kind,
    fault,
    allocated_here,
    used_here,
    allocated_there,
    used_there,
    difference: difference === null ? null : difference.toFixed(2),
    as_of: asOf.toString(),
  };
}

const amountsOf = (side: Benefit | PayerBenefit | null): readonly (string | null)[] =>
  side === null ? [null, null] : [side.allocated.toFixed(2), side.used.toFixed(2)];

function subjectOf({ benefit, there }: Finding) {
  if (benefit !== null) {
    const { id, externalPlanId, type, unit } = benefit;
    return { benefit_id: id, about: id, external_plan_id: externalPlanId, type, unit };
  }
  const { planId, type, unit } = there as PayerBenefit;
  return { benefit_id: null, about: placeOf(there as PayerBenefit), external_plan_id: planId, type, unit };
}

/** Whether there is nothing else to decide. */
function isSame(before: DriftRow, { kind, fault, difference }: Wanted): boolean {
  return before.kind === kind && before.fault === fault && before.difference === difference;
}

interface Pair {
  readonly drift: Wanted;
  readonly before: DriftRow | undefined;
}

/** One that is decided anew is open again; why it was disputed stays with it. */
async function write(scope: Scope, pairs: readonly Pair[]): Promise<void> {
  if (pairs.length === 0) return;
  const rows = pairs.map(({ drift, before }) => {
    const same = before !== undefined && isSame(before, drift);
    const version = before === undefined ? 1 : before.version + (same ? 0 : 1);
    return { ...drift, id: before?.id ?? drift.id, status: same ? before.status : 'OPEN', version };
  });
  const now = scope.now.toString();
  await sql`
    insert into benefit_drifts (id, patient_id, benefit_id, about, kind, fault, status, external_plan_id, type, unit,
      allocated_here, used_here, allocated_there, used_there, difference, as_of, version, created_at, updated_at)
    select id, patient_id, benefit_id, about, kind, fault, status, external_plan_id, type, unit, allocated_here,
      used_here, allocated_there, used_there, difference, as_of, version, ${now}::timestamptz, ${now}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
      id uuid, patient_id uuid, benefit_id uuid, about text, kind text, fault text, status text, external_plan_id text,
      type text, unit text, allocated_here numeric, used_here numeric, allocated_there numeric, used_there numeric,
      difference numeric, as_of timestamptz, version integer)
    on conflict (id) do update set kind = excluded.kind, fault = excluded.fault, status = excluded.status,
      allocated_here = excluded.allocated_here, used_here = excluded.used_here,
      allocated_there = excluded.allocated_there, used_there = excluded.used_there, difference = excluded.difference,
      as_of = excluded.as_of, version = excluded.version, updated_at = excluded.updated_at`.execute(scope.db);
}

/** Closes drifts whose reason is gone, with audit entry and events. For the system. */
export async function resolveDrifts(scope: Scope, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const now = scope.now.toString();
  const resolved = await scope.db
    .updateTable('benefit_drifts')
    .set((eb) => ({ status: 'RESOLVED', settled_at: now, updated_at: now, version: eb('version', '+', 1) }))
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('status', 'in', ['OPEN', 'DISPUTED'])
    .returning(['id', 'benefit_id', 'patient_id'])
    .execute();
  await note(scope, { action: 'benefit.resolveDrift', topic: 'benefit.drift_resolved' }, resolved);
}

interface What {
  readonly action: string;
  readonly topic: 'benefit.drifted' | 'benefit.drift_resolved';
}

async function note(scope: Scope, { action, topic }: What, drifts: readonly Place[]): Promise<void> {
  if (drifts.length === 0) return;
  await audit.record(scope, {
    action,
    resourceType: 'BenefitDrift',
    resourceIds: drifts.map(({ id }) => id),
    patientIds: [...new Set(drifts.map(({ patient_id }) => patient_id))],
    changedFields: ['status'],
  });
  await emitAll(scope, topic, drifts.map(toChanged));
}
