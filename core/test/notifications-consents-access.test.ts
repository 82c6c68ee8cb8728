import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { sqlState } from '#platform/database';
import { transact } from '#platform/scope';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

/** What each role may do with them stands in the matrix of all the tables of notifications. */
const TABLES = ['message_templates', 'consents', 'opt_outs'];

describe('the tables of templates and consents', () => {
  test(
    'are under row-level security, with one policy a role',
    committed(async () => {
      const secured = await asSuperuser('select from pg_class where relname = any($1) and relrowsecurity', [TABLES]);
      assert.equal(secured.length, TABLES.length);
      const doubled = await asSuperuser(
        'select tablename, unnest(roles) from pg_policies where tablename = any($1) group by 1, 2 having count(*) > 1',
        [TABLES],
      );
      assert.deepEqual(doubled, []);
    }),
  );

  test(
    'hide the proof from a patient, and let nobody write in the name of another or of another source',
    sandboxed(async (scope) => {
      const patientId = randomUUID();
      const patient = as(scope, actor('patient', { patientId }));
      const consent = (by: string, role: string, source: string) => sql`
        insert into consents (id, patient_id, contact_index, contact_kind, purpose, status, source, wording_version,
          recorded_by, recorded_role, recorded_at)
        values (${randomUUID()}, ${patientId}, '\\x01', 'PHONE', 'SURVEY', 'GIVEN', ${source}, 'w', ${by}, ${role}, now())`;
      const refused = [
        [patient, sql`select evidence from consents`],
        [patient, sql`select recorded_by from consents`],
        [patient, consent(randomUUID(), 'patient', 'PATIENT')],
        [patient, consent(patient.actor.id, 'patient', 'AGENT')],
        [scope, consent(scope.actor.id, 'agent', 'PATIENT')],
        [scope, consent(randomUUID(), 'agent', 'AGENT')],
        [
          scope,
          sql`insert into opt_outs values (${randomUUID()}, '\\x01', false, 'INBOUND_MESSAGE', ${scope.actor.id}, now())`,
        ],
        [
          scope,
          sql`insert into message_templates (id, kind, channel, language, version, body, created_by, created_at)
            values (${randomUUID()}, 'HELP', 'SMS', 'en', 9, 'x', ${scope.actor.id}, now())`,
        ],
      ] as const;
      for (const [who, statement] of refused)
        await assert.rejects(
          transact(who, ({ db }) => statement.execute(db)),
          (thrown) => sqlState(thrown) === '42501',
        );
    }),
  );
});
