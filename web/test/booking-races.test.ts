/** Sixty-four callers for one time, over real HTTP: one gets it, the others are told why, and nothing else happens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as scheduling from '@careflex/core/scheduling';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, useApi } from './support/api.ts';
import { halfHour, type It, newPatient, newProvider } from './support/visits.ts';

const api = useApi({
  rateLimits: { perAddress: 1_000_000, perPrincipal: 1_000_000 },
  // A slow machine needs longer than a token lasts.
  environment: { ACCESS_TOKEN_MINUTES: '60' },
});
const CALLERS = 64;
const ROUNDS = 20;

const RESULT = '{ __typename ... on Appointment { id status } ... on Problem { code message } }';
const SCHEDULE = `mutation($input: ScheduleAppointmentInput!) { it: scheduleAppointment(input: $input) ${RESULT} }`;
const SERIES = `mutation($input: SeriesInput!) {
  it: scheduleSeries(input: $input) { __typename ... on AppointmentSeries { id } ... on Problem { code message } } }`;
const HOLD = `mutation($input: HoldSlotInput!) { it: holdSlot(input: $input) ${RESULT} }`;
const MOVE = `mutation($id: ID!, $input: RescheduleAppointmentInput!) {
  it: rescheduleAppointment(id: $id, input: $input) ${RESULT} }`;
const TAKE_BACK = `mutation($id: ID!) {
  it: updateAppointmentStatus(id: $id, status: SCHEDULED, reason: "a mistake") ${RESULT} }`;

type Caller = (i: number) => Promise<It>;
const ask = async (query: string, variables: object) =>
  dataOf<It>(await api.graphql(query, variables, { as: 'agent' }), 'it');
const everyone = (call: Caller) => Promise.all(Array.from({ length: CALLERS }, (_, i) => call(i)));

/** New ones for each test. */
let patients: string[] = [];

async function provider(): Promise<string> {
  patients = [];
  while (patients.length < CALLERS) patients.push(await newPatient(api));
  return newProvider(api);
}

interface Time {
  readonly providerId: string;
  readonly startsAt: string;
}

const visit = (i: number, { providerId, startsAt }: Time) => ({
  patientId: patients[i] as string,
  providerId,
  service: 'TELEHEALTH',
  startsAt,
});

/** Books without a race. */
async function booked(i: number, time: Time): Promise<string> {
  const { startsAt, ...where } = visit(i, time);
  const booking = { ...where, service: 'TELEHEALTH', startsAt: Temporal.Instant.from(startsAt) } as const;
  return (await scheduling.schedule(api.systemScope(), booking)).id;
}

const cancelled = async (id: string): Promise<string> =>
  (await scheduling.cancel(api.systemScope(), id, { reason: 'ERROR' })).id;

/** How many have the time, by the database's word. */
async function holders({ providerId, startsAt }: Time): Promise<number> {
  const text = 'select from appointments where provider_id = $1 and starts_at = $2 and occupies_time';
  return (await asSuperuser(text, [providerId, startsAt])).length;
}

/** One wins; the others hear `refusal`. Returns the winner's appointment. */
async function race(time: Time, call: Caller, refusal: string): Promise<string> {
  const answers = await everyone(call);
  const [winner, ...more] = answers.filter(({ __typename }) => __typename === 'Appointment');
  assert.ok(winner && more.length === 0, `${1 + more.length} winners`);
  const refusals = answers.filter((answer) => answer !== winner).map(({ __typename }) => __typename);
  assert.deepEqual([...new Set(refusals)], [refusal]);
  assert.equal(await holders(time), 1);
  return winner.id;
}

