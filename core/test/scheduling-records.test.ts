/** What stays of appointments, who may touch it, and what follows from what befalls a patient. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as care from '#care';
import { sqlState } from '#platform/database';
import { asSystem, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { react } from '../src/reactions.ts';
import { aBooking, booked, newPatient, newProvider, recordsOf, TOMORROW_AT_TEN } from './support/appointments.ts';
import { testRights } from './support/rights.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const reacting = (scope: Scope): Scope => ({ ...scope, react: react as NonNullable<Scope['react']> });
const statusOf = async (scope: Scope, id: string) => {
  const { status, cancellationReason } = await scheduling.getAppointment(scope, id);
  return [status, cancellationReason];
};

describe('a hold', () => {
  test(
    'lapses by itself, once, on record as the system’s doing',
    sandboxed(async (scope) => {
      const { id, expiresAt } = await scheduling.hold(scope, { ...(await aBooking(scope)), expiresInMinutes: 5 });
      const kept = await scheduling.hold(scope, { ...(await aBooking(scope)), expiresInMinutes: 6 });
      assert.equal(await scheduling.expireHolds(asSystem(scope)), 0);
      const later = asSystem({ ...scope, now: expiresAt as Temporal.Instant });
      assert.deepEqual([await scheduling.expireHolds(later), await scheduling.expireHolds(later)], [1, 0]);
      assert.deepEqual(await statusOf(scope, id), ['CANCELLED', 'EXPIRED']);
      assert.equal((await scheduling.getAppointment(scope, kept.id)).status, 'HELD');
      const { history, audit, events } = await recordsOf(scope, id);
      assert.equal(history[1]?.actor_id, later.actor.id);
      assert.deepEqual([audit[1]?.action, events[1]?.topic], ['appointment.expire', 'appointment.cancelled']);
      await assert.rejects(scheduling.expireHolds(scope), { code: 'FORBIDDEN' });
    }),
  );

  test(
    'in the way of a booking lapses with it, whoever held it, and stays when the booking fails',
    sandboxed(async (scope) => {
      const request = await aBooking(scope);
      const { id } = await scheduling.hold(as(scope, actor('patient', { patientId: request.patientId })), request);
      const later = { ...scope, now: scope.now.add({ minutes: 4 }) };
      const other = await aBooking(scope, { providerId: request.providerId });
      const tooLate = scheduling.schedule(later, { ...other, minutes: 600 });
      await assert.rejects(tooLate, scheduling.AppointmentConflict);
      assert.equal((await scheduling.getAppointment(scope, id)).status, 'HELD');
      const stranger = as(later, actor('patient', { patientId: other.patientId }));
      assert.equal((await scheduling.schedule(stranger, other)).status, 'SCHEDULED');
      assert.deepEqual(await statusOf(scope, id), ['CANCELLED', 'EXPIRED']);
    }),
  );

  test(
    'of one patient is turned into a visit by who made it, or by staff',
    sandboxed(async (scope) => {
      const request = await aBooking(scope);
      const own = as(scope, actor('patient', { patientId: request.patientId }));
      const { id: holdId } = await scheduling.hold(scope, request);
      await assert.rejects(scheduling.schedule(own, { ...request, holdId }), { code: 'NOT_FOUND' });
      const wrong = scheduling.schedule(scope, { ...request, holdId, minutes: 20 });
      await assert.rejects(wrong, { code: 'INVALID_INPUT' });
      assert.equal((await scheduling.schedule(as(scope, 'admin'), { ...request, holdId })).status, 'SCHEDULED');
    }),
  );
});

describe('a patient who is deleted, dies or is erased', () => {
  const ENDS: Record<string, (scope: Scope, id: string) => Promise<unknown>> = {
    deleted: (scope, id) => care.deletePatient(scope, id),
    deceased: (scope, id) => care.updatePatient(scope, id, { status: 'DECEASED' }),
    erased: (scope, id) => care.erasePatient(as(scope, 'admin'), id),
  };
  for (const [how, end] of Object.entries(ENDS)) {
    test(
      `has no visits ahead once ${how}, and keeps what has been`,
      sandboxed(async (sandbox) => {
        const scope = reacting(sandbox);
        const past = await booked(scope);
        const after = { ...scope, now: TOMORROW_AT_TEN.add({ hours: 2 }) };
        const { patientId } = past;
        const ahead = await booked(after, { patientId, startsAt: TOMORROW_AT_TEN.add({ hours: 24 }) });
        const held = await scheduling.hold(
          after,
          await aBooking(after, { patientId, startsAt: TOMORROW_AT_TEN.add({ hours: 25 }) }),
        );
        await end(after, patientId);
        const reason = how === 'deceased' ? 'PATIENT' : 'ORGANISATION';
        assert.deepEqual(await statusOf(after, ahead.id), ['CANCELLED', reason]);
        assert.deepEqual(await statusOf(after, held.id), ['CANCELLED', reason]);
        assert.deepEqual(await statusOf(after, past.id), ['SCHEDULED', null]);
        assert.equal((await recordsOf(after, ahead.id)).events.at(-1)?.topic, 'appointment.cancelled');
      }),
    );
  }

  test(
    'erased, takes the notes and reasons along; the visit still tells when it was',
    sandboxed(async (scope) => {
      const visit = await booked(scope, { notes: 'Gate code 4711' });
      await scheduling.cancel(scope, visit.id, { reason: 'PATIENT', note: 'in hospital' });
      await care.erasePatient(as(scope, 'admin'), visit.patientId);
      const left = await scheduling.getAppointment(scope, visit.id);
      assert.deepEqual([left.notes, String(left.startsAt)], [null, String(visit.startsAt)]);
      const history = (await scheduling.historiesOf(scope, [visit.id])).get(visit.id);
      assert.deepEqual(
        history?.map(({ reason }) => reason),
        [null, null],
      );
      const nobody = (await care.patientsOnRecord(scope, [visit.patientId])).get(visit.patientId);
      assert.deepEqual([nobody?.firstName, nobody?.lastName, nobody?.phone], ['', '', null]);
    }),
  );
});

describe('notes and reasons', () => {
  test(
    'are sealed for their place in the row',
    sandboxed(async (scope) => {
      const [a, b] = [await booked(scope, { notes: 'Gate code 4711' }), await booked(scope, { notes: 'Other' })];
      await scheduling.reschedule(scope, a.id, { minutes: 20, reason: 'Gate code 4711 changed' });
      await transact(asSystem(scope), async ({ db }) => {
        const { rows } = await sql<{ text: string }>`
          select row_to_json(a)::text || row_to_json(c)::text as text from appointments a
          join appointment_changes c on c.appointment_id = a.id where a.id = ${a.id}`.execute(db);
        for (const { text } of rows) {
          assert.ok(!text.includes('4711') && !text.includes(Buffer.from('4711').toString('hex')));
        }
        await sql`update appointments set notes = (select notes from appointments where id = ${b.id})
          where id = ${a.id}`.execute(db);
      });
      await assert.rejects(scheduling.getAppointment(scope, a.id), { message: /does not open/ });
    }),
  );

  test(
    'can be read by whoever writes the id otherwise than who wrote them',
    sandboxed(async (scope) => {
      const { id } = await booked(scope, { notes: 'a' });
      await scheduling.update(scope, id.toUpperCase(), { notes: 'b' });
      assert.equal((await scheduling.getAppointment(scope, id)).notes, 'b');
    }),
  );

  test(
    'change with their version, and nothing happens when nothing changes',
    sandboxed(async (scope) => {
      const { id } = await booked(scope, { notes: 'a' });
      assert.equal((await scheduling.update(scope, id, { notes: 'b', version: 1 })).version, 2);
      assert.equal((await scheduling.update(scope, id, { notes: ' b ' })).version, 2);
      const stale = await scheduling.update(scope, id, { notes: 'c', version: 1 }).catch((thrown: unknown) => thrown);
      assert.ok(stale instanceof scheduling.StaleVersion);
      assert.deepEqual([stale.current.version, stale.current.notes], [2, 'b']);
      const { audit, history, events } = await recordsOf(scope, id);
      assert.deepEqual([audit.length, history.length, events.length], [2, 2, 2]);
    }),
  );
});

describe('the tables of appointments', () => {
  const written = 'version';
  testRights({
    appointments: {
      staff: 'select insert update',
      system: 'select insert update',
      patient: 'select insert update',
      auditor: '',
      written,
    },
    appointment_changes: {
      staff: 'select insert',
      system: 'select insert',
      patient: 'select insert',
      auditor: '',
      written,
      seen: 'version',
    },
    appointment_series: {
      staff: 'select insert',
      system: 'select insert',
      patient: 'select insert',
      auditor: '',
      written: 'rule',
    },
  });

  test(
    'are under row-level security, one policy a role',
    committed(async () => {
      const tables = await asSuperuser<{ relrowsecurity: boolean }>(
        `select relrowsecurity from pg_class where relkind = 'r' and relname like 'appointment%'`,
      );
      assert.deepEqual(
        tables,
        Array.from({ length: 3 }, () => ({ relrowsecurity: true })),
      );
      const doubled = await asSuperuser(`select tablename, unnest(roles) from pg_policies
        where tablename like 'appointment%' group by 1, 2 having count(*) > 1`);
      assert.deepEqual(doubled, []);
    }),
  );

  test(
    'show a patient, with the filter of the code taken away, their own rows, and let nobody double-book by hand',
    sandboxed(async (scope) => {
      const [mine, foreign] = [await booked(scope), await booked(scope)];
      const own = as(scope, actor('patient', { patientId: mine.patientId }));
      const run = (text: string) => transact(own, async ({ db }) => sql.raw<{ id: string }>(text).execute(db));
      assert.deepEqual((await run('select id from appointments')).rows, [{ id: mine.id }]);
      assert.equal((await run('select from appointment_changes')).rows.length, 1);
      assert.equal((await run(`select from appointments where id = '${foreign.id}'`)).rows.length, 0);
      assert.equal((await run(`update appointments set version = 9`)).numAffectedRows, 1n);
      for (const set of [`patient_id = '${foreign.patientId}'`, `overrides = array['PROVIDER_BUSY']`]) {
        await assert.rejects(run(`update appointments set ${set}`), /row-level security/);
      }
      const over = `update appointments set provider_id = '${foreign.providerId}'`;
      await assert.rejects(run(over), (thrown) => sqlState(thrown) === '23P01');
    }),
  );
});

describe('lists', () => {
  test(
    'filter by patient, provider, status and range, in the order of time, page by page, each once',
    sandboxed(async (scope) => {
      const [patientId, providerId] = [await newPatient(scope), await newProvider(scope)];
      const made: string[] = [];
      for (let i = 4; i >= 0; i--) {
        const startsAt = TOMORROW_AT_TEN.add({ minutes: 30 * i });
        made.unshift((await booked(scope, { patientId, providerId, startsAt })).id);
      }
      const other = await booked(scope, { providerId, startsAt: TOMORROW_AT_TEN.add({ hours: 4 }) });
      await scheduling.cancel(scope, made[1] as string, { reason: 'PATIENT' });
      const idsOf = async (list: scheduling.AppointmentList) =>
        (await scheduling.appointments(scope, list)).items.map(({ node }) => node.id);
      assert.deepEqual(await idsOf({ providerId }), [...made, other.id]);
      assert.deepEqual(await idsOf({ providerId, patientId, status: ['CANCELLED'] }), [made[1]]);
      const [from, to] = [TOMORROW_AT_TEN.add({ minutes: 30 }), TOMORROW_AT_TEN.add({ minutes: 90 })];
      assert.deepEqual(await idsOf({ patientId, from, to }), [made[1], made[2]]);
      const seen: string[] = [];
      for (let after: string | null = null; ;) {
        const page: Awaited<ReturnType<typeof scheduling.appointments>> = await scheduling.appointments(scope, {
          providerId,
          first: 2,
          after,
        });
        seen.push(...page.items.map(({ node }) => node.id));
        after = page.items.at(-1)?.cursor ?? null;
        if (!page.hasNextPage) break;
      }
      assert.deepEqual(seen, [...made, other.id]);
      const upcoming = await scheduling.upcomingAppointments(scope, patientId, { first: 2 });
      assert.deepEqual(
        upcoming.map(({ id }) => id),
        [made[0], made[2]],
      );
      const pages = await scheduling.appointmentsOfPatients(scope, [patientId, other.patientId], { first: 1 });
      assert.deepEqual(
        [...pages].map(([patient, { items, hasNextPage }]) => [patient, items[0]?.node.id, hasNextPage]),
        [
          [patientId, made[0], true],
          [other.patientId, other.id, false],
        ],
      );
      const { rows } = await transact(asSystem(scope), ({ db }) =>
        sql<{ patient_ids: string[] }>`select patient_ids from audit_entries where action = 'appointment.list'
          order by id limit 1`.execute(db),
      );
      assert.deepEqual(rows[0]?.patient_ids.toSorted(), [patientId, other.patientId].toSorted());
    }),
  );
});
