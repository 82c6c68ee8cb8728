/** Looking entries up. Newest first: the order of ids is the order of time. */
import { type Expression, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import type { Db } from '#platform/database';
import { parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import type { SignedHead } from './head.ts';
import { contentColumns, type ContentRow, firstIdAt } from './entry.ts';

export interface AuditEntry {
  readonly id: string;
  /** The place in the sealed trail, from 0; {@link UNSEALED} in the second until the entry is sealed. */
  readonly sequence: number;
  readonly at: Temporal.Instant;
  readonly userId: string;
  readonly userRole: string;
  readonly action: string;
  readonly resourceType: string;
  readonly resourceId: string | null;
  readonly resourceIds: readonly string[];
  readonly patientIds: readonly string[];
  readonly changedFields: readonly string[];
  readonly purpose: string | null;
  readonly outcome: string;
  readonly requestId: string;
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
}

export const UNSEALED = -1;

/** What a patient learns: by whom only as a role, and no address of staff. */
export interface OwnAccess {
  readonly id: string;
  readonly at: Temporal.Instant;
  readonly actorRole: string;
  readonly action: string;
  readonly resourceType: string;
  readonly outcome: string;
}

const instant = z.instanceof(Temporal.Instant);

export const AuditFilter = z.object({
  ...PageInput.shape,
  resourceType: z.string().max(200).nullish(),
  resourceId: z.string().max(200).nullish(),
  userId: z.uuid().nullish(),
  action: z.string().max(200).nullish(),
  /** From this instant, inclusive. */
  from: instant.nullish(),
  /** To this instant, exclusive. */
  to: instant.nullish(),
});
export type AuditFilter = z.input<typeof AuditFilter>;

export const ExportInput = AuditFilter.omit({ first: true, after: true }).extend({
  /** Sequences from here, inclusive. */
  fromSequence: z.int().min(0).nullish(),
  /** Sequences to here, exclusive. */
  toSequence: z.int().min(0).nullish(),
  /** A head that the reader keeps: the export will prove that it continues it. */
  since: z.custom<SignedHead>().nullish(),
});
export type ExportInput = z.input<typeof ExportInput>;

const Cursor = z.tuple([z.uuid()]);

export async function findEntries(db: Db, input: AuditFilter): Promise<Page<AuditEntry>> {
  const filter = parse(AuditFilter, input);
  const conditions = [...matching(filter)];
  if (filter.after !== null) conditions.push(sql`e.id < ${decodeCursor(filter.after, Cursor)[0]}`);
  const { rows } = await sql<ContentRow & { leaf_index: number | null }>`
    select ${contentColumns}, l.leaf_index
    from audit_entries e left join audit_leaves l on l.entry_id = e.id
    where ${all(conditions)}
    order by e.id desc
    limit ${filter.first + 1}`.execute(db);
  return toPage(rows, filter.first, { node: toAuditEntry, key: (row) => [row.id] });
}

/** Conditions on `audit_entries e`. */
export function* matching(
  filter: Omit<z.output<typeof AuditFilter>, 'first' | 'after'>,
): Generator<Expression<SqlBool>> {
  const { resourceType, resourceId, userId, action, from, to } = filter;
  if (resourceType) yield sql`e.resource_type = ${resourceType}`;
  if (resourceId) yield naming(resourceId);
  if (userId) yield sql`e.user_id = ${userId}`;
  if (action) yield sql`e.action = ${action}`;
  // The id alone uses the index; its milliseconds are not all of the time.
  if (from) yield sql`e.id >= ${firstIdAt(from)} and e.at >= ${from.toString()}`;
  if (to) yield sql`e.id < ${firstIdAt(to.add({ milliseconds: 1 }))} and e.at < ${to.toString()}`;
}

/** An id may be the resource, or a patient in a list that was returned. */
function naming(resourceId: string): Expression<SqlBool> {
  const direct = sql`select id from audit_entries where resource_id = ${resourceId} and resource_type <> 'Patient'`;
  if (!z.uuid().safeParse(resourceId).success) return sql`e.id in (${direct})`;
  return sql`e.id in (${direct} union select entry_id from audit_subjects where patient_id = ${resourceId}::uuid)`;
}

export function all(conditions: readonly Expression<SqlBool>[]): Expression<SqlBool> {
  return conditions.length === 0 ? sql`true` : sql.join(conditions, sql` and `);
}

function toAuditEntry(row: ContentRow & { leaf_index: number | null }): AuditEntry {
  return {
    id: row.id,
    sequence: row.leaf_index ?? UNSEALED,
    at: Temporal.Instant.from(row.at),
    userId: row.user_id,
    userRole: row.user_role,
    action: row.action,
    resourceType: row.resource_type,
    resourceId: row.resource_id,
    resourceIds: row.resource_ids,
    patientIds: row.patient_ids,
    changedFields: row.changed_fields,
    purpose: row.purpose,
    outcome: row.outcome,
    requestId: row.request_id,
    ipAddress: row.ip_address,
    userAgent: row.user_agent,
  };
}

interface OwnAccessRow {
  readonly id: string;
  readonly at: Date;
  readonly user_role: string;
  readonly action: string;
  readonly resource_type: string;
  readonly outcome: string;
}

/** Row-level security shows a patient nothing but own entries; the condition is there for the index. */
export async function findOwnAccesses(db: Db, patientId: string, input: PageInput): Promise<Page<OwnAccess>> {
  const { first, after } = parse(PageInput, input);
  const before = after === null ? sql`true` : sql`s.entry_id < ${decodeCursor(after, Cursor)[0]}`;
  const { rows } = await sql<OwnAccessRow>`
    select e.id, e.at, e.user_role, e.action, e.resource_type, e.outcome
    from audit_subjects s join audit_entries e on e.id = s.entry_id
    where s.patient_id = ${patientId} and ${before}
    order by s.entry_id desc
    limit ${first + 1}`.execute(db);
  return toPage(rows, first, {
    node: (row) => ({
      id: row.id,
      at: row.at.toTemporalInstant(),
      actorRole: row.user_role,
      action: row.action,
      resourceType: row.resource_type,
      outcome: row.outcome,
    }),
    key: (row) => [row.id],
  });
}
