import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import pg from 'pg';
import { asSystem, type Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, newPatient, newProvider } from './support/appointments.ts';
import { becomes, ledgerLines, ledgerOf, reacting } from './support/notifications.ts';
import { as, committed, sandboxed } from './support/testing.ts';

/** Three days after the tests' present, at two in the afternoon in New York. */
const THURSDAY = Temporal.Instant.from('2026-03-05T19:00:00Z');
const REACHABLE = { phone: '+12125550101', email: 'ada@example.com' };

/** A visit on Thursday of somebody who can be reached. */
async function visitOf(scope: Scope, more: Partial<scheduling.Booking> = {}): Promise<scheduling.Appointment> {
  const patientId = more.patientId ?? (await newPatient(scope, REACHABLE));
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
      const patientId = await newPatient(scope, REACHABLE);
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
      const [patientId, providerId] = [await newPatient(scope, REACHABLE), await newProvider(scope)];
      const localStart = Temporal.PlainDateTime.from('2026-03-05T14:00');
      const series = { patientId, providerId, service: 'TELEHEALTH', localStart, count: 8 } as const;
      const { result: visits, statements } = await counted(scope, (scope) => scheduling.scheduleSeries(scope, series));
      assert.equal(visits.length, 8);
      for (const { id } of visits) assert.deepEqual(await ledgerLines(scope, id), BOOKED);
      assert.deepEqual(ofLedger(statements), ['reminder_facts', 'plan_notifications']);
      await scheduling.cancelSeries(scope, visits[3]?.id ?? '', { part: 'FOLLOWING', reason: 'PATIENT' });
      assert.deepEqual(await ledgerLines(scope, visits[2]?.id ?? ''), BOOKED);
      assert.deepEqual((await ledgerLines(scope, visits[7]?.id ?? '')).slice(0, 3), OVER('CANCELLED'));
    }),
  );

  test(
    'costs a booking one read and one write',
    committed(async (scope) => {
      const booking = await aBooking(scope, { patientId: await newPatient(scope), startsAt: THURSDAY });
      const { statements } = await counted(reacting(scope), (scope) => scheduling.schedule(scope, booking));
      assert.deepEqual(ofLedger(statements), ['reminder_facts', 'plan_notifications']);
    }),
  );
});

/** The statements that the work sends. */
async function counted<T>(scope: Scope, work: (scope: Scope) => Promise<T>) {
  const statements: string[] = [];
  const sent = Reflect.get(pg.Client.prototype, 'query') as (...args: never[]) => unknown;
  const spy = mock.method(pg.Client.prototype, 'query', function (this: pg.Client, ...args: never[]) {
    const [query] = args as unknown as [string | { text: string }];
    statements.push(typeof query === 'string' ? query : query.text);
    return Reflect.apply(sent, this, args) as never;
  });
  try {
    return { result: await work(scope), statements };
  } finally {
    spy.mock.restore();
  }
}

const ofLedger = (statements: readonly string[]) =>
  statements.flatMap((text) => /reminder_facts|plan_notifications/.exec(text)?.[0] ?? []);
