import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as audit from '#audit';
import { type Role, type Scope, transact } from '#platform/scope';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';
import { sealed, writeEntries } from './support/audit.ts';

const ROLES = ['admin', 'agent', 'patient', 'auditor', 'system'] as const;
const TABLES = [
  'audit_entries',
  'audit_subjects',
  'audit_leaves',
  'audit_nodes',
  'audit_heads',
  'audit_prunings',
] as const;
type Table = (typeof TABLES)[number];

/** What each role may do to each table. Everything else is refused. */
const MAY: Record<Table, { select: readonly Role[]; insert: readonly Role[] }> = {
  // An agent may select, and sees none of them.
  audit_entries: { select: ['admin', 'agent', 'auditor', 'system'], insert: ROLES },
  audit_subjects: { select: ROLES, insert: ROLES },
  audit_leaves: { select: ['admin', 'agent', 'auditor', 'system'], insert: ['system'] },
  audit_nodes: { select: ['admin', 'agent', 'auditor', 'system'], insert: ['system'] },
  audit_heads: { select: ['admin', 'agent', 'auditor', 'system'], insert: ['system'] },
  audit_prunings: { select: ['admin', 'agent', 'auditor', 'system'], insert: [] },
};

const entryValues = (id: string, who: { id: string; role: string }) => sql`
  (id, at, user_id, user_role, action, resource_type, resource_ids, patient_ids, changed_fields, outcome, request_id, mac)
  values (${id}, now(), ${who.id}, ${who.role}, 'test', 'Test', '{}', '{}', '{}', 'SUCCESS', 'r', '\\x00')`;

const INSERT: Record<Table, (scope: Scope) => ReturnType<typeof sql>> = {
  audit_entries: ({ actor }) => sql`insert into audit_entries ${entryValues(randomUUID(), actor)}`,
  audit_subjects: () => sql`insert into audit_subjects values (${randomUUID()}, ${randomUUID()})`,
  audit_leaves: () => sql`insert into audit_leaves values (1000000, ${randomUUID()}, '\\x00', '\\x00')`,
  audit_nodes: () => sql`insert into audit_nodes values (8, 1000000, '\\x00')`,
  audit_heads: () => sql`insert into audit_heads values (1000000, '\\x00', now(), '', '\\x00', '\\x00')`,
  audit_prunings: () => sql`insert into audit_prunings values (1000000, now(), 6, '\\x00')`,
};

/** Whether the statement was let through, in a savepoint of its own that is undone. */
async function mayDo(scope: Scope, statement: ReturnType<typeof sql>): Promise<boolean> {
  const undone = new Error('undone');
  try {
    await transact(scope, async ({ db }) => {
      await statement.execute(db);
      throw undone;
    });
  } catch (thrown) {
    if (thrown === undone) return true;
    if (/permission denied|row-level security/.test(String(thrown))) return false;
    throw thrown;
  }
  return false;
}

