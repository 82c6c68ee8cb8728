/**
 * Audit: who did what to which record, reads and refusals included.
 *
 * An entry is written in the transaction of what it describes, authenticated at once, and within about a second
 * sealed into a Merkle tree whose signed head is kept outside the database. It is never updated, and dropped only
 * past its retention. Whoever edits, removes, adds, reorders or cuts off is found by `verify`.
 */
import './audit/tables.ts';
import { sql } from 'kysely';
import { unansweredStatement } from '#platform/database';
import { Forbidden, InvalidInput } from '#platform/errors';
import { parse } from '#platform/input';
import { pause } from '#platform/ticker';
import { type Actor, keyCovers, type Origin, type Scope, transact } from '#platform/scope';
import { canonical, type Content, entryId, entryMac, instantText, subjectsOf } from './audit/entry.ts';
import { type Exported, writeExport, type WriteLine } from './audit/export.ts';
import { findForeignGuards } from './audit/guards.ts';
import { isGenuine, publicKey, SignedHead } from './audit/head.ts';
import {
  type AuditEntry,
  type AuditFilter,
  ExportInput,
  findEntries,
  findOwnAccesses,
  matching,
  type OwnAccess,
} from './audit/list.ts';
import { insertEntries } from './audit/many.ts';
import { pruneBatch } from './audit/prune.ts';
import { countOverdue, countWaiting, findLost, remember } from './audit/witness.ts';
import { LATE, LOST, type Verification, type VerifyOptions, verifyTrail } from './audit/verify.ts';
import { verifyTail as verifyTailOf } from './audit/verify-tail.ts';
import { lagSeconds, sealAll, type Sealed, type SealOptions } from './audit/seal.ts';
import type { Page, PageInput } from '#platform/page';

export type { Exported, WriteLine } from './audit/export.ts';
export { isOwnTrail, readHeadFile, SignedHead, TrailDamaged } from './audit/head.ts';
export type { AuditEntry, AuditFilter, ExportInput, OwnAccess } from './audit/list.ts';
export type { Sealed, SealOptions } from './audit/seal.ts';
export type { Damage, DamageKind, Verification, VerifyOptions } from './audit/verify.ts';
export { type ExportCheck, type ExportDamage, HeadsApart, verifyExport } from './audit/verify-export.ts';

export interface Entry {
  /** A verb phrase: `patient.read`, `patient.update`, `session.login`. */
  readonly action: string;
  /** The GraphQL type's name, such as `Patient`. */
  readonly resourceType: string;
  readonly resourceId?: string | null;
  /** For a list or a search: the ids that were returned. */
  readonly resourceIds?: readonly string[];
  /** Whose records these are, when the resource is not the patient itself: they see it in `whoSawMyRecord`. */
  readonly patientIds?: readonly string[];
  /** Names only; values of PII never stand in the trail. */
  readonly changedFields?: readonly string[];
  readonly outcome?: 'SUCCESS' | 'DENIED' | 'FAILURE';
}

/**
 * Records one action of the scope's actor. Call it inside `transact`, so that it fails closed: the entry is written
 * with the next statement or the commit, which fails when it cannot be.
 */
export async function record(scope: Scope, entry: Entry): Promise<void> {
  const content = contentOf(scope, entry);
  const row = { ...content, mac: entryMac(scope.vault, canonical(content)) };
  const [patientId, ...others] = subjectsOf(content);
  // Of several patients the sealer takes note, in one go for many lists: fifty rows are too much for one read.
  if (patientId === undefined || others.length > 0) await insertEntry(scope.db, row);
  else await insertEntryOfPatient(scope.db, { ...row, patientId });
  remember(scope, content.id);
  scope.onRecord?.(entry);
}

/** What one actor did, for {@link recordOnBehalf}. */
export interface OnBehalf {
  readonly actor: Actor;
  readonly request: Origin;
  readonly entry: Entry;
}

const BATCH = 1_000;

