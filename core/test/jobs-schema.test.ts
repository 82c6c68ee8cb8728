import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import pg from 'pg';
import boss from 'pg-boss/package.json' with { type: 'json' };
import { PgBoss } from 'pg-boss';
import { JOBS_SCHEMA, over } from '../src/platform/jobs.ts';
import { type Role, transact } from '../src/platform/scope.ts';
import { as, asSuperuser, testScope, urls } from './support/testing.ts';

/** Our consumer leans on what pg-boss answers beyond its own types, so a new version is read before it is taken. */
const PINNED = '12.38.0';

describe('the schema of the jobs', () => {
  it('is that of the pinned version, and nothing has changed it', async () => {
    assert.equal(boss.version, PINNED);
    const [row] = await asSuperuser<{ version: number }>('select version from pgboss.version');
    assert.equal(row?.version, boss.pgboss.schema);
    const pool = new pg.Pool({ connectionString: urls.admin, max: 1 });
    const drift = await new PgBoss({ db: over(pool), schema: JOBS_SCHEMA }).detectSchemaDrift();
    await pool.end();
    assert.ok(drift.ok, JSON.stringify(drift));
  });

  it('lets every role add a job and the system alone do anything else', async () => {
    const rows = await asSuperuser<{ grantee: string; relation: string; rights: string }>(`
      select grantee, table_name as relation, string_agg(privilege_type, ' ' order by privilege_type) as rights
      from information_schema.role_table_grants
      where table_schema = 'pgboss' and grantee in ('careflex_patient', 'careflex_staff', 'careflex_auditor', 'careflex_app')
      group by 1, 2 order by 1, 2`);
    const expected = ['careflex_auditor', 'careflex_patient', 'careflex_staff'].flatMap((grantee) => [
      { grantee, relation: 'job', rights: 'INSERT' },
      { grantee, relation: 'job_common', rights: 'INSERT' },
      { grantee, relation: 'queue', rights: 'SELECT' },
    ]);
    assert.deepEqual(rows, expected);
  });

  it('keeps every job in the one table that ours are taken from', async () => {
    const tables = await asSuperuser(`select distinct table_name from pgboss.queue`);
    assert.ok(tables.every(({ table_name }) => table_name === 'job_common'));
  });
});

/** What the system may do; nobody else may do anything. */
const MAY: Record<string, readonly string[]> = {
  job_queues: ['SELECT', 'UPDATE paused_at'],
  job_attempts: [
    'DELETE',
    'INSERT',
    'SELECT',
    'UPDATE alive_at',
    'UPDATE ended_at',
    'UPDATE error_class',
    'UPDATE node',
    'UPDATE outcome',
    'UPDATE started_at',
  ],
  job_schedules: ['SELECT', 'UPDATE last_due_at', 'UPDATE last_fired_at', 'UPDATE last_job_id', 'UPDATE next_at'],
};

describe('the tables that steer jobs', () => {
  for (const [table, rights] of Object.entries(MAY)) {
    it(`let the system do what it must with ${table}, and nobody else anything`, async () => {
      const rows = await asSuperuser<{ grantee: string; right: string }>(
        `select grantee, privilege_type as right from information_schema.role_table_grants
           where table_name = $1 and grantee like 'careflex%'
         union
         select grantee, privilege_type || ' ' || column_name from information_schema.column_privileges
           where table_name = $1 and grantee like 'careflex%' and privilege_type = 'UPDATE'
         order by 1, 2`,
        [table],
      );
      assert.deepEqual(
        rows,
        rights.map((right) => ({ grantee: 'careflex_system', right })),
      );
      for (const role of ['admin', 'agent', 'patient', 'auditor', 'system'] satisfies Role[]) {
        const read = transact(as(testScope(), role), ({ db }) => sql`select from ${sql.table(table)}`.execute(db));
        if (role === 'system') await read;
        else await assert.rejects(read, { code: '42501' }, role);
      }
    });
  }

  it('are under row-level security with one policy for the one role', async () => {
    const rows = await asSuperuser<{ relname: string }>(
      `select relname, relrowsecurity,
         (select count(*)::int from pg_policies where tablename = relname) as policies
       from pg_class where relkind = 'r' and relname like 'job\\_%' and relnamespace = 'public'::regnamespace order by 1`,
    );
    const expected = Object.keys(MAY).toSorted();
    assert.deepEqual(
      rows,
      expected.map((relname) => ({ relname, relrowsecurity: true, policies: 1 })),
    );
  });

  it('let nobody but the system take a job', async () => {
    for (const role of ['admin', 'agent', 'patient', 'auditor'] satisfies Role[]) {
      const take = transact(as(testScope(), role), ({ db }) => sql`select take_jobs('x', 1, 'me')`.execute(db));
      await assert.rejects(take, { code: '42501' }, role);
    }
  });
});