describe('the tables of the audit trail', () => {
  for (const role of ROLES) {
    test(
      `let ${role} do what the matrix says, and never change or remove anything`,
      sandboxed(async (outer) => {
        const scope = as(outer, actor(role, { patientId: randomUUID() }));
        for (const table of TABLES) {
          const name = sql.table(table);
          const verbs = {
            select: await mayDo(scope, sql`select * from ${name}`),
            insert: await mayDo(scope, INSERT[table](scope)),
            update: await mayDo(scope, sql`update ${name} set ${sql.ref(FIRST_COLUMN[table])} = default`),
            delete: await mayDo(scope, sql`delete from ${name}`),
            truncate: await mayDo(scope, sql`truncate ${name}`),
          };
          const { select, insert } = MAY[table];
          const expected = { select: select.includes(role), insert: insert.includes(role) };
          assert.deepEqual({ table, ...verbs }, { table, ...expected, update: false, delete: false, truncate: false });
        }
      }),
    );
  }

  test(
    'refuse update, delete and truncate even to their owner',
    committed(async (scope) => {
      await writeEntries(scope, 1);
      await sealed(scope);
      for (const table of TABLES) {
        const [update, remove, truncate] = [
          `update ${table} set ${FIRST_COLUMN[table]} = ${FIRST_COLUMN[table]}`,
          `delete from ${table}`,
          `truncate ${table}`,
        ];
        // A delete row by row is refused when there is a row, and these two have one.
        const refused = [update, remove, truncate].map((text) =>
          assert.rejects(asSuperuser(text), /append-only/, text),
        );
        await Promise.all(refused);
      }
    }),
  );

  test(
    'let nobody but the system write in the name of another',
    sandboxed(async (outer) => {
      const other = actor('admin');
      for (const role of ROLES) {
        const statement = sql`insert into audit_entries ${entryValues(randomUUID(), other)}`;
        assert.equal(await mayDo(as(outer, role), statement), role === 'system', role);
      }
    }),
  );

  test(
    'let a patient note nobody else’s entry, nor an own one of before, and so read it',
    committed(async (scope) => {
      const patient = as(scope, actor('patient', { patientId: randomUUID() }));
      await writeEntries(scope, 1);
      await writeEntries(patient, 1);
      const entries = await asSuperuser<{ id: string }>('select id from audit_entries order by id desc limit 2');
      for (const { id } of entries) {
        const note = sql`insert into audit_subjects values (${patient.actor.patientId}, ${id})`;
        assert.equal(await mayDo(patient, note), false);
      }
    }),
  );

  test(
    'show each role its own rows with the filter of the code taken away',
    sandboxed(async (scope) => {
      const [own, foreign] = [randomUUID(), randomUUID()];
      const read = { action: 'patient.read', resourceType: 'Patient' };
      await transact(scope, async (scope) => {
        await audit.record(scope, { ...read, resourceId: own });
        await audit.record(scope, { ...read, resourceIds: [own] });
        await audit.record(scope, { ...read, resourceId: foreign });
      });
      const counts = async (who: Scope, table: string) => {
        const query = sql<{ n: number }>`select count(*) as n from ${sql.table(table)}`;
        return transact(who, async ({ db }) => (await query.execute(db)).rows[0]?.n);
      };
      const patient = as(scope, actor('patient', { patientId: own }));
      assert.deepEqual([await counts(patient, 'audit_entries'), await counts(patient, 'audit_subjects')], [2, 2]);
      const nobody = as(scope, actor('patient'));
      assert.deepEqual([await counts(nobody, 'audit_entries'), await counts(nobody, 'audit_subjects')], [0, 0]);
      const agent = as(scope, 'agent');
      assert.deepEqual([await counts(agent, 'audit_entries'), await counts(agent, 'audit_subjects')], [0, 0]);
      for (const role of ['admin', 'auditor', 'system'] as const) {
        assert.ok(((await counts(as(scope, role), 'audit_entries')) ?? 0) >= 3);
      }
    }),
  );

  test(
    'hide from a patient who it was, and from where',
    sandboxed(async (scope) => {
      const patient = as(scope, actor('patient', { patientId: randomUUID() }));
      for (const column of ['user_id', 'ip_address', 'user_agent', 'request_id', 'resource_ids', 'purpose']) {
        assert.equal(await mayDo(patient, sql`select ${sql.ref(column)} from audit_entries`), false, column);
      }
    }),
  );

  test(
    'let only the system prune, and only what is past its retention',
    committed(async (scope) => {
      await writeEntries(scope, 1);
      const { size } = await sealed(scope);
      const prune = (years: number) => sql`select prune_audit(${size}, now(), ${years}, '\\x00')`;
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        assert.equal(await mayDo(as(scope, role), prune(6)), false);
      }
      await assert.rejects(mayDo(as(scope, 'system'), prune(6)), /kept for 6 years/);
    }),
  );
});

const FIRST_COLUMN: Record<Table, string> = {
  audit_entries: 'id',
  audit_subjects: 'patient_id',
  audit_leaves: 'leaf_index',
  audit_nodes: 'level',
  audit_heads: 'size',
  audit_prunings: 'size',
};
