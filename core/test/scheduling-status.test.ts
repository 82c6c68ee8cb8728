import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, recordsOf, TOMORROW_AT_TEN, undone } from './support/appointments.ts';
import { sandboxed } from './support/testing.ts';

type Status = scheduling.AppointmentStatus;

const START = TOMORROW_AT_TEN;
const END = START.add({ minutes: 30 });
const before = (a: Temporal.Instant, b: Temporal.Instant) => Temporal.Instant.compare(a, b) < 0;

/** The rules once more, written down from the documents: status by status, the moves and from when to when. */
const ANY = () => true;
const missed = (now: Temporal.Instant) => !before(now, START.add({ minutes: 15 }));
const begun = (now: Temporal.Instant) => !before(now, START);
const correctable = (now: Temporal.Instant) => !before(END.add({ hours: 720 }), now);
const RULES: Record<Status, Partial<Record<Status, (now: Temporal.Instant) => boolean>>> = {
  HELD: { SCHEDULED: ANY, CANCELLED: ANY },
  SCHEDULED: { CONFIRMED: ANY, CHECKED_IN: ANY, IN_PROGRESS: ANY, CANCELLED: ANY, NO_SHOW: missed },
  CONFIRMED: { CHECKED_IN: ANY, IN_PROGRESS: ANY, CANCELLED: ANY, NO_SHOW: missed },
  CHECKED_IN: { IN_PROGRESS: ANY, COMPLETED: begun, CANCELLED: ANY },
  IN_PROGRESS: { COMPLETED: begun, CANCELLED: ANY },
  COMPLETED: { NO_SHOW: (now) => correctable(now) && missed(now) },
  CANCELLED: { SCHEDULED: correctable },
  NO_SHOW: { COMPLETED: correctable, CANCELLED: correctable },
};
const TOPICS: Record<Status, string> = {
  HELD: 'held',
  SCHEDULED: 'scheduled',
  CONFIRMED: 'confirmed',
  CHECKED_IN: 'checked_in',
  IN_PROGRESS: 'started',
  COMPLETED: 'completed',
  CANCELLED: 'cancelled',
  NO_SHOW: 'missed',
};
const CORRECTIONS = new Set(['NO_SHOW COMPLETED', 'NO_SHOW CANCELLED', 'COMPLETED NO_SHOW', 'CANCELLED SCHEDULED']);

const step = fc.record({
  to: fc.constantFrom(...scheduling.APPOINTMENT_STATUSES),
  // Mostly small steps around the start, sometimes past the month in which corrections are possible.
  minutes: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 12 * 60 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 20 * 1440 }) },
  ),
});

describe('the status machine', () => {
  test('lets any sequence of moves make an allowed history only, and all records of it agree', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        await sandboxed((scope) => walk(scope, steps))();
      }),
      { numRuns: 60 },
    );
  });

  for (const from of scheduling.APPOINTMENT_STATUSES) {
    test(
      `refuses from ${from} everything but its moves, and tells them`,
      sandboxed(async (scope) => {
        const { id, now } = await arrivedAt(scope, from);
        const at = { ...scope, now };
        const allowed = Object.entries(RULES[from]).flatMap(([to, rule]) => (rule(now) ? [to as Status] : []));
        for (const to of scheduling.APPOINTMENT_STATUSES) {
          if (allowed.includes(to)) continue;
          const refused = await change(at, id, to).catch((thrown: unknown) => thrown);
          assert.ok(refused instanceof scheduling.IllegalTransition, `${from} → ${to}`);
          assert.deepEqual([refused.from, refused.to, refused.allowed.toSorted()], [from, to, allowed.toSorted()]);
        }
        for (const to of allowed) {
          await undone(at, async (scope) => assert.equal((await change(scope, id, to)).status, to));
        }
      }),
    );
  }
});

const change = (scope: Scope, id: string, status: Status) =>
  scheduling.changeStatus(scope, id, {
    status,
    reason: 'so it was',
    ...(status === 'CANCELLED' ? { cancellationReason: 'PATIENT' } : {}),
  });

/** The shortest way to each status, and a moment of the day of the visit at which everything is possible. */
const WAYS: Record<Status, readonly Status[]> = {
  HELD: [],
  SCHEDULED: [],
  CONFIRMED: ['CONFIRMED'],
  CHECKED_IN: ['CHECKED_IN'],
  IN_PROGRESS: ['IN_PROGRESS'],
  COMPLETED: ['IN_PROGRESS', 'COMPLETED'],
  CANCELLED: ['CANCELLED'],
  NO_SHOW: ['NO_SHOW'],
};

async function arrivedAt(scope: Scope, status: Status): Promise<{ id: string; now: Temporal.Instant }> {
  if (status === 'HELD') {
    return { id: (await scheduling.hold(scope, await aBooking(scope))).id, now: scope.now };
  }
  const { id } = await booked(scope);
  const now = START.add({ minutes: 20 });
  for (const to of WAYS[status]) await change({ ...scope, now }, id, to);
  return { id, now };
}

async function walk(scope: Scope, steps: readonly { to: Status; minutes: number }[]): Promise<void> {
  const { id } = await booked(scope);
  const walked: { from: Status | null; to: Status }[] = [{ from: null, to: 'SCHEDULED' }];
  let { now } = scope;
  for (const { to, minutes } of steps) {
    now = now.add({ minutes });
    const from = walked.at(-1)?.to as Status;
    const allowed = RULES[from][to]?.(now) ?? false;
    const changed = await change({ ...scope, now }, id, to).catch((thrown: unknown) => thrown);
    if (allowed) assert.equal((changed as scheduling.Appointment).status, to, `${from} → ${to} at ${now.toString()}`);
    else assert.ok(changed instanceof scheduling.IllegalTransition, `${from} → ${to} at ${now.toString()}`);
    if (allowed) walked.push({ from, to });
  }
  await agree(scope, id, walked);
}

/** Data, history, audit trail and events: one of each for every change, and they say the same. */
async function agree(scope: Scope, id: string, walked: readonly { from: Status | null; to: Status }[]): Promise<void> {
  const { history, audit, events } = await recordsOf(scope, id);
  const versions = walked.map((_, i) => i + 1);
  assert.deepEqual(
    history.map(({ from_status, to_status }) => ({ from: from_status, to: to_status })),
    walked,
  );
  assert.deepEqual(
    history.map(({ version }) => version),
    versions,
  );
  assert.deepEqual(
    events.map(({ payload }) => payload.version),
    versions,
  );
  assert.deepEqual(
    events.map(({ topic }) => topic),
    walked.map(({ from, to }) => `appointment.${CORRECTIONS.has(`${from} ${to}`) ? 'corrected' : TOPICS[to]}`),
  );
  assert.equal(audit.length, walked.length);
  const taken = walked.filter(({ from, to }) => from === 'CANCELLED' && to === 'SCHEDULED').length;
  assert.equal(history.at(-1)?.revision, 1 + taken);
}
