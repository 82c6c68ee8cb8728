import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as scheduling from '@careflex/core/scheduling';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();

async function addProvider(): Promise<string> {
  const externalId = randomUUID();
  const [added] = await scheduling.importProviders(api.systemScope(), [
    { externalId, name: 'Dr. Lee Okafor', knownAs: [`Practitioner/${externalId}`], timeZone: 'Asia/Kolkata' },
  ]);
  const role = { externalId, provider: `Practitioner/${externalId}`, services: ['TELEHEALTH' as const] };
  await scheduling.importProviderRoles(api.systemScope(), [role]);
  assert.ok(added && 'id' in added);
  return added.id;
}

/** A Monday some weeks ahead, which no clock is set on, in Kolkata. */
const MONDAY = Temporal.Now.plainDateISO('Asia/Kolkata').add({ days: 30 });
const monday = MONDAY.subtract({ days: MONDAY.dayOfWeek - 1 });
const local = (time: string) =>
  monday
    .toZonedDateTime({ timeZone: 'Asia/Kolkata', plainTime: Temporal.PlainTime.from(time) })
    .toInstant()
    .toString();
const day = { from: local('00:00'), to: local('23:59') };

const SLOTS = `query($from: DateTime!, $to: DateTime!, $ids: [ID!], $every: Int, $patient: ID) {
  availableSlots(service: TELEHEALTH, from: $from, to: $to, providerIds: $ids, everyMinutes: $every, patientId: $patient,
    minutes: 60) { provider { id name } startsAt endsAt localStart timeZone } }`;

interface Slot {
  readonly startsAt: string;
  readonly localStart: string;
}
const slotsOf = async (ids: string[], as: 'agent' | 'patient' = 'agent') =>
  dataOf<Slot[]>(await api.graphql(SLOTS, { ...day, ids, every: 60 }, { as }), 'availableSlots');
const times = async (ids: string[]) => (await slotsOf(ids)).map(({ localStart }) => localStart.slice(11, 16));

const asAdmin = (query: string, variables: object) => api.graphql(query, variables, { as: 'admin' });

describe('availableSlots', () => {
  test('tells instant, wall-clock time with its zone, and the provider', async () => {
    const id = await addProvider();
    const slots = await slotsOf([id], 'patient');
    assert.equal(slots.length, 8);
    assert.deepEqual(slots[0], {
      provider: { id, name: 'Dr. Lee Okafor' },
      startsAt: local('09:00').replace('Z', '.000Z'),
      endsAt: local('10:00').replace('Z', '.000Z'),
      localStart: `${monday.toString()}T09:00:00+05:30[Asia/Kolkata]`,
      timeZone: 'Asia/Kolkata',
    });
  });

  test('refuses a search that makes no sense as bad input, with its issues', async () => {
    const { body } = await api.graphql(SLOTS, { from: day.to, to: day.from, every: 0 }, { as: 'agent' });
    const [error] = body.errors ?? [];
    assert.equal(error?.extensions['code'], 'BAD_USER_INPUT');
    assert.match(JSON.stringify(error?.extensions['issues']), /everyMinutes/);
  });

  test('costs more the more it may answer, and a thousand are within an agent’s budget', async () => {
    const ask = `query($first: Int) { availableSlots(service: TELEHEALTH, first: $first, from: "${day.from}",
      to: "${day.to}") { provider { id name timeZone } startsAt endsAt localStart timeZone } }`;
    const asked = (first: number, as: 'agent' | 'patient') => api.graphql(ask, { first }, { as });
    assert.equal((await asked(1_000, 'agent')).body.errors, undefined);
    assert.equal((await asked(100, 'patient')).body.errors, undefined);
  });
});

