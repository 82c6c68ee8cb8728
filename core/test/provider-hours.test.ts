import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { sqlState } from '#platform/database';
import { Forbidden, IdempotencyMismatch, InvalidInput, NotFound } from '#platform/errors';
import { type Role, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { booked, newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { eventsSoFar } from './support/patients.ts';
import { actor, as, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const nine = { weekday: 1, from: '09:00', to: '12:00' };
const lunch = { weekday: 1, from: '12:00', to: '24:00' };

/** A sandbox of an admin, with a provider in it. */
const withProvider = (work: (scope: Scope, providerId: string) => Promise<void>) =>
  sandboxed(async (scope) => work(as(scope, 'admin'), await newProvider(scope)));

const issuesOf = async (refused: Promise<unknown>): Promise<string[]> => {
  const thrown = await refused.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(thrown instanceof InvalidInput, String(thrown));
  return [...new Set(thrown.issues.map(({ path }) => path.join('.')))].toSorted();
};

const WEEK = { from: '2026-03-01', to: '2026-03-08' };
const MARCH = { from: Temporal.Instant.from('2026-03-01T00:00Z'), to: Temporal.Instant.from('2026-04-01T00:00Z') };

describe('setWeeklyHours', () => {
  test(
    'puts them in order, and null is the clinic’s usual hours again',
    withProvider(async (scope, id) => {
      const before = await scheduling.getProvider(scope, id);
      assert.deepEqual([before.weeklyHours, before.version], [null, 1]);
      const changed = await scheduling.setWeeklyHours(scope, id.toUpperCase(), { hours: [lunch, nine], version: 1 });
      assert.deepEqual([changed.weeklyHours, changed.version], [[nine, lunch], 2]);
      assertSame(await scheduling.getProvider(scope, id), changed);
      assert.equal((await scheduling.setWeeklyHours(scope, id, { hours: null })).weeklyHours, null);
    }),
  );

  test(
    'decides what is offered',
    withProvider(async (scope, id) => {
      const tuesdays = { weekday: 2, from: '23:00', to: '24:00' };
      await scheduling.setWeeklyHours(scope, id, { hours: [tuesdays] });
      const range = { from: scope.now, to: scope.now.add({ hours: 7 * 24 }) };
      const slots = await scheduling.availableSlots(scope, { service: 'TELEHEALTH', ...range, everyMinutes: 30 });
      assert.deepEqual(
        slots.map(({ startsAt }) => startsAt.toString()),
        ['2026-03-04T04:00:00Z', '2026-03-04T04:30:00Z'],
      );
    }),
  );

  test(
    'is on record and told as an event, by the provider’s id alone; a repeat does nothing',
    withProvider(async (scope, id) => {
      const change = { hours: [nine], idempotencyKey: 'k' };
      const first = await scheduling.setWeeklyHours(scope, id, change);
      assertSame(await scheduling.setWeeklyHours(scope, id, change), first);
      await assert.rejects(scheduling.setWeeklyHours(scope, id, { ...change, hours: [] }), IdempotencyMismatch);
      const told = (await eventsSoFar(scope)).filter(({ topic }) => topic === 'provider.hours_changed');
      assert.deepEqual(told, [{ topic: 'provider.hours_changed', payload: { providerId: id } }]);
      assert.deepEqual(
        (await auditSoFar(scope, 'provider.setHours')).map(({ changed_fields }) => changed_fields),
        [['weeklyHours']],
      );
    }),
  );

  test(
    'refuses hours that overlap, end before they begin or are none, with every issue',
    withProvider(async (scope, id) => {
      const set = (...hours: { weekday: number; from: string; to: string }[]) =>
        issuesOf(scheduling.setWeeklyHours(scope, id, { hours }));
      assert.deepEqual(await set({ weekday: 0, from: '24:00', to: '9:00' }, { ...nine, from: '12:00' }), [
        'hours.0.from',
        'hours.0.to',
        'hours.0.weekday',
        'hours.1.to',
      ]);
      assert.deepEqual(await set(nine, { ...nine, from: '11:59', to: '13:00' }, { ...nine, from: '08:00' }), [
        'hours.1',
        'hours.2',
      ]);
      assert.deepEqual(await set(nine, { ...nine, weekday: 2 }, { ...nine, from: '24:01' }), [
        'hours.2.from',
        'hours.2.to',
      ]);
      assert.equal((await scheduling.getProvider(scope, id)).version, 1);
    }),
  );

  test(
    'refuses an older version, telling the newer one',
    withProvider(async (scope, id) => {
      await scheduling.setProviderTimeZone(scope, id, { timeZone: 'Asia/Kolkata' });
      const stale = scheduling.setWeeklyHours(scope, id, { hours: [], version: 1 });
      await assert.rejects(stale, { code: 'STALE_VERSION', currentVersion: 2 });
    }),
  );
});

describe('setProviderTimeZone', () => {
  test(
    'goes over the zone of the directory, whatever is imported, until it is taken back',
    withProvider(async (scope, id) => {
      const chosen = await scheduling.setProviderTimeZone(scope, id, { timeZone: 'Pacific/Apia' });
      const { externalId, name } = chosen;
      await scheduling.importProviders(scope, [{ externalId, name, timeZone: 'America/Denver' }]);
      assert.equal((await scheduling.getProvider(scope, id)).timeZone, 'Pacific/Apia');
      const [slot] = await scheduling.availableSlots(scope, { service: 'TELEHEALTH', ...MARCH });
      assert.equal(slot?.startsAt.toZonedDateTimeISO('Pacific/Apia').hour, 9);
      assert.equal((await scheduling.setProviderTimeZone(scope, id, { timeZone: null })).timeZone, 'America/Denver');
    }),
  );

  test(
    'refuses a zone that is none',
    withProvider(async (scope, id) => {
      for (const timeZone of ['EST', '+05:00', 'Mars/Olympus']) {
        assert.deepEqual(await issuesOf(scheduling.setProviderTimeZone(scope, id, { timeZone })), ['timeZone']);
      }
    }),
  );
});

describe('setProviderException', () => {
  test(
    'replaces the hours of its day until it is removed',
    withProvider(async (scope, id) => {
      const offered = async () => {
        const day = {
          from: Temporal.Instant.from('2026-03-07T05:00Z'),
          to: Temporal.Instant.from('2026-03-08T05:00Z'),
        };
        return (await scheduling.availableSlots(scope, { service: 'TELEHEALTH', ...day, everyMinutes: 60 })).length;
      };
      assert.equal(await offered(), 0);
      const evening = { from: '18:00', to: '20:00' };
      const set = { date: '2026-03-07', hours: [evening, { from: '09:00', to: '10:00' }], note: ' Open day ' };
      const exception = await scheduling.setProviderException(scope, id, set);
      assert.deepEqual(exception, {
        providerId: id,
        date: '2026-03-07',
        hours: [{ from: '09:00', to: '10:00' }, evening],
        note: 'Open day',
      });
      assert.equal(await offered(), 3);
      assert.deepEqual((await scheduling.exceptionsByProvider(scope, [id], WEEK)).get(id), [exception]);
      await scheduling.setProviderException(scope, id, { ...set, hours: [evening] });
      assert.equal(await offered(), 2);
      await scheduling.removeProviderException(scope, id, { date: '2026-03-07' });
      assert.equal(await offered(), 0);
      assert.equal((await scheduling.exceptionsByProvider(scope, [id], WEEK)).size, 0);
      await assert.rejects(scheduling.removeProviderException(scope, id, { date: '2026-03-07' }), NotFound);
      const traces = [
        (await eventsSoFar(scope)).filter(({ topic }) => topic === 'provider.hours_changed').length,
        (await auditSoFar(scope, 'provider.setException')).length,
        (await auditSoFar(scope, 'provider.removeException')).length,
      ];
      assert.deepEqual(traces, [3, 2, 1]);
    }),
  );

  test(
    'keeps its note from patients',
    withProvider(async (scope, id) => {
      await scheduling.setProviderException(scope, id, { date: '2026-03-06', hours: [], note: 'Surgery' });
      const patient = as(scope, actor('patient', { patientId: randomUUID() }));
      const seen = (await scheduling.exceptionsByProvider(patient, [id], WEEK)).get(id);
      assert.deepEqual(seen, [{ providerId: id, date: '2026-03-06', hours: [], note: null }]);
    }),
  );

  test(
    'refuses what makes no sense, with every issue',
    withProvider(async (scope, id) => {
      const wrong = { date: '2026-02-30', hours: [{ from: '10:00', to: '10:00' }], note: 'a\u0000' };
      const set = scheduling.setProviderException(scope, id, wrong);
      assert.deepEqual(await issuesOf(set), ['date', 'hours.0.to', 'note']);
      const never = { from: '2026-03-08', to: '2026-03-07' };
      assert.deepEqual(await issuesOf(scheduling.exceptionsByProvider(scope, [id], never)), ['to']);
      const ancient = { from: '0000-01-01', to: '2026-03-07' };
      assert.deepEqual(await issuesOf(scheduling.exceptionsByProvider(scope, [id], ancient)), ['from', 'to']);
    }),
  );
});

describe('addTimeOff', () => {
  const off = { startsAt: TOMORROW_AT_TEN.subtract({ minutes: 30 }), endsAt: TOMORROW_AT_TEN.add({ hours: 3 }) };

  test(
    'answers with the live visits that stand in it, and leaves them',
    withProvider(async (scope, id) => {
      const minutes = (minutes: number) => TOMORROW_AT_TEN.add({ minutes });
      const before = await booked(scope, { providerId: id, startsAt: minutes(-60) });
      const inside = await booked(scope, { providerId: id, startsAt: minutes(0) });
      const across = await booked(scope, { providerId: id, startsAt: minutes(165) });
      const patientId = await newPatient(scope);
      const held = await scheduling.hold(scope, {
        providerId: id,
        patientId,
        service: 'TELEHEALTH',
        startsAt: minutes(60),
      });
      const elsewhere = await booked(scope);
      const cancelled = await booked(scope, { providerId: id, startsAt: minutes(30) });
      await scheduling.cancel(scope, cancelled.id, { reason: 'PATIENT' });

      const { timeOff, appointments } = await scheduling.addTimeOff(scope, id, { ...off, note: 'Course' });
      assert.deepEqual(
        appointments.map((visit) => visit.id),
        [inside.id, held.id, across.id],
      );
      assertSame([timeOff.startsAt, timeOff.endsAt, timeOff.note], [off.startsAt, off.endsAt, 'Course']);
      assertSame((await scheduling.timeOffByProvider(scope, [id], MARCH)).get(id), [timeOff]);
      for (const { id } of [before, inside, across, elsewhere]) {
        const [row] = await transact(scope, ({ db }) =>
          db.selectFrom('appointments').select('status').where('id', '=', id).execute(),
        );
        assert.equal(row?.status, 'SCHEDULED');
      }
      const [shown] = await auditSoFar(scope, 'appointment.list');
      assert.deepEqual(shown?.resource_ids, [inside.id, held.id, across.id]);
      assert.deepEqual((await eventsSoFar(scope)).at(-1), {
        topic: 'provider.time_off_added',
        payload: { providerId: id, timeOffId: timeOff.id },
      });
    }),
  );

  test(
    'takes its time from what is offered until it is removed; a repeat adds no second one',
    withProvider(async (scope, id) => {
      const offered = async () => {
        const range = { from: off.startsAt, to: off.endsAt };
        return (await scheduling.availableSlots(scope, { service: 'TELEHEALTH', ...range, everyMinutes: 30 })).length;
      };
      assert.equal(await offered(), 7);
      const added = { ...off, idempotencyKey: 'k' };
      const first = await scheduling.addTimeOff(scope, id, added);
      assertSame(await scheduling.addTimeOff(scope, id, added), first);
      assert.equal((await scheduling.timeOffByProvider(scope, [id], MARCH)).get(id)?.length, 1);
      assert.equal(await offered(), 0);
      await scheduling.removeTimeOff(scope, first.timeOff.id);
      assert.equal(await offered(), 7);
      await assert.rejects(scheduling.removeTimeOff(scope, first.timeOff.id), NotFound);
      await assert.rejects(scheduling.removeTimeOff(scope, 'no id'), NotFound);
      assert.equal((await eventsSoFar(scope)).at(-1)?.topic, 'provider.time_off_removed');
      assert.deepEqual(
        (await auditSoFar(scope, 'timeOff.remove')).map(({ resource_id }) => resource_id),
        [first.timeOff.id],
      );
    }),
  );

  test(
    'keeps its note from patients',
    withProvider(async (scope, id) => {
      await scheduling.addTimeOff(scope, id, { ...off, note: 'Surgery' });
      const patient = as(scope, actor('patient', { patientId: randomUUID() }));
      assert.equal((await scheduling.timeOffByProvider(patient, [id], MARCH)).get(id)?.[0]?.note, null);
    }),
  );

  test(
    'refuses what makes no sense',
    withProvider(async (scope, id) => {
      const add = (more: Partial<scheduling.NewTimeOff>) =>
        issuesOf(scheduling.addTimeOff(scope, id, { ...off, ...more }));
      assert.deepEqual(await add({ endsAt: off.startsAt }), ['endsAt']);
      assert.deepEqual(await add({ endsAt: off.startsAt.add({ hours: 24 * 1_096 }) }), ['endsAt']);
      const never = Temporal.Instant.fromEpochMilliseconds(8.64e15);
      assert.deepEqual(await add({ startsAt: never, endsAt: never }), ['endsAt', 'startsAt']);
      assert.deepEqual(await add({ note: 'x'.repeat(201) }), ['note']);
      const backwards = { from: MARCH.to, to: MARCH.from };
      assert.deepEqual(await issuesOf(scheduling.timeOffByProvider(scope, [id], backwards)), ['to']);
    }),
  );
});

describe('care services', () => {
  test(
    'have rules from the beginning, which an admin changes one by one',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const before = await scheduling.careServices(scope);
      assert.deepEqual(
        before.map(({ service, minutes }) => [service, minutes]),
        [
          ['HOME_VISIT', 60],
          ['MEAL_DELIVERY', 30],
          ['TELEHEALTH', 30],
          ['TRANSPORTATION', 45],
          ['WELLNESS_CHECK', 30],
        ],
      );
      const changes = { minutes: 20, dailyLimit: null, bufferAfterMinutes: 0, version: 1, idempotencyKey: 'k' };
      const changed = await scheduling.updateCareService(admin, 'TELEHEALTH', changes);
      assertSame(changed, { ...before[2], minutes: 20, dailyLimit: null, version: 2, updatedAt: scope.now });
      assertSame(await scheduling.updateCareService(admin, 'TELEHEALTH', changes), changed);
      assert.deepEqual(
        (await auditSoFar(scope, 'careService.update')).map(({ changed_fields }) => changed_fields),
        [['minutes', 'dailyLimit']],
      );
      assert.deepEqual((await eventsSoFar(scope)).at(-1), {
        topic: 'care_service.updated',
        payload: { service: 'TELEHEALTH' },
      });
      const stale = scheduling.updateCareService(admin, 'TELEHEALTH', { minutes: 25, version: 1 });
      await assert.rejects(stale, { code: 'STALE_VERSION', currentVersion: 2 });
    }),
  );

  test(
    'refuse rules that make no sense, with every issue',
    sandboxed(async (scope) => {
      const wrong = {
        minutes: 1_441,
        bufferBeforeMinutes: -1,
        bufferAfterMinutes: 0.5,
        minimumNoticeMinutes: 43_201,
        horizonDays: 0,
        dailyLimit: 0,
      };
      const update = scheduling.updateCareService(as(scope, 'admin'), 'TELEHEALTH', wrong);
      assert.deepEqual(await issuesOf(update), Object.keys(wrong).toSorted());
      const unknown = scheduling.updateCareService(as(scope, 'admin'), 'SURGERY' as 'TELEHEALTH', {});
      assert.deepEqual(await issuesOf(unknown), ['service']);
    }),
  );
});

describe('everything about when providers work', () => {
  const off = { startsAt: TOMORROW_AT_TEN, endsAt: TOMORROW_AT_TEN.add({ hours: 1 }) };
  const commands: Record<string, (scope: Scope, id: string) => Promise<unknown>> = {
    'provider.setHours': (scope, id) => scheduling.setWeeklyHours(scope, id, { hours: [] }),
    'provider.setTimeZone': (scope, id) => scheduling.setProviderTimeZone(scope, id, { timeZone: null }),
    'provider.setException': (scope, id) =>
      scheduling.setProviderException(scope, id, { date: '2026-03-06', hours: [] }),
    'provider.removeException': (scope, id) => scheduling.removeProviderException(scope, id, { date: '2026-03-06' }),
    'timeOff.add': (scope, id) => scheduling.addTimeOff(scope, id, off),
    'timeOff.remove': (scope, id) => scheduling.removeTimeOff(scope, id),
    'careService.update': (scope) => scheduling.updateCareService(scope, 'TELEHEALTH', { minutes: 10 }),
  };
  for (const [action, attempt] of Object.entries(commands)) {
    test(
      `is for admins to change: ${action}`,
      sandboxed(async (scope) => {
        const id = await newProvider(scope);
        const events = (await eventsSoFar(scope)).length;
        for (const role of ['agent', 'patient', 'auditor'] as const satisfies Role[]) {
          await assert.rejects(attempt(as(scope, role), id), Forbidden, role);
        }
        const denied = (await auditSoFar(scope, action)).map(({ outcome }) => outcome);
        assert.deepEqual(denied, ['DENIED', 'DENIED', 'DENIED']);
        assert.equal((await eventsSoFar(scope)).length, events);
        if (action === 'careService.update') return;
        for (const nobody of [randomUUID(), 'no id']) {
          await assert.rejects(attempt(as(scope, 'admin'), nobody), NotFound);
        }
      }),
    );
  }

  test(
    'is for staff and patients to read',
    withProvider(async (scope, id) => {
      const reads = [
        (scope: Scope) => scheduling.careServices(scope),
        (scope: Scope) => scheduling.exceptionsByProvider(scope, [id], WEEK),
        (scope: Scope) => scheduling.timeOffByProvider(scope, [id], MARCH),
      ];
      for (const read of reads) {
        for (const role of ['admin', 'agent', 'patient'] as const) await read(as(scope, role));
        await assert.rejects(read(as(scope, 'auditor')), Forbidden);
      }
    }),
  );
});

describe('the tables of availability', () => {
  const TABLES = ['care_services', 'provider_exceptions', 'provider_time_off'] as const;
  const COLUMN = { care_services: 'version', provider_exceptions: 'hours', provider_time_off: 'starts_at' } as const;
  const all = 'select insert update delete';
  /** What the database lets each role do when the code’s checks are gone: a row more or less than none, or refused. */
  const MATRIX: Record<(typeof TABLES)[number], Record<Role, string>> = {
    care_services: { admin: 'select update', system: 'select update', agent: 'select', patient: 'select', auditor: '' },
    provider_exceptions: { admin: all, system: all, agent: 'select', patient: 'select', auditor: '' },
    provider_time_off: { admin: all, system: all, agent: 'select', patient: 'select', auditor: '' },
  };
  const INSERT = {
    care_services: `insert into care_services (service, minutes, buffer_before_minutes, buffer_after_minutes,
      minimum_notice_minutes, horizon_days) select service, 1, 0, 0, 0, 1 from care_services limit 1 on conflict do nothing`,
    provider_exceptions: `insert into provider_exceptions (provider_id, on_date, hours, updated_at)
      select id, '2026-04-01', '[]', now() from providers`,
    provider_time_off: `insert into provider_time_off (id, provider_id, starts_at, ends_at, created_at)
      select gen_random_uuid(), id, now(), now() + interval '1 hour', now() from providers`,
  };
  const attempts = (table: (typeof TABLES)[number]): Record<string, string> => ({
    select: `select ${COLUMN[table]} from ${table}`,
    insert: INSERT[table],
    update: `update ${table} set ${COLUMN[table]} = ${COLUMN[table]}`,
    delete: `delete from ${table}`,
  });

  for (const table of TABLES) {
    for (const [role, allowed] of Object.entries(MATRIX[table])) {
      test(
        `let ${role} ${allowed === '' ? 'do nothing with' : allowed.replaceAll(' ', ', ')} ${table}`,
        withProvider(async (admin, id) => {
          await scheduling.setProviderException(admin, id, { date: '2026-03-06', hours: [] });
          await scheduling.addTimeOff(admin, id, {
            startsAt: TOMORROW_AT_TEN,
            endsAt: TOMORROW_AT_TEN.add({ hours: 1 }),
          });
          const scope = as(admin, actor(role as Role, { patientId: randomUUID() }));
          for (const [verb, statement] of Object.entries(attempts(table))) {
            const touched = await transact(scope, async ({ db }) => {
              const { rows, numAffectedRows } = await sql.raw(statement).execute(db);
              return rows.length + Number(numAffectedRows ?? 0n);
            }).catch((thrown: unknown) => {
              assert.equal(sqlState(thrown), '42501', `${verb}: ${String(thrown)}`);
              return 0;
            });
            assert.equal(touched > 0, allowed.split(' ').includes(verb), `${verb} by ${role}`);
          }
        }),
      );
    }
  }

  test(
    'keep their notes from patients in the database too',
    withProvider(async (admin) => {
      const patient = as(admin, actor('patient', { patientId: randomUUID() }));
      for (const table of ['provider_exceptions', 'provider_time_off']) {
        const read = transact(patient, ({ db }) => sql.raw(`select note from ${table}`).execute(db));
        await assert.rejects(read, (thrown) => sqlState(thrown) === '42501');
      }
    }),
  );
});
