import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { asSuperuser } from '@careflex/core/testing';
import pg from 'pg';
import { dataOf, type Person, useApi } from './support/api.ts';
import { openClient, type Subscriber } from './support/subscriber.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();

interface Told {
  readonly appointmentEvents: {
    readonly sequence: number;
    readonly kind: string;
    readonly appointment: { readonly id: string; readonly status: string };
  };
}
const EVENTS = `subscription($since: Int, $patientId: ID, $providerId: ID) {
  appointmentEvents(since: $since, patientId: $patientId, providerId: $providerId) {
    sequence kind at appointment { id status version patient { lastName } } } }`;

async function book(n: number, more: object = {}) {
  const { patientId = await newPatient(api), providerId = await newProvider(api) } = more as Record<string, string>;
  const input = { patientId, providerId, service: 'TELEHEALTH', startsAt: halfHour(n) };
  const { id } = dataOf<It>(await api.graphql(SCHEDULE, { input }, { as: 'agent' }), 'it');
  return { id, patientId, providerId };
}

const CANCEL = 'mutation($id: ID!) { cancelAppointment(id: $id, input: { reason: PATIENT }) { __typename } }';
const cancel = (id: string) => api.graphql(CANCEL, { id }, { as: 'agent' });

/** Returns once what was asked before on the same socket has begun. */
async function begun({ client }: Subscriber): Promise<void> {
  await client.iterate({ query: '{ me { id } }' }).next();
}

/** The next of the subscription, with the request for it sent off before anything else happens. */
async function following<T>(person: Pick<Person, 'token'>, query: string, variables: Record<string, unknown> = {}) {
  const subscriber = openClient(api.url, person.token);
  const values = subscriber.follow<T>(query, variables);
  const first = values.next();
  await begun(subscriber);
  return { subscriber, values, first, end: async () => subscriber.client.dispose() };
}

async function errorOf(person: Pick<Person, 'token'>, variables: Record<string, unknown>) {
  const { client } = openClient(api.url, person.token);
  try {
    const { value } = await client.iterate({ query: EVENTS, variables }).next();
    return (value?.errors?.[0] ?? assert.fail('it was accepted')) as { extensions: Record<string, unknown> };
  } catch (thrown) {
    return (thrown as { extensions: Record<string, unknown> }[])[0] ?? assert.fail(String(thrown));
  } finally {
    await client.dispose();
  }
}

const codeOf = async (...it: Parameters<typeof errorOf>) => (await errorOf(...it)).extensions['code'];