/** Records what many actors did, such as reading the same event, a thousand entries a statement. System only. Throws {@link Forbidden}. */
export async function recordOnBehalf(scope: Scope, acts: readonly OnBehalf[]): Promise<void> {
  await permit(scope, scope.actor.role === 'system', { action: 'audit.recordOnBehalf', resourceType: 'AuditTrail' });
  await transact(scope, async (scope) => {
    for (let at = 0; at < acts.length; at += BATCH) {
      const contents = acts
        .slice(at, at + BATCH)
        .map(({ actor, request, entry }) => contentOf({ ...scope, actor, request }, entry));
      await insertEntries(scope, contents);
      for (const { id } of contents) remember(scope, id);
    }
  });
}

/**
 * Passes when `allowed` and, for an API key, when the key covers the action; else records the refusal in a
 * transaction of its own and throws {@link Forbidden}.
 */
export async function permit(scope: Scope, allowed: boolean, entry: Entry): Promise<void> {
  if (allowed && keyCovers(scope.actor, entry.action)) return;
  await transact(scope, (scope) => record(scope, { ...entry, outcome: 'DENIED' }));
  throw new Forbidden(entry.action);
}

/**
 * The trail, newest first, for admins and auditors. A patient's id also finds the sealed lists that
 * returned it. Throws {@link Forbidden}, InvalidInput.
 */
export async function list(scope: Scope, filter: AuditFilter = {}): Promise<Page<AuditEntry>> {
  const read = { action: 'audit.list', resourceType: 'AuditEntry' };
  await permit(scope, scope.actor.role === 'admin' || scope.actor.role === 'auditor', read);
  return transact(scope, async (scope) => {
    const page = await findEntries(scope.db, filter);
    await record(scope, { ...read, resourceIds: page.items.map(({ node }) => node.id) });
    return page;
  });
}

/**
 * What was done to the patient's own record, newest first. A list that showed it among others is there once it is
 * sealed, about a second later. Throws {@link Forbidden} for others, InvalidInput.
 */
export async function whoSawMyRecord(scope: Scope, page: PageInput = {}): Promise<Page<OwnAccess>> {
  const { patientId } = scope.actor;
  const read = { action: 'audit.readOwn', resourceType: 'AuditEntry' };
  await permit(scope, scope.actor.role === 'patient' && patientId !== undefined, read);
  return transact(scope, async (scope) => {
    const found = await findOwnAccesses(scope.db, patientId as string, page);
    await record(scope, read);
    return found;
  });
}

/**
 * Seals what was committed since, and leaves the newest signed head in `headFile`, outside the database. For the
 * system; safe to call from any process at any time, every second is meant. Throws {@link TrailDamaged} when the
 * stored tree, or the head outside, is not what was signed last; {@link Forbidden}.
 */
export async function seal(scope: Scope, options: SealOptions = {}): Promise<Sealed> {
  await permit(scope, scope.actor.role === 'system', { action: 'audit.seal', resourceType: 'AuditTrail' });
  const onLate = (scope: Scope, resourceIds: readonly string[]) =>
    record(scope, { action: LATE, resourceType: 'AuditEntry', resourceIds, outcome: 'FAILURE' });
  return sealAll(scope, { ...options, onLate });
}

/** Seconds since the oldest entry that is not sealed yet; 0 when all are. For the system, admins and auditors. */
export async function sealLag(scope: Scope): Promise<number> {
  return transact(scope, lagSeconds);
}

/**
 * Whether everything that this process committed is still there, sealed or waiting to be. Returns the ids of what is
 * gone, and records them: `verify` names them. For the system, every few seconds in every process that records.
 * Throws {@link Forbidden}.
 */
export async function witness(scope: Scope): Promise<readonly string[]> {
  await permit(scope, scope.actor.role === 'system', { action: 'audit.witness', resourceType: 'AuditTrail' });
  return transact(scope, async (scope) => {
    const lost = await findLost(scope);
    if (lost.length > 0) {
      await record(scope, { action: LOST, resourceType: 'AuditEntry', resourceIds: lost, outcome: 'FAILURE' });
    }
    return lost;
  });
}