describe('64 callers for one time', () => {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => round);

  for (const [how, query] of [
    ['book', SCHEDULE],
    ['hold', HOLD],
  ] as const) {
    test(`${how} it: one does`, async () => {
      const providerId = await provider();
      for (const round of rounds) {
        const time = { providerId, startsAt: halfHour(round) };
        await race(time, (i) => ask(query, { input: visit(i, time) }), 'AppointmentConflict');
      }
    });
  }

  test('turn one hold into the visit: one does', async () => {
    const providerId = await provider();
    for (const round of rounds) {
      const time = { providerId, startsAt: halfHour(round) };
      const { id: holdId } = await ask(HOLD, { input: visit(0, time) });
      const confirm = () => ask(SCHEDULE, { input: { ...visit(0, time), holdId } });
      assert.equal(await race(time, confirm, 'IllegalTransition'), holdId);
    }
  });

  test('move a visit to it: one does, and the others stay where they were', async () => {
    const providerId = await provider();
    const ids: string[] = [];
    for (let i = 0; i < CALLERS; i++) ids.push(await booked(i, { providerId, startsAt: halfHour(i) }));
    for (const round of rounds) {
      const time = { providerId, startsAt: halfHour(CALLERS + round) };
      const move: Caller = (i) => ask(MOVE, { id: ids[i], input: { startsAt: time.startsAt } });
      await race(time, move, 'AppointmentConflict');
    }
    const text = 'select sum(revision - 1)::int as moves from appointments where provider_id = $1';
    assert.deepEqual(await asSuperuser(text, [providerId]), [{ moves: ROUNDS }]);
  });

  test('take it back after a cancellation: one does', async () => {
    const time = { providerId: await provider(), startsAt: halfHour(0) };
    const ids: string[] = [];
    for (let i = 0; i < CALLERS; i++) ids.push(await cancelled(await booked(i, time)));
    for (const _ of rounds) {
      await cancelled(await race(time, (i) => ask(TAKE_BACK, { id: ids[i] }), 'AppointmentConflict'));
    }
  });

  test('book a series that has it, from this week or the one before: one does, all of it', async () => {
    const providerId = await provider();
    for (const round of rounds) {
      const startsAt = halfHour(64 + round);
      const local = Temporal.Instant.from(startsAt).toZonedDateTimeISO('America/New_York').toPlainDateTime();
      const series = (i: number) => {
        const { startsAt: _, ...where } = visit(i, { providerId, startsAt });
        return {
          ...where,
          localStart: local
            .subtract({ weeks: i % 2 })
            .toString()
            .slice(0, 16),
          count: 2,
        };
      };
      const answers = await everyone((i) => ask(SERIES, { input: series(i) }));
      const winners = answers.filter(({ __typename }) => __typename === 'AppointmentSeries');
      assert.equal(winners.length, 1);
      const refusals = new Set(answers.filter((it) => it !== winners[0]).map(({ __typename }) => __typename));
      assert.ok(refusals.isSubsetOf(new Set(['SeriesConflict', 'AppointmentConflict'])), [...refusals].join());
      assert.equal(await holders({ providerId, startsAt }), 1);
      const text = 'select series_id from appointments where provider_id = $1 and series_id = $2 and occupies_time';
      assert.equal((await asSuperuser(text, [providerId, winners[0]?.id])).length, 2);
    }
    const text = 'select count(*)::int as series from appointment_series where patient_id = any($1::uuid[])';
    assert.deepEqual(await asSuperuser(text, [patients]), [{ series: ROUNDS }]);
    const visits = 'select count(*)::int as visits from appointments where provider_id = $1';
    assert.deepEqual(await asSuperuser(visits, [providerId]), [{ visits: 2 * ROUNDS }]);
  });

  test('get it in all these ways: one does', async () => {
    const providerId = await provider();
    const others: string[] = [];
    for (let i = 0; i < CALLERS; i++) others.push(await booked(i, { providerId, startsAt: halfHour(64 + i) }));
    for (const round of rounds) {
      const time = { providerId, startsAt: halfHour(round) };
      const before: string[] = [];
      for (let i = 0; i < CALLERS; i += 4) before.push(await cancelled(await booked(i, time)));
      const ways: Caller[] = [
        (i) => ask(TAKE_BACK, { id: before[i / 4] }),
        (i) => ask(SCHEDULE, { input: visit(i, time) }),
        (i) => ask(HOLD, { input: visit(i, time) }),
        (i) => ask(MOVE, { id: others[i], input: { startsAt: time.startsAt } }),
      ];
      await race(time, (i) => (ways[i % 4] as Caller)(i), 'AppointmentConflict');
    }
  });
});

describe('64 callers for 64 times', () => {
  test('of one provider all get theirs', async () => {
    const providerId = await provider();
    const answers = await everyone((i) => ask(SCHEDULE, { input: visit(i, { providerId, startsAt: halfHour(i) }) }));
    assert.deepEqual([...new Set(answers.map(({ __typename }) => __typename))], ['Appointment']);
  });

  test('that overlap in steps, of few patients and providers, hear of no deadlock and leave no overlap', async () => {
    const providers = [await provider(), await newProvider(api), await newProvider(api)];
    const day = Temporal.Instant.from(halfHour(0));
    for (let round = 0; round < 4; round++) {
      const answers = await everyone((i) => {
        const time = {
          providerId: providers[i % 3] as string,
          startsAt: day.add({ hours: 24 * round, minutes: ((i * 37) % 80) * 5 }).toString(),
        };
        return ask(SCHEDULE, { input: { ...visit(i % 7, time), minutes: 45 } });
      });
      const kinds = new Set(answers.map(({ __typename }) => __typename));
      assert.deepEqual([...kinds].toSorted(), ['Appointment', 'AppointmentConflict']);
    }
    const overlaps = await asSuperuser(`select from appointments a join appointments b on a.id < b.id
      and (a.patient_id = b.patient_id or a.provider_id = b.provider_id)
      and a.starts_at < b.ends_at and b.starts_at < a.ends_at where a.occupies_time and b.occupies_time`);
    assert.equal(overlaps.length, 0);
  });
});
