/** Scores of visits: what they know, when they come, and who sees them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as care from '#care';
import { sequenceEvents } from '#platform/events';
import { Forbidden, InvalidInput } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';
import * as risk from '#risk';
import * as scheduling from '#scheduling';
import { assertSame } from './support/same.ts';
import { booked, newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { testRights } from './support/rights.ts';
import { actor, as, sandboxed } from './support/testing.ts';

const later = (scope: Scope, now: Temporal.Instant): Scope => ({ ...scope, now });

/** What a worker does every second. */
async function follow(scope: Scope): Promise<void> {
  const system = as(scope, 'system');
  await sequenceEvents(system);
  await risk.followEvents(system);
}

async function riskOf(scope: Scope, id: string): Promise<risk.NoShowRisk> {
  const found = (await risk.risksOf(scope, [id])).get(id);
  assert.ok(found, 'there is no score');
  return found;
}

async function features(scope: Scope, id: string): Promise<Record<string, unknown>> {
  const row = await transact(as(scope, 'system'), ({ db }) =>
    db.selectFrom('risk_scores').select('features').where('appointment_id', '=', id).executeTakeFirstOrThrow(),
  );
  return row.features as Record<string, unknown>;
}

/** A visit that is over: kept, missed or called off by the patient. */
async function past(
  scope: Scope,
  { daysAgo, outcome, ...people }: { patientId: string; providerId: string; daysAgo: number; outcome: string },
): Promise<string> {
  const startsAt = TOMORROW_AT_TEN.subtract({ hours: 24 * daysAgo });
  const then = later(scope, startsAt.subtract({ hours: 48 }));
  const { id } = await scheduling.schedule(then, { ...people, service: 'TELEHEALTH', startsAt });
  if (outcome === 'CANCELLED') await scheduling.cancel(then, id, { reason: 'PATIENT' });
  const over = later(scope, startsAt.add({ minutes: 20 }));
  if (outcome === 'NO_SHOW') await scheduling.markNoShow(over, id, {});
  if (outcome === 'COMPLETED') {
    await scheduling.start(over, id, {});
    await scheduling.complete(over, id, {});
  }
  return id;
}

describe('followEvents', () => {
  test(
    'scores a visit when it is booked, and says why',
    sandboxed(async (scope) => {
      const { id } = await booked(scope);
      assert.equal((await risk.risksOf(scope, [id])).size, 0);
      await follow(scope);
      const score = await riskOf(scope, id);
      assert.ok(score.probability > 0 && score.probability < 1);
      assert.ok(score.reasons.length > 0 && score.reasons.length <= 3);
      assert.ok(risk.RISK_BANDS.includes(score.band));
      assertSame(score.scoredAt, scope.now);
    }),
  );

  test(
    'scores what has happened once, and not again because time goes by',
    sandboxed(async (scope) => {
      const { id } = await booked(scope);
      await follow(scope);
      await follow(later(scope, scope.now.add({ minutes: 1 })));
      assertSame((await riskOf(scope, id)).scoredAt, scope.now);
    }),
  );

  test(
    'finds the age with the visit when it is scored again',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope, { dateOfBirth: '1980-03-08' });
      const { id } = await booked(scope, { patientId });
      await follow(scope);
      const at = later(scope, scope.now.add({ minutes: 1 }));
      await scheduling.confirm(at, id, {});
      await follow(at);
      assertSame((await riskOf(scope, id)).scoredAt, at.now);
      assert.match(String((await features(scope, id))['ageBand']), /^40-49$/);
    }),
  );

  test(
    'scores it again when it is moved, confirmed, or the patient misses another one',
    sandboxed(async (scope) => {
      const [patientId, providerId] = [await newPatient(scope), await newProvider(scope)];
      const { id } = await booked(scope, { patientId, providerId });
      await follow(scope);
      assert.equal((await features(scope, id))['leadDays'], 1);

      const startsAt = TOMORROW_AT_TEN.add({ hours: 24 });
      await scheduling.reschedule(scope, id, { startsAt });
      await follow(scope);
      assert.equal((await features(scope, id))['leadDays'], 2);

      await scheduling.confirm(scope, id, {});
      await follow(scope);
      assert.equal((await features(scope, id))['confirmed'], true);

      const before = await riskOf(scope, id);
      await past(scope, { patientId, providerId, daysAgo: 7, outcome: 'NO_SHOW' });
      await follow(scope);
      assert.ok((await riskOf(scope, id)).probability > before.probability);
    }),
  );

  test(
    'takes what is called off from the list of those to come, and keeps its score',
    sandboxed(async (scope) => {
      const { id } = await booked(scope, { patientId: await ofUsualCare(scope, false) });
      await follow(scope);
      assert.deepEqual(await listed(scope), [id]);
      await scheduling.cancel(scope, id, { reason: 'PROVIDER' });
      await follow(scope);
      assert.deepEqual(await listed(scope), []);
      await riskOf(scope, id);
    }),
  );

  test(
    'does not put an older score over a newer one',
    sandboxed(async (scope) => {
      const { id } = await booked(scope);
      await follow(later(scope, scope.now.add({ minutes: 5 })));
      const { scoredAt } = await riskOf(scope, id);
      await scheduling.confirm(scope, id, {});
      await follow(scope);
      assertSame((await riskOf(scope, id)).scoredAt, scoredAt);
    }),
  );
});

