import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { sqlState } from '#platform/database';
import { type Role, transact } from '#platform/scope';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

// Per table: what each database role may do. Whatever stands nowhere is refused.
const MATRIX: Record<string, Record<string, string>> = {
  message_templates: { staff: 'select insert', system: 'select insert', patient: '', auditor: '' },
  consents: { staff: 'select insert', system: 'select insert update', patient: 'select insert', auditor: '' },
  opt_outs: { staff: 'select insert', system: 'select insert', patient: '', auditor: '' },
};
const ACTORS: Record<string, Role> = { staff: 'agent', system: 'system', patient: 'patient', auditor: 'auditor' };
const COLUMN: Record<string, string> = { message_templates: 'body', consents: 'evidence', opt_outs: 'source' };

const VERBS: Record<string, (table: string) => string> = {
  select: (table) => `select id from ${table}`,
  insert: (table) => `insert into ${table} (id) select '${randomUUID()}' where false`,
  update: (table) => `update ${table} set ${COLUMN[table]} = null where false`,
  delete: (table) => `delete from ${table} where false`,
  truncate: (table) => `truncate ${table}`,
};

describe('the tables of templates and consents', () => {
  for (const [table, roles] of Object.entries(MATRIX))
    for (const [role, allowed] of Object.entries(roles))
      test(
        `let ${role} ${allowed === '' ? 'do nothing with' : allowed.replaceAll(' ', ', ')} ${table}`,
        sandboxed(async (scope) => {
          const who = as(scope, actor(ACTORS[role] as Role, { patientId: randomUUID() }));
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

  test(
    'are under row-level security, with one policy a role',
    committed(async () => {
      const names = Object.keys(MATRIX);
      const secured = await asSuperuser('select from pg_class where relname = any($1) and relrowsecurity', [names]);
      assert.equal(secured.length, names.length);
      const doubled = await asSuperuser(
        'select tablename, unnest(roles) from pg_policies where tablename = any($1) group by 1, 2 having count(*) > 1',
        [names],
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