/** Triggers, rules and defaults on the trail's tables that are not ours, or are missing. For the system. Throws {@link Forbidden}. */
export async function foreignGuards(scope: Scope): Promise<readonly string[]> {
  await permit(scope, scope.actor.role === 'system', { action: 'audit.guards', resourceType: 'AuditTrail' });
  return transact(scope, ({ db }) => findForeignGuards(db));
}

/** How many entries this process committed over 30 seconds ago of which its witness has not seen that they are sealed. */
export function overdue(scope: Scope): number {
  return countOverdue(scope);
}

/**
 * Seals and witnesses until nothing that this process committed waits, for `withinMs` at most: with the process goes
 * its memory. Returns how many entries still wait. For the system. Throws {@link TrailDamaged}, {@link Forbidden}.
 */
export async function settle(
  scope: Scope,
  { withinMs, ...options }: SealOptions & { withinMs: number },
): Promise<number> {
  const end = performance.now() + withinMs;
  for (;;) {
    if (countWaiting(scope) === 0) return 0;
    await seal(scope, options);
    await witness(scope);
    if (performance.now() >= end) return countWaiting(scope);
    if (countWaiting(scope) > 0) await pause(PAUSE_MS);
  }
}

const PAUSE_MS = 50;

/**
 * Checks the whole trail and names the first bad entry. Only `trustedHead`, kept outside the database, shows a
 * tail that was cut off together with its heads. For auditors and the system. Throws {@link Forbidden}, InvalidInput
 * for a trusted head that this platform did not sign.
 */
export async function verify(scope: Scope, options: VerifyOptions = {}): Promise<Verification> {
  const act = { action: 'audit.verify', resourceType: 'AuditTrail' };
  await permit(scope, ['auditor', 'system'].includes(scope.actor.role), act);
  const trustedHead = options.trustedHead ? parseOwnHead(scope, options.trustedHead, 'trustedHead') : null;
  const result = await verifyTrail(scope, { ...options, trustedHead });
  const outcome = result.firstBad === null ? 'SUCCESS' : 'FAILURE';
  await transact(scope, (scope) => record(scope, { ...act, outcome }));
  return result;
}

/**
 * Looks whether the trail ends where `trustedHead`, kept outside the database, says, and whether its last thousand
 * entries are those that were sealed: quick, and no substitute for {@link verify}. For the system. Throws
 * {@link Forbidden}, {@link TrailDamaged}.
 */
export async function verifyTail(scope: Scope, trustedHead: SignedHead | null): Promise<void> {
  await permit(scope, scope.actor.role === 'system', { action: 'audit.verifyTail', resourceType: 'AuditTrail' });
  await verifyTailOf(scope, trustedHead);
}

/**
 * Exports sealed entries as NDJSON that `verifyExport` checks without database and secret; `write` gets it line by
 * line. Without a filter it is the complete range of sequences. For admins, auditors and the system. Returns null,
 * and writes nothing, while nothing is sealed. Throws {@link Forbidden}, InvalidInput.
 */
export async function exportEntries(scope: Scope, input: ExportInput, write: WriteLine): Promise<Exported | null> {
  const act = { action: 'audit.export', resourceType: 'AuditTrail' };
  await permit(scope, ['admin', 'auditor', 'system'].includes(scope.actor.role), act);
  const { fromSequence, toSequence, since, ...filter } = parse(ExportInput, input);
  const conditions = [...matching(filter)];
  await transact(scope, (scope) => record(scope, { ...act, resourceId: filter.resourceId ?? null }));
  const selection = {
    conditions,
    filter: conditions.length === 0 ? null : filter,
    range: { from: fromSequence, to: toSequence },
    since: since ? parseOwnHead(scope, since, 'since').size : null,
  };
  return writeExport(scope, selection, write);
}