describe('when a provider works', () => {
  const SET = `mutation($id: ID!, $hours: [WeeklyHoursInput!], $version: Int) {
    setWeeklyHours(providerId: $id, hours: $hours, version: $version) {
      ... on Provider { version hasOwnHours weeklyHours { weekday from to } }
      ... on InvalidInput { issues { path } } ... on StaleProvider { currentVersion } ... on Problem { code } } }`;

  test('is set by the week, and problems come as data', async () => {
    const id = await addProvider();
    const set = async (hours: object[] | null, version?: number) =>
      dataOf(await asAdmin(SET, { id, hours, version }), 'setWeeklyHours');
    const evening = { weekday: 1, from: '22:00', to: '24:00' };
    assert.deepEqual(await set([evening], 1), { version: 2, hasOwnHours: true, weeklyHours: [evening] });
    assert.deepEqual(await times([id]), ['22:00', '23:00']);
    assert.deepEqual(await set([], 1), { currentVersion: 2, code: 'STALE_VERSION' });
    assert.deepEqual(await set([{ ...evening, to: '21:00' }]), {
      issues: [{ path: ['hours', '0', 'to'] }],
      code: 'INVALID_INPUT',
    });
    const usual = (await set(null)) as { hasOwnHours: boolean; weeklyHours: object[] };
    assert.deepEqual([usual.hasOwnHours, usual.weeklyHours.length], [false, 5]);
    const left = await asAdmin('mutation($id: ID!) { setWeeklyHours(providerId: $id) { ... on Problem { code } } }', {
      id,
    });
    assert.deepEqual(dataOf(left, 'setWeeklyHours'), { code: 'INVALID_INPUT' });
  });

  test('is shown with its exceptions and time off, the notes for staff alone', async () => {
    const id = await addProvider();
    const date = monday.toString();
    const exception = await asAdmin(
      `mutation($id: ID!, $in: ProviderExceptionInput!) { setProviderException(providerId: $id, input: $in) {
        ... on ProviderException { date hours { from to } note } } }`,
      { id, in: { date, hours: [{ from: '10:00', to: '14:00' }], note: 'Training' } },
    );
    const hours = [{ from: '10:00', to: '14:00' }];
    assert.deepEqual(dataOf(exception, 'setProviderException'), { date, hours, note: 'Training' });
    const off = { startsAt: local('10:00'), endsAt: local('11:00'), note: 'Doctor' };
    const added = await asAdmin(
      `mutation($id: ID!, $in: TimeOffInput!) { addTimeOff(providerId: $id, input: $in) {
        ... on TimeOffAdded { timeOff { id } appointments { id } } } }`,
      { id, in: off },
    );
    const { timeOff, appointments } = dataOf<{ timeOff: { id: string }; appointments: object[] }>(added, 'addTimeOff');
    assert.deepEqual(appointments, []);
    assert.deepEqual(await times([id]), ['11:00', '12:00', '13:00']);

    const SHOW = `query($id: ID!, $d: Date!, $from: DateTime!, $to: DateTime!) { provider(id: $id) {
      exceptions(from: $d, to: $d) { date note } timeOff(from: $from, to: $to) { id note } } }`;
    const shown = async (as: 'agent' | 'patient') =>
      dataOf(await api.graphql(SHOW, { id, d: date, ...day }, { as }), 'provider');
    const noted = (one: string | null, other: string | null) => ({
      exceptions: [{ date, note: one }],
      timeOff: [{ id: timeOff.id, note: other }],
    });
    assert.deepEqual(await shown('agent'), noted('Training', 'Doctor'));
    assert.deepEqual(await shown('patient'), noted(null, null));

    await asAdmin('mutation($id: ID!) { removeTimeOff(id: $id) { ... on Done { id } } }', { id: timeOff.id });
    assert.deepEqual(await times([id]), ['10:00', '11:00', '12:00', '13:00']);
    const REMOVE = `mutation($id: ID!, $d: Date!) { removeProviderException(providerId: $id, date: $d) {
      ... on Done { id } ... on Problem { code } } }`;
    assert.deepEqual(dataOf(await asAdmin(REMOVE, { id, d: date }), 'removeProviderException'), { id });
    const again = await asAdmin(REMOVE, { id, d: date });
    assert.deepEqual(dataOf(again, 'removeProviderException'), { code: 'NOT_FOUND' });
  });

  test('is read in the zone that an admin chooses', async () => {
    const id = await addProvider();
    const SET_ZONE = `mutation($id: ID!, $zone: String) { setProviderTimeZone(providerId: $id, timeZone: $zone) {
      ... on Provider { timeZone } ... on Problem { code } } }`;
    const set = async (zone: string | null) => dataOf(await asAdmin(SET_ZONE, { id, zone }), 'setProviderTimeZone');
    assert.deepEqual(await set('Pacific/Kiritimati'), { timeZone: 'Pacific/Kiritimati' });
    assert.deepEqual(await set('Nowhere'), { code: 'INVALID_INPUT' });
    assert.deepEqual(await set(null), { timeZone: 'Asia/Kolkata' });
  });
});

test('updateCareService changes the rules that are named, and no others', async () => {
  const UPDATE = `mutation($in: UpdateCareServiceInput!, $version: Int) {
    updateCareService(service: MEAL_DELIVERY, input: $in, version: $version) {
      ... on CareService { minutes dailyLimit bufferAfterMinutes version } ... on Problem { code } } }`;
  const update = async (input: object, version?: number) =>
    dataOf(await asAdmin(UPDATE, { in: input, version }), 'updateCareService');
  const changed = { minutes: 20, dailyLimit: null, bufferAfterMinutes: 0, version: 2 };
  assert.deepEqual(await update({ minutes: 20, dailyLimit: null }, 1), changed);
  assert.deepEqual(await update({ minutes: 25 }, 1), { code: 'STALE_VERSION' });
  assert.deepEqual(await update({ minutes: null }), { code: 'INVALID_INPUT' });
  const services = await api.graphql('{ careServices { service minutes } }', {}, { as: 'patient' });
  assert.equal(dataOf<object[]>(services, 'careServices').length, 5);
});
