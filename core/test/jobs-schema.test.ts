import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import boss from 'pg-boss/package.json' with { type: 'json' };
import { PgBoss } from 'pg-boss';
import { JOBS_SCHEMA, over } from '../src/platform/jobs.ts';
import { asSuperuser, urls } from './support/testing.ts';

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
});
