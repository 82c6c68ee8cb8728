import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { sqlState } from '#platform/database';
import { type Actor, type Scope, transact } from '#platform/scope';
import { booked, newPatient, TOMORROW_AT_TEN } from './support/appointments.ts';
import { ledgerLines, reacting } from './support/notifications.ts';
import { DATABASE_ROLES, type Rights, testRights } from './support/rights.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const LEDGER = { staff: 'select', patient: '', system: 'select insert update', auditor: '' };
const ADDED = { staff: 'select insert', patient: '', system: 'select insert', auditor: '' };
const MATRIX: Readonly<Record<string, Rights>> = {
  consents: { ...ADDED, patient: 'select insert', system: 'select insert update', written: 'evidence' },
  delivery_reports: { ...LEDGER, staff: '', written: 'notification_id', seen: 'status' },
  inbound_messages: { ...LEDGER, written: 'notification_id' },
  message_templates: { ...ADDED, written: 'body' },
  notification_attempts: { ...LEDGER, written: 'outcome' },
  notifications: { ...LEDGER, patient: 'select' },
  opt_outs: { ...ADDED, written: 'opted_out' },
  tasks: { ...LEDGER, staff: 'select update' },
};

const REFUSED = '42501';
const stateOf = (who: Scope, statement: string): Promise<string | null> =>
  transact(who, ({ db }) => sql.raw(statement).execute(db)).then(
    () => null,
    (thrown: unknown) => sqlState(thrown) ?? String(thrown),
  );

describe('the tables of notifications', () => {
  testRights(MATRIX);

  test('are all in this matrix', () => {
    const path = new URL('../migrations/0013_notifications.sql', import.meta.url);
    const tables = [...readFileSync(path, 'utf8').matchAll(/^create table (\w+)/gm)].map(([, table]) => table);
    assert.deepEqual(new Set(tables), new Set(Object.keys(MATRIX)));
  });

  test(
    'are all under row-level security, with a policy for each role that may do anything',
    committed(async () => {
      const rows = await asSuperuser<{ relname: string; relrowsecurity: boolean; roles: string[] }>(
        `select c.relname, c.relrowsecurity, array(select distinct r::text from pg_policies p, unnest(p.roles) r
           where p.tablename = c.relname order by 1) as roles
         from pg_class c where relname = any ($1) order by relname`,
        [Object.keys(MATRIX)],
      );
      assert.equal(rows.length, Object.keys(MATRIX).length);
      for (const { relname, relrowsecurity, roles } of rows) {
        assert.ok(relrowsecurity, relname);
        const rights = MATRIX[relname] as Rights;
        const able = DATABASE_ROLES.filter((role) => rights[role] !== '');
        assert.deepEqual(roles, able.map((role) => `careflex_${role}`).toSorted(), relname);
      }
    }),
  );

  test(
    'show a patient the own messages and no others, also past the code',
    sandboxed(async (sandbox) => {
      const scope = reacting(sandbox);
      const [own, foreign] = [await booked(scope), await booked(scope)];
      const patient = as(scope, actor('patient', { patientId: own.patientId }));
      const seen = await transact(patient, ({ db }) =>
        db.selectFrom('notifications').select('appointment_id').distinct().execute(),
      );
      assert.deepEqual(seen, [{ appointment_id: own.id }]);
      assert.equal((await ledgerLines(scope, foreign.id)).length, 3);
    }),
  );
});

describe('the functions of the ledger', () => {
  const now = '2026-03-02T15:00:00Z';
  const factsFor = (who: Scope, id: string) =>
    transact(who, async ({ db }) => {
      const { rows } = await sql`select id from reminder_facts(${[id]}::uuid[], '{}', ${now})`.execute(db);
      return rows.length;
    });
  const planFor = (who: Scope, visit: string) => {
    const over = [{ reason: 'STARTED', kinds: ['REMINDER_2H'], keptChannel: null, olderOnly: false }];
    const plan = JSON.stringify([{ visit, over, awaits: false, rows: [] }]);
    return transact(who, ({ db }) => sql`select plan_notifications(${plan}::jsonb, ${now})`.execute(db));
  };

  test(
    'know of a patient’s own visits, and touch no others',
    sandboxed(async (sandbox) => {
      const scope = reacting(sandbox);
      const visits = [
        await booked(scope, { startsAt: TOMORROW_AT_TEN.add({ hours: 3 }) }),
        await booked(scope, { startsAt: TOMORROW_AT_TEN.add({ hours: 3 }) }),
      ] as const;
      const patient = as(scope, actor('patient', { patientId: visits[0].patientId }));
      const before = await ledgerLines(scope, visits[1].id);
      assert.deepEqual([await factsFor(patient, visits[0].id), await factsFor(patient, visits[1].id)], [1, 0]);
      await planFor(patient, visits[1].id);
      assert.deepEqual(await ledgerLines(scope, visits[1].id), before);
      for (const who of [patient, as(scope, 'agent'), as(scope, 'system')]) await planFor(who, visits[0].id);
      assert.ok((await ledgerLines(scope, visits[0].id)).includes('1 REMINDER_2H SKIPPED NO_CHANNEL'));
    }),
  );

  test(
    'are not for auditors, nor for whoever only says that they are staff',
    sandboxed(async (sandbox) => {
      const scope = reacting(sandbox);
      const visit = await booked(scope, { patientId: await newPatient(scope) });
      const auditor: Actor = actor('auditor');
      for (const name of ["reminder_facts('{}', '{}', now())", "plan_notifications('[]', now())"])
        assert.equal(await stateOf(as(scope, auditor), `select * from ${name}`), REFUSED);
      const patient = as(scope, actor('patient', { patientId: randomUUID() }));
      await transact(patient, async ({ db }) => {
        await sql`select set_config('careflex.role', 'admin', true)`.execute(db);
        const { rows } = await sql`select id from reminder_facts(${[visit.id]}::uuid[], '{}', ${now})`.execute(db);
        assert.deepEqual(rows, []);
      });
    }),
  );
});