describe('what a score knows', () => {
  test(
    'is the patient’s history: kept, missed and called off, and nothing that others called off',
    sandboxed(async (scope) => {
      const people = {
        patientId: await newPatient(scope, { dateOfBirth: '1966-03-04' }),
        providerId: await newProvider(scope),
      };
      await past(scope, { ...people, daysAgo: 21, outcome: 'COMPLETED' });
      await past(scope, { ...people, daysAgo: 14, outcome: 'NO_SHOW' });
      await past(scope, { ...people, daysAgo: 7, outcome: 'CANCELLED' });
      const other = await booked(scope, { ...people, startsAt: TOMORROW_AT_TEN.add({ hours: 48 }) });
      await scheduling.cancel(scope, other.id, { reason: 'PROVIDER' });
      const { id } = await booked(scope, people);
      await follow(scope);
      const { past: history, ageBand, weekday, hour, bookedHour } = await features(scope, id);
      assert.deepEqual(history, {
        visits: 2,
        noShows: 1,
        cancellations: 1,
        lateCancellations: 0,
        lastOutcomes: [true, false],
        daysSinceLast: 14,
      });
      assert.deepEqual([weekday, hour, bookedHour], [2, 10, 10]);
      assert.equal(ageBand, '50-59');
    }),
  );

  test(
    'counts the patient’s other visits of the day, without what was called off',
    sandboxed(async (scope) => {
      const people = { patientId: await newPatient(scope), providerId: await newProvider(scope) };
      const { id } = await booked(scope, people);
      await follow(scope);
      assert.equal((await features(scope, id))['sameDayVisits'], 0);
      const other = await booked(scope, { ...people, startsAt: TOMORROW_AT_TEN.add({ hours: 2 }) });
      await booked(scope, { ...people, startsAt: TOMORROW_AT_TEN.add({ hours: 24 }) });
      await follow(scope);
      assert.equal((await features(scope, id))['sameDayVisits'], 1);
      await scheduling.cancel(scope, other.id, { reason: 'PATIENT' });
      await follow(scope);
      assert.equal((await features(scope, id))['sameDayVisits'], 0);
    }),
  );

  test(
    'has nothing in it that identifies a patient',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope, {
        firstName: 'Canary',
        lastName: 'Kanarie',
        dateOfBirth: '1971-02-03',
      });
      const { id } = await booked(scope, { patientId });
      await follow(scope);
      const { rows } = await transact(as(scope, 'system'), ({ db }) =>
        sql<{
          text: string;
        }>`select s::text || v::text as text from risk_scores s join risk_visits v using (appointment_id)
          where appointment_id = ${id}`.execute(db),
      );
      assert.doesNotMatch(rows[0]?.text ?? '', /canary|kanarie|1971|02-03/i);
      assert.ok(!rows[0]?.text.includes(patientId));
      assert.match(rows[0]?.text ?? '', /50-59/);
    }),
  );
});

describe('a forecast', () => {
  const forecasts = async (scope: Scope, id: string) =>
    transact(as(scope, 'system'), ({ db }) =>
      db.selectFrom('risk_forecasts').select(['starts_at', 'probability']).where('appointment_id', '=', id).execute(),
    );

  test(
    'is kept a day before the visit, once',
    sandboxed(async (scope) => {
      const { id } = await booked(scope);
      await follow(scope);
      const kept = await forecasts(scope, id);
      assert.equal(kept.length, 1);
      await scheduling.confirm(scope, id, {});
      await follow(later(scope, scope.now.add({ minutes: 5 })));
      assert.equal((await features(scope, id))['confirmed'], true);
      assert.deepEqual(
        (await forecasts(scope, id)).map(({ probability }) => probability),
        kept.map(({ probability }) => probability),
      );
    }),
  );

  test(
    'is not kept earlier',
    sandboxed(async (scope) => {
      const { id } = await booked(scope, { startsAt: TOMORROW_AT_TEN.add({ hours: 24 }) });
      await follow(scope);
      assert.equal((await forecasts(scope, id)).length, 0);
    }),
  );
});

async function ofUsualCare(scope: Scope, wanted: boolean): Promise<string> {
  for (;;) {
    const id = await newPatient(scope);
    if (risk.isUsualCare(scope.vault, id) === wanted) return id;
  }
}

