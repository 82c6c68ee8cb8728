import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import * as notifications from '#notifications';
import { asSystem, type Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, newPatient, newProvider, undone } from './support/appointments.ts';
import { becomes, ledgerLines, ledgerOf, reacting } from './support/notifications.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';
import { statementsOf } from './support/statements.ts';

/** Three days after the tests' present, at two in the afternoon in New York. */
const THURSDAY = Temporal.Instant.from('2026-03-05T19:00:00Z');
const reachable = () => ({ phone: '+12125550101', email: `${randomUUID()}@example.com` });

/** A visit on Thursday of somebody who can be reached. */
async function visitOf(scope: Scope, more: Partial<scheduling.Booking> = {}): Promise<scheduling.Appointment> {
  const patientId = more.patientId ?? (await newPatient(scope, reachable()));
  return booked(scope, { startsAt: THURSDAY, ...more, patientId });
}

const follows = (work: (scope: Scope) => Promise<void>) => sandboxed((scope) => work(reacting(scope)));

const BOOKED = ['1 CONFIRMATION PLANNED', '1 REMINDER_24H PLANNED', '1 REMINDER_2H PLANNED'];
const OVER = (reason: string) => BOOKED.map((line) => line.replace('PLANNED', `SUPERSEDED ${reason}`));

describe('the ledger', () => {
  test(
    'has the confirmation and both reminders of a visit from the booking on',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      assert.deepEqual(await ledgerLines(scope, visit.id), BOOKED);
      const rows = await ledgerOf(scope, visit.id);
      assert.deepEqual(
        rows.map(({ due_at }) => due_at.toISOString()),
        ['2026-03-02T15:00:00.000Z', '2026-03-04T19:00:00.000Z', '2026-03-05T17:00:00.000Z'],
      );
      assert.deepEqual(new Set(rows.map(({ channel }) => channel)), new Set(['SMS']));
    }),
  );

  test(
    'has nothing of a hold, whatever becomes of it, until it is confirmed',
    follows(async (scope) => {
      const patientId = await newPatient(scope, reachable());
      const request = await aBooking(scope, { patientId, startsAt: THURSDAY });
      const { id: holdId } = await scheduling.hold(scope, request);
      assert.deepEqual(await ledgerLines(scope, holdId), []);
      const visit = await scheduling.schedule(scope, { ...request, holdId });
      assert.deepEqual(await ledgerLines(scope, visit.id), BOOKED);

      const other = await aBooking(scope, { patientId, startsAt: THURSDAY.add({ hours: 2 }) });
      const givenUp = await scheduling.hold(scope, other);
      await scheduling.cancel(scope, givenUp.id, { reason: 'PATIENT' });
      const lapsed = await scheduling.hold(scope, other);
      await scheduling.expireHolds({ ...asSystem(scope), now: scope.now.add({ hours: 1 }) });
      assert.deepEqual([...(await ledgerLines(scope, givenUp.id)), ...(await ledgerLines(scope, lapsed.id))], []);
    }),
  );

  test(
    'supersedes what is unsent of a visit that moves, keeps what was sent, and plans for the new time',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      await becomes(scope, visit.id, { kind: 'CONFIRMATION', status: 'DELIVERED' });
      await scheduling.reschedule(scope, visit.id, { startsAt: THURSDAY.add({ hours: 24 }) });
      assert.deepEqual(await ledgerLines(scope, visit.id), [
        '1 CONFIRMATION DELIVERED',
        '1 REMINDER_24H SUPERSEDED RESCHEDULED',
        '1 REMINDER_2H SUPERSEDED RESCHEDULED',
        '2 REMINDER_24H PLANNED',
        '2 REMINDER_2H PLANNED',
        '2 CHANGED PLANNED',
      ]);
      await scheduling.reschedule(scope, visit.id, { startsAt: scope.now.add({ hours: 2 }) });
      assert.deepEqual((await ledgerLines(scope, visit.id)).slice(3), [
        '2 REMINDER_24H SUPERSEDED RESCHEDULED',
        '2 REMINDER_2H SUPERSEDED RESCHEDULED',
        '2 CHANGED SUPERSEDED RESCHEDULED',
        '3 REMINDER_24H SKIPPED BOOKED_TOO_LATE',
        '3 REMINDER_2H SKIPPED BOOKED_TOO_LATE',
        '3 CHANGED PLANNED',
      ]);
    }),
  );

  test(
    'tells of a visit that is called off whoever was told of it, and nobody else',
    follows(async (scope) => {
      const untold = await visitOf(scope);
      await scheduling.cancel(scope, untold.id, { reason: 'PATIENT' });
      assert.deepEqual(await ledgerLines(scope, untold.id), [
        ...OVER('CANCELLED'),
        '1 CANCELLED SKIPPED NOTHING_SENT_BEFORE',
      ]);
      for (const status of ['SENT', 'DELIVERED', 'UNKNOWN'] as const) {
        const told = await visitOf(scope, { patientId: untold.patientId });
        await becomes(scope, told.id, { kind: 'CONFIRMATION', status });
        await scheduling.cancel(scope, told.id, { reason: 'PROVIDER' });
        assert.equal((await ledgerLines(scope, told.id)).at(-1), '1 CANCELLED PLANNED');
      }
    }),
  );

  test(
    'leaves the late reminder to whoever confirms',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      await becomes(scope, visit.id, { kind: 'CONFIRMATION', status: 'SENT' });
      await scheduling.confirm(scope, visit.id);
      const lines = ['1 CONFIRMATION SENT', '1 REMINDER_24H SUPERSEDED CONFIRMED', '1 REMINDER_2H PLANNED'];
      assert.deepEqual(await ledgerLines(scope, visit.id), lines);
      // Of an early visit the late one was left to the day before: now it is the only one.
      const early = await visitOf(scope, { patientId: visit.patientId, startsAt: THURSDAY.subtract({ hours: 5 }) });
      assert.equal((await ledgerLines(scope, early.id))[2], '1 REMINDER_2H SKIPPED MERGED_WITH_24H');
      await scheduling.confirm(scope, early.id);
      assert.deepEqual((await ledgerLines(scope, early.id)).slice(1), lines.slice(1));
    }),
  );

  for (const move of [scheduling.checkIn, scheduling.start]) {
    test(
      `has nothing to send any more once somebody is there: ${move.name}`,
      follows(async (scope) => {
        const visit = await visitOf(scope);
        await move(scope, visit.id);
        assert.deepEqual(await ledgerLines(scope, visit.id), OVER('STARTED'));
      }),
    );
  }

  test(
    'follows a missed visit, and its correction',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      const later = { ...scope, now: THURSDAY.add({ minutes: 20 }) };
      await scheduling.markNoShow(later, visit.id);
      assert.deepEqual(await ledgerLines(scope, visit.id), [...OVER('STARTED'), '1 MISSED PLANNED']);
      await scheduling.changeStatus(later, visit.id, { status: 'COMPLETED', reason: 'wrong visit' });
      assert.deepEqual((await ledgerLines(scope, visit.id)).at(-1), '1 MISSED SUPERSEDED STARTED');
    }),
  );

  test(
    'plans anew for a visit that was called off by mistake; what was sent stays sent',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      await becomes(scope, visit.id, { kind: 'CONFIRMATION', status: 'SENT' });
      await scheduling.cancel(scope, visit.id, { reason: 'ERROR' });
      const agent = as(scope, 'agent');
      await scheduling.changeStatus(agent, visit.id, { status: 'SCHEDULED', reason: 'wrong visit' });
      assert.deepEqual(await ledgerLines(scope, visit.id), [
        '1 CONFIRMATION SENT',
        '1 REMINDER_24H SUPERSEDED CANCELLED',
        '1 REMINDER_2H SUPERSEDED CANCELLED',
        '1 CANCELLED SUPERSEDED RESCHEDULED',
        ...BOOKED.map((line) => line.replace('1', '2')),
      ]);
    }),
  );

  test(
    'has every visit of a series, and is told of all of them at once',
    follows(async (scope) => {
      const [patientId, providerId] = [await newPatient(scope, reachable()), await newProvider(scope)];
      const localStart = Temporal.PlainDateTime.from('2026-03-05T14:00');
      const series = { patientId, providerId, service: 'TELEHEALTH', localStart, count: 8 } as const;
      const { result: visits, statements } = await statementsOf(scope, (scope) =>
        scheduling.scheduleSeries(scope, series),
      );
      assert.equal(visits.length, 8);
      for (const { id } of visits) assert.deepEqual(await ledgerLines(scope, id), BOOKED);
      assert.deepEqual(ofLedger(statements), ['reminder_facts', 'plan_notifications']);

      const first = visits[0]?.id ?? '';
      const moved = await statementsOf(scope, (scope) =>
        scheduling.rescheduleSeries(scope, first, { part: 'ALL', localStart: localStart.add({ hours: 1 }) }),
      );
      assert.deepEqual(ofLedger(moved.statements), ['reminder_facts', 'plan_notifications']);
      for (const { id } of visits) {
        const lines = await ledgerLines(scope, id);
        assert.deepEqual(lines.slice(0, 3), OVER('RESCHEDULED'));
        assert.deepEqual(lines.slice(3), ['2 REMINDER_24H PLANNED', '2 REMINDER_2H PLANNED', '2 CHANGED PLANNED']);
      }

      const cancelled = await statementsOf(scope, (scope) =>
        scheduling.cancelSeries(scope, visits[3]?.id ?? '', { part: 'FOLLOWING', reason: 'PATIENT' }),
      );
      assert.deepEqual(ofLedger(cancelled.statements), ['reminder_facts', 'plan_notifications']);
      assert.equal((await ledgerLines(scope, visits[2]?.id ?? '')).at(-1), '2 CHANGED PLANNED');
      assert.ok((await ledgerLines(scope, visits[7]?.id ?? '')).includes('2 CHANGED SUPERSEDED CANCELLED'));
    }),
  );

  test(
    'costs a booking one read and one write',
    committed(async (scope) => {
      const booking = await aBooking(scope, { patientId: await newPatient(scope), startsAt: THURSDAY });
      const { statements } = await statementsOf(reacting(scope), (scope) => scheduling.schedule(scope, booking));
      assert.deepEqual(ofLedger(statements), ['reminder_facts', 'plan_notifications']);
    }),
  );

  test(
    'leaves no trace of a booking, a move or a cancellation that is undone',
    committed(async (plainScope) => {
      const scope = reacting(plainScope);
      const visit = await visitOf(scope);
      const before = await ledgerLines(scope, visit.id);
      for (const change of [
        (scope: Scope) => visitOf(scope, { patientId: visit.patientId, startsAt: THURSDAY.add({ hours: 2 }) }),
        (scope: Scope) => scheduling.reschedule(scope, visit.id, { startsAt: THURSDAY.add({ hours: 1 }) }),
        (scope: Scope) => scheduling.cancel(scope, visit.id, { reason: 'PATIENT' }),
      ])
        await undone(scope, change);
      assert.deepEqual(await ledgerLines(scope, visit.id), before);
      const [count] = await asSuperuser<{ n: number }>(
        'select count(*)::int as n from notifications where patient_id = $1',
        [visit.patientId],
      );
      assert.equal(count?.n, 3);
    }),
  );

  test(
    'follows a patient who books, moves and calls off their own visit',
    follows(async (scope) => {
      const patientId = await newPatient(scope, reachable());
      const own = as(scope, actor('patient', { patientId }));
      const visit = await visitOf(own, { patientId, providerId: await newProvider(scope) });
      assert.deepEqual(await ledgerLines(scope, visit.id), BOOKED);
      await scheduling.reschedule(own, visit.id, { startsAt: THURSDAY.add({ hours: 1 }) });
      await scheduling.cancel(own, visit.id, { reason: 'PATIENT' });
      const lines = await ledgerLines(scope, visit.id);
      assert.deepEqual(lines.slice(0, 3), OVER('RESCHEDULED'));
      assert.deepEqual(lines.at(-1), '2 CANCELLED SKIPPED NOTHING_SENT_BEFORE');
    }),
  );
});