describe('appointmentEvents', () => {
  test('tells what happens from now on, and after a pause what happened since', async () => {
    const agent = await api.person('agent');
    await book(0);
    const live = await following<Told>(agent, EVENTS);
    const visit = await book(1);
    const scheduled = (await live.first).value.appointmentEvents;
    assert.deepEqual([scheduled.kind, scheduled.appointment.id], ['SCHEDULED', visit.id]);
    await live.end();

    await cancel(visit.id);
    const other = await book(2);
    const again = await following<Told>(agent, EVENTS, { since: scheduled.sequence });
    const seen = [(await again.first).value, (await again.values.next()).value].map((it) => it.appointmentEvents);
    assert.deepEqual(
      seen.map(({ kind, appointment }) => [kind, appointment.id]),
      [
        ['CANCELLED', visit.id],
        ['SCHEDULED', other.id],
      ],
    );
    const next = again.values.next();
    await cancel(other.id);
    assert.equal((await next).value.appointmentEvents.kind, 'CANCELLED');
    await again.end();
  });

  test('misses nothing for who asks for the latest sequence, loads a screen and follows since it', async () => {
    const agent = await api.person('agent');
    const since = dataOf<number>(await api.graphql('{ latestSequence }', {}, { as: 'agent' }), 'latestSequence');
    const visit = await book(3);
    const live = await following<Told>(agent, EVENTS, { since });
    assert.equal((await live.first).value.appointmentEvents.appointment.id, visit.id);
    await live.end();
  });

  test('tells of one patient or one provider only, where asked', async () => {
    const [agent, patientId, providerId] = [await api.person('agent'), await newPatient(api), await newProvider(api)];
    const byPatient = await following<Told>(agent, EVENTS, { patientId });
    const byProvider = await following<Told>(agent, EVENTS, { providerId: providerId.toUpperCase() });
    await book(4);
    const visit = await book(5, { patientId, providerId });
    for (const live of [byPatient, byProvider]) {
      assert.equal((await live.first).value.appointmentEvents.appointment.id, visit.id);
      await live.end();
    }
  });

  test('tells the provider whom a visit leaves, and the one to whom it goes', async () => {
    const agent = await api.person('agent');
    const visit = await book(9);
    const providerId = await newProvider(api);
    const left = await following<Told>(agent, EVENTS, { providerId: visit.providerId });
    const gained = await following<Told>(agent, EVENTS, { providerId });
    const move = `mutation($id: ID!, $providerId: ID!) {
      it: rescheduleAppointment(id: $id, input: { providerId: $providerId }) { __typename ... on Problem { code } } }`;
    const moved = dataOf<It>(await api.graphql(move, { id: visit.id, providerId }, { as: 'agent' }), 'it');
    assert.equal(moved.__typename, 'Appointment');
    for (const { first, end } of [left, gained]) {
      const { kind, appointment } = (await first).value.appointmentEvents;
      assert.deepEqual([kind, appointment.id], ['RESCHEDULED', visit.id]);
      await end();
    }
  });

  test('tells a patient of their own visits alone, also of the past', async () => {
    const patient = await api.newPerson('patient');
    const live = await following<Told>(patient, EVENTS, { since: 0 });
    await book(6);
    const visit = await book(7, { patientId: patient.patientId });
    const told = (await live.first).value.appointmentEvents;
    assert.equal(told.appointment.id, visit.id);
    await live.end();
  });

  test('refuses who may not, a record that is none or not theirs, and a sequence that nobody has seen', async () => {
    const nowhere = '019f0000-0000-7000-8000-000000000000';
    const [agent, patient] = [await api.person('agent'), await api.person('patient')];
    assert.equal(await codeOf(await api.person('auditor'), {}), 'FORBIDDEN');
    for (const patientId of [await newPatient(api), nowhere, 'x']) {
      assert.equal(await codeOf(patient, { patientId }), 'NOT_FOUND');
    }
    assert.equal(await codeOf(agent, { patientId: nowhere }), 'NOT_FOUND');
    assert.equal(await codeOf(agent, { providerId: nowhere }), 'NOT_FOUND');
    for (const since of [-1, 1_000_000_000]) {
      const { extensions } = await errorOf(agent, { since });
      assert.equal(extensions['code'], 'BAD_USER_INPUT');
      assert.match(JSON.stringify(extensions['issues']), /expected a sequence from 0 to the newest/);
    }
  });

  test('comes as server-sent events as well, with `since`', async () => {
    const agent = await api.person('agent');
    const since = dataOf<number>(await api.graphql('{ latestSequence }', {}, { as: 'agent' }), 'latestSequence');
    const visit = await book(8);
    const response = await api.fetch('/graphql', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${agent.token}`,
      },
      body: JSON.stringify({ query: EVENTS, variables: { since } }),
    });
    let text = '';
    for await (const bytes of response.body as AsyncIterable<Uint8Array>) {
      text += Buffer.from(bytes).toString();
      if (text.includes(visit.id)) break;
    }
    assert.match(text, /event: next\ndata: \{"data":\{"appointmentEvents":\{"sequence":\d+,"kind":"SCHEDULED"/);
  });
});

describe('appointmentScheduled and appointmentUpdated', () => {
  test('tell of bookings, and of every later change', async () => {
    const agent = await api.person('agent');
    const query = (field: string) => `subscription { it: ${field} { id status } }`;
    const scheduled = await following<{ it: object }>(agent, query('appointmentScheduled'));
    const updated = await following<{ it: object }>(agent, query('appointmentUpdated'));
    const { id } = await book(9);
    assert.deepEqual((await scheduled.first).value.it, { id, status: 'SCHEDULED' });
    await cancel(id);
    assert.deepEqual((await updated.first).value.it, { id, status: 'CANCELLED' });
    await Promise.all([scheduled.end(), updated.end()]);
  });
});

describe('an event that many follow', () => {
  test('is read once for all who ask the same with the same rights, and is on record for each of them', async () => {
    const agents = [];
    for (let i = 0; i < 8; i++) agents.push(await api.newPerson('agent'));
    const live = [];
    for (const agent of agents) live.push(await following<Told>(agent, EVENTS));
    let reads = 0;
    const stop = onStatement((text) => (reads += Number(/from "appointments" where "id"/.test(text))));
    const visit = await book(10);
    for (const { first } of live) assert.equal((await first).value.appointmentEvents.appointment.id, visit.id);
    reads = 0;
    await cancel(visit.id);
    const seen = await Promise.all(live.map(({ values }) => values.next()));
    assert.deepEqual(
      seen.map(({ value }) => value.appointmentEvents.kind),
      agents.map(() => 'CANCELLED'),
    );
    stop();
    // One more is the cancellation's own.
    assert.ok(reads <= 2, `${reads} reads`);
    for (const action of ['appointment.follow', 'appointment.read', 'patient.read']) {
      while ((await whoIsOnRecord(action, agents)).length < agents.length) await sleep(50);
    }
    await Promise.all(live.map(({ end }) => end()));
  });

  test('is withheld from one of them whose session has ended, of which nobody has told', async () => {
    const [loyal, revoked] = [await api.newPerson('agent'), await api.newPerson('agent')];
    const [one, other] = [await following<Told>(loyal, EVENTS), await following<Told>(revoked, EVENTS)];
    const refused = assert.rejects(other.first);
    await asSuperuser('update sessions set ended_at = now() where id = $1', [revoked.sessionId]);
    const visit = await book(11);
    assert.equal((await one.first).value.appointmentEvents.appointment.id, visit.id);
    await refused;
    assert.equal((await other.subscriber.closed).code, 4401);
    await one.end();
  });
});

async function whoIsOnRecord(action: string, people: readonly Person[]): Promise<unknown[]> {
  return asSuperuser('select distinct user_id from audit_entries where action = $1 and user_id = any($2::uuid[])', [
    action,
    people.map(({ id }) => id),
  ]);
}

/** Returns what ends it. */
function onStatement(tell: (text: string) => void): () => void {
  const query = Reflect.get(pg.Client.prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(pg.Client.prototype, 'query', function heard(this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    tell(typeof first === 'string' ? first : ((first as { text?: string }).text ?? ''));
    return query.apply(this, args);
  });
  return () => void Reflect.set(pg.Client.prototype, 'query', query);
}