async function listed(scope: Scope, input: risk.RiskList = {}): Promise<string[]> {
  return (await risk.appointmentsByRisk(scope, input)).items.map(({ node }) => node.id);
}

describe('appointmentsByRisk', () => {
  test(
    'has the riskiest first, page by page, and within the range and bands asked for',
    sandboxed(async (scope) => {
      const providerId = await newProvider(scope);
      const ids: string[] = [];
      for (const day of [0, 1, 2, 3, 6]) {
        const patientId = await ofUsualCare(scope, false);
        const startsAt = TOMORROW_AT_TEN.add({ hours: 24 * day, minutes: 30 });
        ids.push((await booked(scope, { patientId, providerId, startsAt })).id);
      }
      await follow(scope);
      const to = scope.now.add({ hours: 24 * 14 });
      const all = await risk.appointmentsByRisk(scope, { to });
      const scores = await risk.risksOf(scope, ids);
      const scoreOf = ({ node }: (typeof all.items)[number]) => scores.get(node.id) as risk.NoShowRisk;
      const chances = all.items.map((item) => scoreOf(item).probability);
      assert.equal(chances.length, 5);
      assert.deepEqual(
        chances,
        chances.toSorted((a, b) => b - a),
      );

      const first = await risk.appointmentsByRisk(scope, { to, first: 2 });
      assert.ok(first.hasNextPage);
      const rest = await risk.appointmentsByRisk(scope, { to, after: first.items[1]?.cursor });
      assert.deepEqual(
        [...first.items, ...rest.items].map(({ node }) => node.id),
        all.items.map(({ node }) => node.id),
      );
      assert.deepEqual(await listed(scope, { to: TOMORROW_AT_TEN.add({ hours: 1 }) }), ids.slice(0, 1));
      const bands = new Set(all.items.map((item) => scoreOf(item).band));
      for (const band of risk.RISK_BANDS) {
        assert.equal((await listed(scope, { to, band: [band] })).length > 0, bands.has(band), band);
      }
    }),
  );

  test(
    'leaves out whom it is compared with, whose scores can be read all the same',
    sandboxed(async (scope) => {
      const { id } = await booked(scope, { patientId: await ofUsualCare(scope, true) });
      await follow(scope);
      assert.deepEqual(await listed(scope), []);
      await riskOf(scope, id);
    }),
  );

  test(
    'refuses a range of years',
    sandboxed(async (scope) => {
      const to = scope.now.add({ hours: 24 * 400 });
      await assert.rejects(risk.appointmentsByRisk(scope, { to }), InvalidInput);
    }),
  );

  test(
    'and the scores are for staff, and leave an entry with whose they are',
    sandboxed(async (scope) => {
      const visit = await booked(scope);
      await follow(scope);
      for (const role of ['patient', 'auditor'] as const) {
        const who = as(scope, actor(role, { patientId: visit.patientId }));
        await assert.rejects(risk.risksOf(who, [visit.id]), Forbidden);
        await assert.rejects(risk.appointmentsByRisk(who), Forbidden);
      }
      await riskOf(scope, visit.id);
      const { rows } = await transact(as(scope, 'system'), ({ db }) =>
        sql`select from audit_entries where action = 'risk.read' and outcome = 'SUCCESS' and resource_ids = ${[visit.id]}`.execute(
          db,
        ),
      );
      assert.equal(rows.length, 1);
    }),
  );
});

describe('the comparison group', () => {
  test(
    'is one patient in ten, and always the same ones',
    sandboxed(async (scope) => {
      const ids = Array.from({ length: 5_000 }, () => crypto.randomUUID());
      const group = ids.filter((id) => risk.isUsualCare(scope.vault, id));
      assert.ok(group.length > 400 && group.length < 600, String(group.length));
      assert.ok(group.every((id) => risk.isUsualCare(scope.vault, id)));
      assert.ok(care.PATIENT_STATUSES.length > 0);
    }),
  );
});

describe('the tables of risk', () => {
  const KEPT = { staff: '', patient: '', system: 'select insert', auditor: '' };
  testRights({
    risk_visits: { ...KEPT, written: 'age_band', seen: 'appointment_id' },
    risk_models: { ...KEPT, written: 'version' },
    risk_activations: { ...KEPT, written: 'cause' },
    risk_scores: {
      staff: 'select',
      patient: '',
      system: 'select insert update',
      auditor: '',
      written: 'ahead',
      seen: 'appointment_id',
    },
    risk_forecasts: { ...KEPT, written: 'model', seen: 'appointment_id' },
    risk_runs: { ...KEPT, system: 'select insert update', written: 'done' },
    risk_reports: { ...KEPT, written: 'model' },
    risk_cursor: { ...KEPT, system: 'select update', written: 'sequence', seen: 'sequence' },
  });
});
