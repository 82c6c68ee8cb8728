import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { sql } from 'kysely';
import { type Scope, transact } from '#platform/scope';
import { actor, as, asSuperuser, sandboxed } from './support/testing.ts';

// Row-level security keeps an operator that could leak from an index, and the loss is seen only with many rows.
const [id, other] = [randomUUID(), randomUUID()];
const IDS = `array['${id}', '${other}']::uuid[]`;

async function plan(scope: Scope, statement: string): Promise<string> {
  const { rows } = await transact(scope, ({ db }) =>
    sql.raw<{ 'QUERY PLAN': string }>(`explain ${statement}`).execute(db),
  );
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

describe('under row-level security', () => {
  before(async () => {
    await asSuperuser(
      `insert into patients (id, external_id, status, time_zone, language, preferences, data_key, identity, email_index,
         phone_index, search_id, created_at, updated_at)
       select gen_random_uuid(), i, case when i % 100 = 0 then 'DECEASED' else 'ACTIVE' end, 'UTC', 'en', '{}',
         '\\x01', '\\x02', sha256(i::text::bytea), sha256((i / 2)::text::bytea), gen_random_uuid(), now(), now()
       from generate_series(1, 20000) as i`,
    );
    for (const table of ['patient_search_entries_0', 'patient_search_counts_0']) {
      const sealed = table.includes('entries') ? 'gen_random_uuid()' : `sha256(i::text::bytea)`;
      await asSuperuser(`insert into ${table} select gen_random_uuid(), ${sealed} from generate_series(1, 20000) as i`);
    }
    await asSuperuser('analyze patients, patient_search_entries_0, patient_search_counts_0');
  });

  for (const [statement, index] of [
    [`select * from patients where id = '${id}' and deleted_at is null`, 'patients_pkey'],
    [`select * from patients where id = any(${IDS}) and deleted_at is null`, 'patients_pkey'],
    [`select * from patients where deleted_at is null and id > '${id}' order by id limit 26`, 'patients_pkey'],
    [
      `select * from patients where deleted_at is null and status = any(array['DECEASED']) and id > '${id}' order by id limit 26`,
      'patients_by_status',
    ],
    [`select * from patients where search_id = any(${IDS}) and deleted_at is null`, 'patients_search_id_once'],
    [`select * from patients where email_index = '\\x01' and deleted_at is null`, 'patients_email_once'],
    [`select * from patients where phone_index = '\\x01' and deleted_at is null order by id`, 'patients_by_phone'],
    [`select * from patients where external_id = 'x' and deleted_at is null`, 'patients_external_id_once'],
    [`select * from patient_search_entries_0 where token = any(${IDS})`, 'patient_search_entries_0_pkey'],
    [
      `select * from patient_search_counts_0 where token = any(${IDS}) order by token for update`,
      'patient_search_counts_0_pkey',
    ],
  ] as const) {
    test(
      `${index} answers: ${statement}`,
      sandboxed(async (scope) => {
        const text = await plan(scope, statement);
        assert.match(text, new RegExp(`Index (Scan using|Only Scan using|Scan on) ${index}`));
        assert.match(text, /Index Cond/);
      }),
    );
  }

  test(
    'patients_pkey answers a patient about themselves, also when nothing in the query says whose row is meant',
    sandboxed(async (scope) => {
      const own = as(scope, actor('patient', { patientId: id }));
      for (const where of ['', `where id = '${other}'`]) {
        assert.match(await plan(own, `select * from patients ${where}`), /Index Scan using patients_pkey/);
      }
    }),
  );
});
