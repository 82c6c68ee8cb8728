/** Models: learned from visits, chosen by admins, looked after by night, and judged by what came of the visits. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { sequenceEvents } from '#platform/events';
import { Forbidden, IdempotencyMismatch, NotFound } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';
import * as risk from '#risk';
import { booked, newPatient, newProvider } from './support/appointments.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const systemOf = (scope: Scope): Scope => as(scope, 'system');
const adminOf = (scope: Scope): Scope => as(scope, actor('admin'));

interface Past {
  readonly days: number;
  readonly aDay: number;
  /** Of those booked on the day, and of those booked earlier. */
  readonly missed: readonly [number, number];
}

/** Visits that are over, as they stand in the tables: booking thousands takes too long. */
async function addHistory(scope: Scope, { days, aDay, missed: [sameDay, ahead] }: Past): Promise<void> {
  const people = { patientId: await newPatient(scope), providerId: await newProvider(scope) };
  await transact(systemOf(scope), ({ db }) =>
    sql`
      insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from, blocks_until,
        time_zone, overrides, created_at, updated_at)
      select gen_random_uuid(), ${people.patientId}, ${people.providerId}, 'TELEHEALTH',
        case when (n * 37 % 100) < 100 * (case when n % 2 = 0 then ${sameDay}::float8 else ${ahead}::float8 end)
          then 'NO_SHOW' else 'COMPLETED' end,
        at, at + interval '5 min', at, at + interval '5 min', 'America/New_York', '{PATIENT_BUSY,PROVIDER_BUSY}',
        case when n % 2 = 0 then at - interval '1 hour' else at - interval '20 days' end, at + interval '1 hour'
      from generate_series(1, ${days}::int) day, generate_series(1, ${aDay}::int) n,
        lateral (select date_trunc('day', ${scope.now.toString()}::timestamptz) - day * interval '1 day'
          + interval '14 hours' + n * interval '6 min' as at) t`.execute(db),
  );
}

async function lessons(scope: Scope) {
  return risk.readLessons(systemOf(scope));
}

async function trained(scope: Scope, kind: risk.LearningKind): Promise<string> {
  const id = await risk.train(systemOf(scope), { kind, rows: await lessons(scope) });
  assert.ok(id);
  return id;
}

async function modelOfScore(scope: Scope): Promise<string> {
  const { id } = await booked(scope);
  await sequenceEvents(systemOf(scope));
  await risk.followEvents(systemOf(scope));
  return (await risk.risksOf(scope, [id])).get(id)?.model ?? '';
}

const active = async (scope: Scope) =>
  (await risk.riskModels(adminOf(scope))).items.filter(({ node }) => node.active).map(({ node }) => node.id);

describe('train', () => {
  test(
    'makes nothing of too few visits',
    sandboxed(async (scope) => {
      await addHistory(scope, { days: 5, aDay: 4, missed: [0.1, 0.5] });
      for (const kind of ['STATISTICAL', 'ADVANCED'] as const) {
        assert.equal(await risk.train(systemOf(scope), { kind, rows: await lessons(scope) }), null);
      }
    }),
  );

  test(
    'keeps a model with its window and how it did on the last weeks, which nobody uses yet',
    sandboxed(async (scope) => {
      await addHistory(scope, { days: 60, aDay: 20, missed: [0.1, 0.5] });
      for (const kind of ['STATISTICAL', 'ADVANCED'] as const) {
        const id = await trained(scope, kind);
        const [model] = (await risk.riskModels(adminOf(scope))).items.map(({ node }) => node);
        assert.equal(model?.id, id);
        assert.match(model.version, new RegExp(`^${kind.toLowerCase()}-2026-03-02-`));
        assert.deepEqual([model.visits, model.kind, model.active], [1_200, kind, false]);
        assert.equal(String(model.trainedFrom), '2026-01-01');
        assert.ok(model.heldOut && (model.heldOut.model.auc ?? 0) > 0.65, JSON.stringify(model.heldOut));
        assert.ok((model.heldOut.model.brierSkill ?? 0) > 0.05);
      }
      assert.equal(await modelOfScore(scope), 'statistical-built-in');
    }),
  );
});

describe('activateModel', () => {
  test(
    'has a model used from then on, and rollBackModel goes back step by step',
    sandboxed(async (scope) => {
      await addHistory(scope, { days: 60, aDay: 20, missed: [0.1, 0.5] });
      const [first, second] = [await trained(scope, 'STATISTICAL'), await trained(scope, 'ADVANCED')];
      const admin = adminOf(scope);
      const { version } = await risk.activateModel(admin, first);
      assert.equal(await modelOfScore(scope), version);
      await risk.activateModel(admin, second);
      assert.deepEqual(await active(scope), [second]);
      assert.equal((await risk.rollBackModel(admin))?.id, first);
      assert.equal(await risk.rollBackModel(admin), null);
      assert.deepEqual(await active(scope), []);
      assert.equal(await modelOfScore(scope), 'statistical-built-in');
      await assert.rejects(risk.rollBackModel(admin), risk.NothingToRollBack);
    }),
  );

  test(
    'is an admin’s act, on record, told of, and done once for a key',
    sandboxed(async (scope) => {
      await addHistory(scope, { days: 60, aDay: 20, missed: [0.1, 0.5] });
      const id = await trained(scope, 'STATISTICAL');
      for (const role of ['agent', 'patient', 'auditor'] as const) {
        const who = as(scope, actor(role));
        await assert.rejects(risk.activateModel(who, id), Forbidden);
        await assert.rejects(risk.rollBackModel(who), Forbidden);
        await assert.rejects(risk.requestTraining(who, { kind: 'ADVANCED' }), Forbidden);
        await assert.rejects(risk.riskModels(who), Forbidden);
        await assert.rejects(risk.riskReport(who), Forbidden);
      }
      const admin = adminOf(scope);
      await assert.rejects(risk.activateModel(admin, randomUUID()), NotFound);
      const idempotencyKey = 'k';
      await risk.activateModel(admin, id, { idempotencyKey });
      await risk.activateModel(admin, id, { idempotencyKey });
      await assert.rejects(risk.activateModel(admin, randomUUID(), { idempotencyKey }), IdempotencyMismatch);
      const { rows } = await transact(systemOf(scope), ({ db }) =>
        sql<{ audits: number; events: number }>`
          select (select count(*)::int from audit_entries where action = 'riskModel.activate' and outcome = 'SUCCESS') as audits,
            (select count(*)::int from events where topic = 'risk_model.activated') as events`.execute(db),
      );
      assert.deepEqual(rows, [{ audits: 1, events: 1 }]);
    }),
  );
});

