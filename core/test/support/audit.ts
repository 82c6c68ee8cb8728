/** Writing to the audit trail, and sealing it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as audit from '#audit';
import { asSystem, type Scope, transact } from '#platform/scope';
import { asSuperuser } from './testing.ts';

/** Records reads of as many patients, each in a transaction of its own. Returns the patients' ids. */
export async function writeEntries(scope: Scope, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  for (const resourceId of ids) {
    await transact(scope, (scope) =>
      audit.record(scope, { action: 'patient.read', resourceType: 'Patient', resourceId }),
    );
  }
  return ids;
}

/** Seals until nothing is left: a transaction of another test file may hold the newest entries back for a while. */
export async function sealed(scope: Scope, headFile?: string): Promise<audit.SignedHead> {
  for (;;) {
    const { head } = await audit.seal(asSystem(scope), { headFile });
    if (head !== null && (await audit.sealLag({ ...asSystem(scope), now: FAR })) === 0) return head;
    await sleep(10);
  }
}

const FAR = Temporal.Instant.from('2999-01-01T00:00Z');

/** Statements as a superuser who also switches triggers off, in one transaction. */
export async function tamper(statements: string): Promise<void> {
  await asSuperuser(`begin; set local session_replication_role = replica; ${statements}; commit`);
}

const TRAIL = ['audit_entries', 'audit_subjects', 'audit_leaves', 'audit_nodes', 'audit_heads', 'audit_prunings'];

/** Keeps a copy of the whole trail; what is returned puts it back. */
export async function keepTrail(): Promise<() => Promise<void>> {
  for (const table of TRAIL) await asSuperuser(`create table kept_${table} as table ${table}`);
  return async () => {
    await tamper(
      TRAIL.map(
        (table) => `truncate ${table}; insert into ${table} table kept_${table}; drop table kept_${table}`,
      ).join(';'),
    );
  };
}

export interface Place {
  readonly leafIndex: number;
  readonly entryId: string;
}

/** The leaves of the trail, from the first. */
export async function places(): Promise<Place[]> {
  return asSuperuser<{ leafIndex: number; entryId: string }>(
    'select leaf_index::int as "leafIndex", entry_id as "entryId" from audit_leaves order by leaf_index',
  );
}

/** What is on record of one action so far, oldest first, in a sandbox too. */
export async function auditSoFar(scope: Scope, action: string) {
  return transact(asSystem(scope), ({ db }) =>
    db
      .selectFrom('audit_entries')
      .select(['outcome', 'resource_id', 'resource_ids', 'changed_fields'])
      .where('action', '=', action)
      .orderBy('id')
      .execute(),
  );
}