export interface Pruned {
  /** Entries that were dropped. */
  readonly dropped: number;
  /** The sequences below it have no entry any more; null when nothing was due. */
  readonly below: number | null;
}

/**
 * Drops entries whose signed head is older than `years`; the tree stays verifiable. For the system. Throws
 * {@link Forbidden}, {@link TrailDamaged} when such a head was not signed by this platform.
 */
export async function prune(scope: Scope, { years }: { years: number }): Promise<Pruned> {
  const act = { action: 'audit.prune', resourceType: 'AuditTrail' };
  await permit(scope, scope.actor.role === 'system', act);
  let pruned: Pruned = { dropped: 0, below: null };
  for (;;) {
    const batch = await transact(scope, async (scope) => {
      const batch = await pruneBatch(scope, years);
      if (batch !== null) await record(scope, { ...act, resourceId: `0-${batch.size - 1}` });
      return batch;
    });
    if (batch === null) return pruned;
    pruned = { dropped: pruned.dropped + batch.dropped, below: batch.size };
  }
}

/** The key that an outsider checks heads and exports with, in PEM. It is no secret. */
export function publicKeyPem(scope: Scope): string {
  return publicKey(scope.vault).export({ format: 'pem', type: 'spki' });
}

function parseOwnHead({ vault }: Scope, input: SignedHead, path: string): SignedHead {
  const head = parse(SignedHead, input);
  if (isGenuine(head, publicKey(vault))) return head;
  throw new InvalidInput([{ path: [path], message: 'expected a head that this platform signed' }]);
}

function contentOf({ actor, now, request }: Scope, entry: Entry): Content {
  return {
    action: entry.action,
    at: instantText(now),
    changedFields: entry.changedFields ?? [],
    id: entryId(now),
    ipAddress: request.ip,
    outcome: entry.outcome ?? 'SUCCESS',
    patientIds: (entry.patientIds ?? []).map((id) => id.toLowerCase()),
    purpose: request.purpose ?? null,
    requestId: storable(request.id),
    resourceId: entry.resourceId ? storable(entry.resourceId) : null,
    resourceIds: entry.resourceIds ?? [],
    resourceType: entry.resourceType,
    userAgent: request.userAgent === null ? null : storable(request.userAgent),
    userId: actor.id.toLowerCase(),
    userRole: actor.role,
  };
}

const MAX_TEXT = 512;

/**
 * What comes from outside as the database will give it back, or the MAC would not fit it: an id that was asked for and
 * refused can be any string. Cut, so that it fits an index.
 */
function storable(text: string): string {
  return text.slice(0, MAX_TEXT).toWellFormed().replaceAll('\0', '\uFFFD');
}

type NewEntry = Content & { readonly mac: Buffer };

const insertion = (entry: NewEntry) => sql`
  insert into audit_entries (id, at, user_id, user_role, action, resource_type, resource_id, resource_ids, patient_ids,
    changed_fields, purpose, outcome, request_id, ip_address, user_agent, mac)
  values (${entry.id}, ${entry.at}, ${entry.userId}, ${entry.userRole}, ${entry.action}, ${entry.resourceType},
    ${entry.resourceId}, ${entry.resourceIds}, ${entry.patientIds}, ${entry.changedFields}, ${entry.purpose},
    ${entry.outcome}, ${entry.requestId}, ${entry.ipAddress}, ${entry.userAgent}, ${entry.mac})`;

const insertEntry = unansweredStatement<NewEntry>((db, entry) => ({
  compile: () => insertion(entry).$castTo<never>().compile(db),
}));

const insertEntryOfPatient = unansweredStatement<NewEntry & { readonly patientId: string }>((db, entry) => ({
  compile: () =>
    sql<never>`
      with entry as (${insertion(entry)})
      insert into audit_subjects (patient_id, entry_id) values (${entry.patientId}, ${entry.id})`.compile(db),
}));
