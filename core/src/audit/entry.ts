/**
 * An entry as it is written, authenticated and sealed.
 *
 * Its content is one text: the canonical JSON (RFC 8785) of {@link Content}, so two different entries never have
 * the same one. The MAC at write time covers it under a key that the database does not have. The leaf of the
 * Merkle tree is MAC and content together, so that a leaf hash that outlives its entry cannot be guessed back.
 */
import { randomUUID } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import { isUuid } from '#platform/input';
import { hmac, type Vault } from '#platform/vault';
import { leafHash } from './merkle.ts';

/** What the MAC and the leaf cover. In alphabetical order, as the canonical form has it. */
export interface Content {
  readonly action: string;
  /** UTC, microseconds: `2026-03-02T15:00:00.000000Z`. */
  readonly at: string;
  readonly changedFields: readonly string[];
  readonly id: string;
  readonly ipAddress: string | null;
  readonly outcome: string;
  readonly patientIds: readonly string[];
  readonly purpose: string | null;
  readonly requestId: string;
  readonly resourceId: string | null;
  readonly resourceIds: readonly string[];
  readonly resourceType: string;
  readonly userAgent: string | null;
  readonly userId: string;
  readonly userRole: string;
}

/** Canonical JSON. The members are named one by one: their order and their number are the encoding. */
export function canonical(content: Content): string {
  return JSON.stringify({
    action: content.action,
    at: content.at,
    changedFields: content.changedFields,
    id: content.id,
    ipAddress: content.ipAddress,
    outcome: content.outcome,
    patientIds: content.patientIds,
    purpose: content.purpose,
    requestId: content.requestId,
    resourceId: content.resourceId,
    resourceIds: content.resourceIds,
    resourceType: content.resourceType,
    userAgent: content.userAgent,
    userId: content.userId,
    userRole: content.userRole,
  });
}

export function entryMac(vault: Vault, content: string): Buffer {
  return hmac(vault.keyFor('audit:mac'), content);
}

export function entryLeafHash(mac: Buffer, content: string): Buffer {
  return leafHash(Buffer.concat([mac, Buffer.from(content, 'utf8')]));
}

/** Ties an entry to its place in the tree. */
export function leafMac(vault: Vault, leafIndex: number, entryId: string): Buffer {
  return hmac(vault.keyFor('audit:leaf'), `${leafIndex} ${entryId}`);
}

/** The patients an entry names. An id that is none, as somebody may have asked for, names nobody. */
export function subjectsOf({ resourceType, resourceId, resourceIds, patientIds }: Content): string[] {
  const named = resourceType === 'Patient' ? [...resourceIds, ...patientIds] : [...patientIds];
  if (resourceType === 'Patient' && resourceId !== null) named.push(resourceId);
  return named.length === 0 ? named : [...new Set(named.filter((id) => isUuid(id)).map((id) => id.toLowerCase()))];
}

export function instantText(at: Temporal.Instant): string {
  return at.toString({ fractionalSecondDigits: 6 });
}

let counter = 0;

/** A UUIDv7 (RFC 9562) of the given time; those of one process ascend within the same millisecond. */
export function entryId(at: Temporal.Instant): string {
  counter = (counter + 1) % 0x1_00_00_00;
  const count = counter.toString(16).padStart(6, '0');
  return `${timePrefix(at)}-7${count.slice(0, 3)}-8${count.slice(3)}-${randomUUID().slice(24)}`;
}

/** Not above the id of any entry of this millisecond or later. */
export function firstIdAt(at: Temporal.Instant): string {
  return `${timePrefix(at)}-7000-8000-000000000000`;
}

/** The format's 48 bits know no time before 1970. */
function timePrefix(at: Temporal.Instant): string {
  const milliseconds = Math.min(Math.max(at.epochMilliseconds, 0), 2 ** 48 - 1);
  const text = milliseconds.toString(16).padStart(12, '0');
  return `${text.slice(0, 8)}-${text.slice(8)}`;
}

/** A row as selected by {@link contentColumns}. All null where an outer join found no entry. */
export interface ContentRow {
  readonly id: string;
  readonly at: string;
  readonly user_id: string;
  readonly user_role: string;
  readonly action: string;
  readonly resource_type: string;
  readonly resource_id: string | null;
  readonly resource_ids: readonly string[];
  readonly patient_ids: readonly string[];
  readonly changed_fields: readonly string[];
  readonly purpose: string | null;
  readonly outcome: string;
  readonly request_id: string;
  readonly ip_address: string | null;
  readonly user_agent: string | null;
  readonly mac: Buffer;
}

/** Of `audit_entries e`. The time as text: a JavaScript date would lose its microseconds. */
export const contentColumns: RawBuilder<ContentRow> = sql`
  e.id, to_char(e.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, e.user_id, e.user_role, e.action,
  e.resource_type, e.resource_id, e.resource_ids, e.patient_ids, e.changed_fields, e.purpose, e.outcome, e.request_id,
  e.ip_address, e.user_agent, e.mac`;

export function toContent(row: ContentRow): Content {
  return {
    action: row.action,
    at: row.at,
    changedFields: row.changed_fields,
    id: row.id,
    ipAddress: row.ip_address,
    outcome: row.outcome,
    patientIds: row.patient_ids,
    purpose: row.purpose,
    requestId: row.request_id,
    resourceId: row.resource_id,
    resourceIds: row.resource_ids,
    resourceType: row.resource_type,
    userAgent: row.user_agent,
    userId: row.user_id,
    userRole: row.user_role,
  };
}
