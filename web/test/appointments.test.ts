import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, useApi } from './support/api.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();
const asAgent = (query: string, variables: object = {}) => api.graphql(query, variables, { as: 'agent' });

async function book(more: object = {}): Promise<It & { patientId: string; providerId: string }> {
  const input = {
    patientId: await newPatient(api),
    providerId: await newProvider(api),
    service: 'TELEHEALTH',
    startsAt: halfHour(0),
    ...more,
  };
  return { ...input, ...dataOf<It>(await asAgent(SCHEDULE, { input }), 'it') };
}

const CHANGED = `{ __typename ... on Appointment { id status version revision startsAt history { from to reason } }
  ... on IllegalTransition { from to allowed } ... on StaleVersion { current { version status } }
  ... on Problem { code message } }`;

/** A mutation of one appointment. */
const change = async (mutation: string) =>
  dataOf<It & { revision: number; history: object[]; current: object; allowed: string[] }>(
    await asAgent(`mutation { it: ${mutation} ${CHANGED} }`),
    'it',
  );

/** Statements about what a page of appointments shows. */
const ABOUT = /\b(appointments|appointment_changes|patients|providers|audit_entries)\b/;
let statements = 0;
before(() => {
  const query = Reflect.get(pg.Client.prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(pg.Client.prototype, 'query', function counted(this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    const text = typeof first === 'string' ? first : (first as { text?: string }).text;
    if (ABOUT.test(text ?? '')) statements++;
    return query.apply(this, args);
  });
});

describe('an appointment', () => {
  test('goes from a hold to its end, and tells its history', async () => {
    const [patientId, providerId] = [await newPatient(api), await newProvider(api)];
    const request = { patientId, providerId, service: 'TELEHEALTH' };
    const held = dataOf<It>(
      await asAgent(
        'mutation($input: HoldSlotInput!) { it: holdSlot(input: $input) { ... on Appointment { id status expiresAt } } }',
        { input: { ...request, startsAt: halfHour(3), expiresInMinutes: 15 } },
      ),
      'it',
    );
    assert.equal(held.status, 'HELD');
    const visit = dataOf<It>(await asAgent(SCHEDULE, { input: { ...request, holdId: held.id, notes: 'n' } }), 'it');
    assert.deepEqual([visit.id, visit.status], [held.id, 'SCHEDULED']);
    assert.equal((await change(`confirmAppointment(id: "${visit.id}")`)).status, 'CONFIRMED');
    const early = await change(`completeAppointment(id: "${visit.id}")`);
    assert.equal(early.__typename, 'IllegalTransition');
    const cancelled = await change(`cancelAppointment(id: "${visit.id}", input: { reason: PATIENT, note: "ill" })`);
    assert.deepEqual(cancelled.history, [
      { from: null, to: 'HELD', reason: null },
      { from: 'HELD', to: 'SCHEDULED', reason: null },
      { from: 'SCHEDULED', to: 'CONFIRMED', reason: null },
      { from: 'CONFIRMED', to: 'CANCELLED', reason: 'ill' },
    ]);
  });

  test('names what stands in the way of another, and where it could be instead', async () => {
    const first = await book();
    const answer = await asAgent(SCHEDULE, {
      input: {
        patientId: await newPatient(api),
        providerId: first.providerId,
        service: 'TELEHEALTH',
        startsAt: first.startsAt,
      },
    });
    const conflict = dataOf<{ conflicts: object[]; alternatives: { startsAt: string }[] }>(answer, 'it');
    assert.deepEqual(conflict.conflicts, [
      { rule: 'PROVIDER_BUSY', resource: 'Provider', appointment: { id: first.id }, overridable: false },
    ]);
    assert.ok(conflict.alternatives.some(({ startsAt }) => startsAt === new Date(halfHour(1)).toISOString()));
  });

  test('is moved, and shows the newer version to whom has seen an older one', async () => {
    const { id } = await book();
    const move = (to: string, more = '') =>
      change(`rescheduleAppointment(id: "${id}", input: { startsAt: "${to}" } ${more})`);
    const moved = await move(halfHour(4));
    assert.deepEqual([moved.id, moved.version, moved.revision], [id, 2, 2]);
    const stale = await move(halfHour(5), 'version: 1');
    assert.deepEqual([stale.__typename, stale.current], ['StaleVersion', { version: 2, status: 'SCHEDULED' }]);
  });

  test('takes the wall clock’s word, and says so in any zone', async () => {
    const day = halfHour(0).slice(0, 10);
    const { id } = await book({ startsAt: null, localStart: `${day}T14:30`, timeZone: 'America/New_York' });
    const answer = await asAgent(
      `{ it: appointment(id: "${id}") { localStart there: localStart(timeZone: "Asia/Kolkata") localStartAmbiguous minutes } }`,
    );
    const it = dataOf<Record<string, string>>(answer, 'it');
    assert.match(it['localStart'] ?? '', new RegExp(`^${day}T14:30:00-0[45]:00\\[America/New_York\\]$`));
    assert.match(it['there'] ?? '', /\[Asia\/Kolkata\]$/);
    const { body } = await asAgent(`{ appointment(id: "${id}") { localStart(timeZone: "EST") } }`);
    assert.equal(body.errors?.[0]?.extensions['code'], 'BAD_USER_INPUT');
  });

  test('answers each bad input with what is wrong, and nothing has changed', async () => {
    const [patientId, providerId] = [await newPatient(api), await newProvider(api)];
    const good = { patientId, providerId, service: 'TELEHEALTH', startsAt: halfHour(0) };
    const bad: [object, string][] = [
      [{ startsAt: '2020-01-07T15:00:00Z' }, 'APPOINTMENT_CONFLICT'],
      [{ startsAt: null, localStart: '2027-03-14T02:30' }, 'INVALID_INPUT'],
      [{ startsAt: null, localStart: '2027-03-15T03:00' }, 'APPOINTMENT_CONFLICT'],
      [{ timeZone: 'Mars/Olympus' }, 'INVALID_INPUT'],
      [{ minutes: 0 }, 'INVALID_INPUT'],
      [{ minutes: 10_000 }, 'INVALID_INPUT'],
      [{ localStart: '2027-03-15T10:00' }, 'INVALID_INPUT'],
      [{ patientId: await newPatient(api, { status: 'DECEASED' }) }, 'PATIENT_NOT_BOOKABLE'],
      [{ patientId: '019f0000-0000-7000-8000-00000000dead' }, 'NOT_FOUND'],
      [{ patientId: "'; drop table" }, 'NOT_FOUND'],
      [{ providerId: patientId }, 'NOT_FOUND'],
      [{ holdId: patientId }, 'NOT_FOUND'],
    ];
    const rows = () => asSuperuser('select id from appointments where provider_id = $1', [providerId]);
    for (const [more, code] of bad) {
      const answer = dataOf<It>(await asAgent(SCHEDULE, { input: { ...good, ...more } }), 'it');
      assert.equal(answer.code, code, JSON.stringify(more));
    }
    assert.deepEqual(await rows(), []);
    const { body } = await asAgent('{ appointments(after: "nonsense") { edges { cursor } } }');
    assert.equal(body.errors?.[0]?.extensions['code'], 'BAD_USER_INPUT');
  });
});

describe('a patient', () => {
  test('has their own visits, and for another’s the answer of one that is not there', async () => {
    const patient = await api.newPerson('patient');
    const [own, foreign] = [await book({ patientId: patient.patientId }), await book()];
    const ask = (query: string) => api.graphql(query, {}, { as: patient });
    const listed = await ask('{ appointments { edges { node { id provider { name } patient { id } } } } }');
    assert.deepEqual(listed.body.data?.['appointments'], {
      edges: [{ node: { id: own.id, provider: { name: 'Dr. Lee Okafor' }, patient: { id: patient.patientId } } }],
    });
    for (const query of [
      `{ it: appointment(id: "${foreign.id}") { id } }`,
      `{ it: upcomingAppointments(patientId: "${foreign.patientId}") { id } }`,
      `mutation { it: cancelAppointment(id: "${foreign.id}", input: { reason: PATIENT }) { ... on Problem { code } } }`,
    ]) {
      const absent = query.replace(/[0-9a-f-]{36}/, '019f0000-0000-7000-8000-00000000dead');
      assert.deepEqual((await ask(query)).body, (await ask(absent)).body);
    }
    const denied = await asSuperuser<{ action: string }>(
      "select action from audit_entries where user_id = $1 and outcome = 'DENIED' order by id",
      [patient.id],
    );
    assert.equal(denied.length, 6);
  });
});

describe('a page of appointments', () => {
  test('takes as many statements for thirty as for three, patients, providers and histories included', async () => {
    const providerId = await newProvider(api);
    const LIST = `query($providerId: ID!, $first: Int!) { appointments(providerId: $providerId, first: $first) {
      edges { node { id notes patient { lastName appointments(first: 2) { edges { node { id } } } } provider { name } history { to } } } } }`;
    for (let n = 0; n < 30; n++) await book({ providerId, startsAt: halfHour(n), notes: `note ${n}` });
    const counts: number[] = [];
    for (const first of [3, 30]) {
      // Twice, since the first time may prepare and read what is kept.
      for (const _ of [1, 2]) {
        const before = statements;
        const answer = await asAgent(LIST, { providerId, first });
        assert.equal(dataOf<{ edges: unknown[] }>(answer, 'appointments').edges.length, first);
        counts.push(statements - before);
      }
    }
    assert.ok(counts[1] && counts[1] > 5);
    assert.equal(counts[3], counts[1], counts.join());
  });
});
