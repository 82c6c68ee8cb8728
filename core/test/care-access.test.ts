import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as care from '#care';
import { sqlState } from '#platform/database';
import { type Role, type Scope, transact } from '#platform/scope';
import { aPatient } from './support/patients.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const [own, foreign] = [randomUUID(), randomUUID()];
const asOwner = (scope: Scope) => as(scope, actor('patient', { patientId: own }));

/** A sandbox with both patients in it. */
const seeded = (work: (scope: Scope) => Promise<void>) =>
  sandboxed(async (scope) => {
    await transact(scope, ({ db }) =>
      sql`
        insert into patients (id, status, time_zone, language, preferences, data_key, identity, created_at, updated_at)
        select id, 'ACTIVE', 'UTC', 'en', '{}', '\\x01', '\\x02', now(), now()
        from unnest(${[own, foreign]}::uuid[]) as id`.execute(db),
    );
    await work(scope);
  });

// Per table: what each database role may do. Whatever stands nowhere is refused.
const INDEX = { staff: 'select insert', system: 'select insert truncate', patient: '', auditor: '' };
const COUNTS = { staff: 'select insert update', system: 'select insert update truncate', patient: '', auditor: '' };
const MATRIX: Record<string, Record<string, string>> = {
  patients: { staff: 'select insert update', system: 'select insert update', patient: 'select', auditor: '' },
  patient_search_entries_0: INDEX,
  patient_search_entries_1: INDEX,
  patient_search_counts_0: COUNTS,
  patient_search_counts_1: COUNTS,
  patient_search: { staff: 'select', system: 'select update', patient: '', auditor: '' },
};

const VERBS: Record<string, (table: string) => string> = {
  select: (table) => `select * from ${table}`,
  insert: (table) => `insert into ${table} select * from ${table} where false`,
  update: (table) => `update ${table} set ${COLUMN[table] ?? 'sealed = sealed'} where false`,
  delete: (table) => `delete from ${table} where false`,
  truncate: (table) => `truncate ${table}`,
};
const COLUMN: Record<string, string> = { patients: 'external_id = external_id', patient_search: 'building = building' };

const ACTORS: Record<string, Role> = { staff: 'agent', system: 'system', patient: 'patient', auditor: 'auditor' };

describe('the tables of care', () => {
  for (const [table, roles] of Object.entries(MATRIX)) {
    for (const [role, allowed] of Object.entries(roles)) {
      test(
        `let ${role} ${allowed === '' ? 'do nothing with' : allowed.replaceAll(' ', ', ')} ${table}`,
        seeded(async (scope) => {
          const who = as(scope, actor(ACTORS[role] as Role, { patientId: own }));
          for (const [verb, statement] of Object.entries(VERBS)) {
            const attempt = transact(who, ({ db }) => sql.raw(statement(table)).execute(db));
            const state = await attempt.then(
              () => null,
              (thrown: unknown) => sqlState(thrown),
            );
            assert.equal(state, allowed.split(' ').includes(verb) ? null : '42501', `${verb} by ${role}`);
          }
        }),
      );
    }
  }

  test(
    'are all in this matrix, and all under row-level security with one policy a role',
    committed(async () => {
      const tables = await asSuperuser<{ relname: string; relrowsecurity: boolean }>(
        `select relname, relrowsecurity from pg_class where relkind = 'r' and relname like 'patient%' order by relname`,
      );
      assert.deepEqual(
        tables.map(({ relname }) => relname),
        Object.keys(MATRIX).toSorted(),
      );
      assert.ok(tables.every(({ relrowsecurity }) => relrowsecurity));
      const doubled = await asSuperuser(
        `select tablename, unnest(roles) from pg_policies where tablename like 'patient%' group by 1, 2 having count(*) > 1`,
      );
      assert.deepEqual(doubled, []);
    }),
  );
});

describe('a patient, with the filter of the code taken away,', () => {
  const rows = (scope: Scope, text: string) =>
    transact(asOwner(scope), async ({ db }) => (await sql.raw<{ id: string }>(text).execute(db)).rows);

  test(
    'sees their own row and no other',
    seeded(async (scope) => {
      assert.deepEqual(
        (await rows(scope, 'select id from patients')).map(({ id }) => id),
        [own],
      );
      assert.deepEqual(await rows(scope, `select id from patients where id = '${foreign}'`), []);
      assert.deepEqual(await rows(scope, `select count(*)::int as id from patients`), [{ id: 1 }]);
    }),
  );

  test(
    'changes no other row, and cannot give theirs another name',
    seeded(async (scope) => {
      const changed = await rows(scope, `update patients set language = 'es' returning id`);
      assert.deepEqual(changed, [{ id: own }]);
      for (const set of [
        `id = '${randomUUID()}'`,
        `status = 'INACTIVE'`,
        `external_id = 'x'`,
        'data_key = null',
        'deleted_at = now()',
      ]) {
        await assert.rejects(rows(scope, `update patients set ${set}`), /permission denied/);
      }
    }),
  );

  test(
    'sees nothing once the record is deleted, nor without a record',
    seeded(async (scope) => {
      const nobody = as(scope, actor('patient'));
      const seen = await transact(nobody, ({ db }) => db.selectFrom('patients').select('id').execute());
      assert.deepEqual(seen, []);
      await transact(scope, ({ db }) => sql`update patients set deleted_at = now() where id = ${own}`.execute(db));
      assert.deepEqual(await rows(scope, 'select id from patients'), []);
    }),
  );
});

describe('the constraint of a patient', () => {
  test(
    'lets no erased row keep anything sealed, and no other row lack its identity',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      for (const set of [
        'identity = null',
        'data_key = null',
        'erased_at = now(), deleted_at = now()',
        `status = 'GONE'`,
      ]) {
        const attempt = transact(scope, ({ db }) =>
          sql.raw(`update patients set ${set} where id = '${id}'`).execute(db),
        );
        await assert.rejects(attempt, (thrown) => sqlState(thrown) === '23514', set);
      }
    }),
  );
});
