import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dataOf, useApi } from './support/api.ts';
import { newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();
const asAgent = (query: string, variables: object = {}) => api.graphql(query, variables, { as: 'agent' });

const VISITS = `... on AppointmentSeries { id appointments { id status localStart } }
  ... on SeriesConflict { occurrences { localStart conflicts { rule } } } ... on Problem { code message }`;

interface Series {
  readonly id: string;
  readonly appointments: readonly { id: string; status: string; localStart: string }[];
  readonly code: string;
  readonly occurrences: readonly { localStart: string; conflicts: { rule: string }[] }[];
}

/** The first Tuesday in four weeks, at ten in New York, and the three after it. */
const tuesday = Temporal.Now.plainDateISO('America/New_York').add({ weeks: 4 });
const first = tuesday.add({ days: (9 - tuesday.dayOfWeek) % 7 });
const localStart = `${first.toString()}T10:00`;

async function aSeries() {
  const [patientId, providerId] = [await newPatient(api), await newProvider(api)];
  return { patientId, providerId, service: 'TELEHEALTH', localStart, count: 3 };
}

const schedule = async (input: object) =>
  dataOf<Series>(
    await asAgent(`mutation($input: SeriesInput!) { it: scheduleSeries(input: $input) { ${VISITS} } }`, { input }),
    'it',
  );

describe('a series', () => {
  test('is seen, booked, moved and called off as a whole', async () => {
    const input = await aSeries();
    const preview = dataOf<object[]>(
      await asAgent('query($input: SeriesInput!) { it: previewSeries(input: $input) { conflicts { rule } } }', {
        input,
      }),
      'it',
    );
    assert.deepEqual(preview, [{ conflicts: [] }, { conflicts: [] }, { conflicts: [] }]);
    const { appointments } = await schedule(input);
    assert.ok(appointments.every((visit) => /T10:00:00-0[45]:00\[America\/New_York\]$/.test(visit.localStart)));
    const moved = dataOf<Series>(
      await asAgent(
        `mutation($id: ID!, $at: LocalDateTime!) {
          it: rescheduleSeries(id: $id, input: { part: FOLLOWING, localStart: $at }) { ${VISITS} } }`,
        { id: appointments[1]?.id, at: `${first.add({ days: 8 }).toString()}T11:00` },
      ),
      'it',
    );
    assert.deepEqual(
      moved.appointments.map((visit) => visit.localStart.slice(0, 16)),
      [0, 8, 15].map((days) => `${first.add({ days }).toString()}T1${days === 0 ? 0 : 1}:00`),
    );
    const cancelled = dataOf<Series>(
      await asAgent(
        `mutation($id: ID!) { it: cancelSeries(id: $id, input: { part: ALL, reason: PATIENT }) {
          ... on AppointmentSeries { appointments { status } } } }`,
        { id: appointments[2]?.id },
      ),
      'it',
    );
    assert.deepEqual(new Set(cancelled.appointments.map(({ status }) => status)), new Set(['CANCELLED']));
  });

  test('names every visit that cannot be booked, and books none', async () => {
    const input = await aSeries();
    const { patientId: _, count: _count, ...visit } = input;
    const blocking = {
      ...visit,
      patientId: await newPatient(api),
      localStart: `${first.add({ weeks: 1 }).toString()}T10:00`,
    };
    dataOf(await asAgent(SCHEDULE, { input: blocking }), 'it');
    const refused = await schedule(input);
    assert.equal(refused.code, 'SERIES_CONFLICT');
    assert.deepEqual(
      refused.occurrences.map((occurrence) => [occurrence.localStart.slice(0, 10), occurrence.conflicts]),
      [[first.add({ weeks: 1 }).toString(), [{ rule: 'PROVIDER_BUSY' }]]],
    );
    const booked = await schedule({ ...input, except: [first.add({ weeks: 1 }).toString()] });
    assert.equal(booked.appointments.length, 2);
  });
});

describe('dayBoard', () => {
  test('has providers with visits, free time and slots, with the names of all patients in one look', async () => {
    const { patientId, providerId } = await aSeries();
    dataOf(await asAgent(SCHEDULE, { input: { patientId, providerId, service: 'TELEHEALTH', localStart } }), 'it');
    const board = dataOf<{
      edges: { node: { provider: { id: string }; appointments: object[]; freeSlots: object[] } }[];
    }>(
      await asAgent(
        `query($date: Date!) { it: dayBoard(date: $date, service: TELEHEALTH, first: 100) { edges { node {
          provider { id } workingHours { startsAt } timeOff { startsAt } freeTime { startsAt endsAt }
          freeSlots { startsAt } appointments { status patient { id } } } } } }`,
        { date: first.toString() },
      ),
      'it',
    );
    const row = board.edges.find(({ node }) => node.provider.id === providerId)?.node;
    assert.deepEqual(row?.appointments, [{ status: 'SCHEDULED', patient: { id: patientId } }]);
    assert.ok(row.freeSlots.length > 10);
  });

  test('is not for patients', async () => {
    const { body } = await api.graphql(`{ dayBoard(date: "2026-03-03") { edges { cursor } } }`, {}, { as: 'patient' });
    assert.equal(body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
  });
});