describe('the messages of a patient who changes', () => {
  const dues = async (scope: Scope, id: string) =>
    (await ledgerOf(scope, id)).map(
      ({ kind, channel, status, due_at }) => `${kind} ${channel} ${status} ${due_at.toISOString().slice(5, 16)}`,
    );

  test(
    'wait for the end of the new quiet hours, by the new clock, by the new channel; what was sent stays',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      await becomes(scope, visit.id, { kind: 'CONFIRMATION', status: 'SENT' });
      await care.updatePatient(scope, visit.patientId, { preferences: { channels: ['EMAIL', 'SMS'] } });
      assert.deepEqual(await dues(scope, visit.id), [
        'CONFIRMATION SMS SENT 03-02T15:00',
        'REMINDER_24H SMS SUPERSEDED 03-04T19:00',
        'REMINDER_24H EMAIL PLANNED 03-04T19:00',
        'REMINDER_2H SMS SUPERSEDED 03-05T17:00',
        'REMINDER_2H EMAIL PLANNED 03-05T17:00',
      ]);
      const quietHours = { from: '13:00', to: '15:00' };
      await care.updatePatient(scope, visit.patientId, { preferences: { channels: ['SMS'], quietHours } });
      assert.deepEqual((await dues(scope, visit.id)).slice(1), [
        'REMINDER_24H SMS PLANNED 03-04T20:00',
        'REMINDER_24H EMAIL SUPERSEDED 03-04T19:00',
        'REMINDER_2H SMS PLANNED 03-05T17:00',
        'REMINDER_2H EMAIL SUPERSEDED 03-05T17:00',
      ]);
      await care.updatePatient(scope, visit.patientId, { timeZone: 'America/Los_Angeles' });
      assert.deepEqual((await dues(scope, visit.id)).slice(1, 2), ['REMINDER_24H SMS PLANNED 03-04T19:00']);
    }),
  );

  test(
    'change nothing when nothing that they follow from has changed',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      const { statements } = await statementsOf(scope, (scope) =>
        care.updatePatient(scope, visit.patientId, { lastName: 'Byron' }),
      );
      assert.deepEqual(ofLedger(statements), ['reminder_facts']);
      assert.deepEqual(await ledgerLines(scope, visit.id), BOOKED);
    }),
  );

  test(
    'say that there is no way to the patient, until there is one',
    follows(async (scope) => {
      const visit = await visitOf(scope, { patientId: await newPatient(scope) });
      const none = BOOKED.map((line) => line.replace('PLANNED', 'SKIPPED NO_CHANNEL'));
      assert.deepEqual(await ledgerLines(scope, visit.id), none);
      const later = { ...scope, now: scope.now.add({ hours: 1 }) };
      await care.updatePatient(later, visit.patientId, { phone: reachable().phone });
      // Too late to confirm what was booked an hour ago.
      assert.deepEqual(await ledgerLines(scope, visit.id), [none[0], BOOKED[1], BOOKED[2]]);
    }),
  );

  test(
    'go where the patient agreed to, before where they did not',
    follows(async (scope) => {
      const visit = await visitOf(scope);
      const evidence = 'said so on the phone';
      await notifications.recordConsent(scope, visit.patientId, { contactKind: 'EMAIL', evidence });
      const channels = async () =>
        (await ledgerOf(scope, visit.id)).filter(({ status }) => status === 'PLANNED').map(({ channel }) => channel);
      // The confirmation is on its way already.
      assert.deepEqual(await channels(), ['SMS', 'EMAIL', 'EMAIL']);
      await notifications.recordConsent(scope, visit.patientId, { contactKind: 'PHONE', evidence });
      assert.deepEqual(await channels(), ['SMS', 'SMS', 'SMS']);
      await notifications.optOut(scope, visit.patientId, { contactKind: 'PHONE' });
      const next = await visitOf(scope, { patientId: visit.patientId, startsAt: THURSDAY.add({ hours: 2 }) });
      assert.deepEqual(new Set((await ledgerOf(scope, next.id)).map(({ channel }) => channel)), new Set(['EMAIL']));
    }),
  );

  test(
    'go another way once the number has opted out, whoever says so, and for all who share it; and back',
    follows(async (scope) => {
      const phone = '+12125550177';
      const evidence = 'said so on the phone';
      const visits: scheduling.Appointment[] = [];
      for (const lastName of ['Byron', 'King']) {
        const patientId = await newPatient(scope, { ...reachable(), phone, lastName });
        for (const contactKind of ['PHONE', 'EMAIL'] as const)
          await notifications.recordConsent(scope, patientId, { contactKind, evidence });
        visits.push(await visitOf(scope, { patientId }));
      }
      const ways = async () => {
        const rows: Awaited<ReturnType<typeof ledgerOf>> = [];
        for (const { id } of visits) rows.push(...(await ledgerOf(scope, id)));
        return rows.filter(({ status, kind }) => status === 'PLANNED' && kind !== 'CONFIRMATION').map((r) => r.channel);
      };
      assert.deepEqual(new Set(await ways()), new Set(['SMS']));
      await notifications.holderOptsOut(asSystem(scope), { contact: phone, source: 'INBOUND_MESSAGE' });
      assert.deepEqual(await ways(), ['EMAIL', 'EMAIL', 'EMAIL', 'EMAIL']);
      await notifications.holderOptsIn(asSystem(scope), { contact: phone, source: 'INBOUND_MESSAGE' });
      assert.deepEqual(await ways(), ['SMS', 'SMS', 'SMS', 'SMS']);
      const patient = as(scope, actor('patient', { patientId: visits[0]?.patientId ?? '' }));
      await notifications.optOut(patient, visits[0]?.patientId ?? '', { contactKind: 'PHONE' });
      assert.deepEqual(await ways(), ['EMAIL', 'EMAIL', 'EMAIL', 'EMAIL']);
    }),
  );

  const ENDS: Record<string, (scope: Scope, id: string) => Promise<unknown>> = {
    deleted: (scope, id) => care.deletePatient(scope, id),
    deceased: (scope, id) => care.updatePatient(scope, id, { status: 'DECEASED' }),
    erased: (scope, id) => care.erasePatient(as(scope, 'admin'), id),
  };
  for (const [how, end] of Object.entries(ENDS)) {
    test(
      `are over once the patient is ${how}`,
      follows(async (scope) => {
        const visit = await visitOf(scope);
        await becomes(scope, visit.id, { kind: 'CONFIRMATION', status: 'SENT' });
        await end(scope, visit.patientId);
        const lines = await ledgerLines(scope, visit.id);
        assert.equal(lines.at(-1), '1 CANCELLED SKIPPED PATIENT_INACTIVE');
        assert.ok(!lines.some((line) => line.includes('PLANNED')), lines.join());
      }),
    );

    test(
      `of a visit that was missed are over too once the patient is ${how}`,
      follows(async (scope) => {
        const visit = await visitOf(scope);
        const later = { ...scope, now: THURSDAY.add({ minutes: 20 }) };
        await scheduling.markNoShow(later, visit.id);
        await end(later, visit.patientId);
        assert.equal((await ledgerLines(scope, visit.id)).at(-1), '1 MISSED SUPERSEDED PATIENT_INACTIVE');
      }),
    );
  }
});

const ofLedger = (statements: readonly string[]) =>
  statements.flatMap((text) => /reminder_facts|plan_notifications/.exec(text)?.[0] ?? []);