describe('nightly', () => {
  test(
    'goes on with the newer model of the kind in use, and chooses no other kind by itself',
    sandboxed(async (scope) => {
      await addHistory(scope, { days: 60, aDay: 20, missed: [0.1, 0.5] });
      await risk.nightly(systemOf(scope));
      const inUse = (await risk.riskModels(adminOf(scope))).items.find(({ node }) => node.active);
      assert.equal(inUse?.node.kind, 'STATISTICAL');
      const advanced = (await risk.riskModels(adminOf(scope))).items.find(({ node }) => node.kind === 'ADVANCED');
      await risk.activateModel(adminOf(scope), advanced?.node.id ?? '');

      // The same night again learns nothing anew; the next one does.
      await risk.nightly(systemOf(scope));
      assert.deepEqual(await active(scope), [advanced?.node.id]);
      const tomorrow = { ...scope, now: scope.now.add({ hours: 24 }) };
      await risk.nightly(systemOf(tomorrow));
      const next = (await risk.riskModels(adminOf(scope))).items.find(({ node }) => node.active);
      assert.equal(next?.node.kind, 'ADVANCED');
      assert.notEqual(next.node.id, advanced?.node.id);
      // What an admin chose is undone in one step, whatever the nights made of it.
      assert.equal((await risk.rollBackModel(adminOf(scope)))?.kind, 'STATISTICAL');
    }),
  );
});

interface Said {
  readonly visits: number;
  readonly said: number;
  readonly statistical: number;
  readonly missed: number;
}

/** Forecasts of visits that are over. */
async function addForecasts(scope: Scope, { visits, said, statistical, missed }: Said): Promise<void> {
  await addHistory(scope, { days: 10, aDay: visits / 10, missed: [missed, missed] });
  await transact(systemOf(scope), ({ db }) =>
    sql`
      insert into risk_forecasts (appointment_id, starts_at, service, provider_id, age_band, same_day, usual_care, probability,
        statistical, model, scored_at)
      select id, starts_at, service, provider_id, '30-39', false, false, ${said}, ${statistical}, 'm', starts_at from appointments
      where status in ('COMPLETED', 'NO_SHOW')`.execute(db),
  );
}

describe('riskReport', () => {
  test(
    'sets what was said beside what happened, as a whole and by group',
    sandboxed(async (scope) => {
      await addForecasts(scope, { visits: 400, said: 0.25, statistical: 0.2, missed: 0.25 });
      const report = await risk.riskReport(adminOf(scope));
      assert.equal(report.measures.visits, 400);
      assert.ok(Math.abs((report.measures.observedOverExpected ?? 0) - 1) < 0.1, JSON.stringify(report.measures));
      assert.ok((report.statistical.observedOverExpected ?? 0) > 1.1);
      assert.equal(
        report.calibration.reduce((sum, { visits }) => sum + visits, 0),
        400,
      );
      const ages = report.groups.filter(({ by }) => by === 'AGE_BAND');
      assert.deepEqual(
        ages.map(({ value, visits, expected }) => [value, visits, expected]),
        [['30-39', 400, 0.25]],
      );
      assert.deepEqual(report.alarms, []);
    }),
  );
});

describe('keepReport', () => {
  test(
    'alarms when a model is far off, and falls back to the statistical one',
    sandboxed(async (scope) => {
      await addForecasts(scope, { visits: 1_200, said: 0.6, statistical: 0.25, missed: 0.25 });
      const system = systemOf(scope);
      const statistical = await trained(scope, 'STATISTICAL');
      await risk.activateModel(adminOf(scope), await trained(scope, 'ADVANCED'));
      assert.deepEqual([...(await risk.newestAlarms(scope))], []);
      const { alarms } = await risk.keepReport(system);
      assert.deepEqual(alarms.slice(0, 2), ['WORSE_THAN_STATISTICAL', 'MISCALIBRATED']);
      assert.deepEqual(await active(scope), [statistical]);
      assert.ok((await risk.newestAlarms(scope)).has('MISCALIBRATED'));
      const { rows } = await transact(system, ({ db }) =>
        sql`select from events where topic = 'risk.alarmed'`.execute(db),
      );
      assert.equal(rows.length, 1);
    }),
  );

  test(
    'leaves a model alone that does as it should',
    sandboxed(async (scope) => {
      await addForecasts(scope, { visits: 1_200, said: 0.25, statistical: 0.25, missed: 0.25 });
      const id = await trained(scope, 'ADVANCED');
      await risk.activateModel(adminOf(scope), id);
      const { alarms } = await risk.keepReport(systemOf(scope));
      assert.ok(!alarms.includes('MISCALIBRATED') && !alarms.includes('WORSE_THAN_STATISTICAL'), alarms.join());
      assert.deepEqual(await active(scope), [id]);
    }),
  );
});
