import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as notifications from '@careflex/core/notifications';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, type Person, useApi } from './support/api.ts';
import { openClient } from './support/subscriber.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();
const FOLLOW = `subscription($patientId: ID, $appointmentId: ID) {
  it: notificationUpdated(patientId: $patientId, appointmentId: $appointmentId) { id appointmentId status } }`;

interface Told {
  readonly it: { readonly id: string; readonly appointmentId: string; readonly status: string };
}

let slot = 0;

async function book(patientId?: string) {
  const who = patientId ?? (await newPatient(api, { phone: '+12125550101' }));
  const input = {
    patientId: who,
    providerId: await newProvider(api),
    service: 'TELEHEALTH',
    startsAt: halfHour(++slot * 2),
  };
  const { id } = dataOf<It>(await api.graphql(SCHEDULE, { input }, { as: 'agent' }), 'it');
  return { id, patientId: who };
}

/** Its reminder went out, and has come to the patient's phone. */
async function delivered(appointmentId: string): Promise<string> {
  const [providerMessageId, attemptId] = [`SM${randomUUID()}`, randomUUID()];
  const [row] = await asSuperuser<{ id: string }>(
    `update notifications set status = 'SENT', sent_at = now(), attempts = 1, attempt_id = $2, provider_message_id = $3
     where appointment_id = $1 and kind = 'REMINDER_24H' returning id`,
    [appointmentId, attemptId, providerMessageId],
  );
  const notificationId = row?.id ?? assert.fail('there is no reminder');
  await asSuperuser(
    `insert into notification_attempts (id, notification_id, number, channel, started_at) values ($1, $2, 1, 'SMS', now())`,
    [attemptId, notificationId],
  );
  await notifications.report(api.systemScope(), { providerMessageId, attemptId, notificationId, status: 'delivered' });
  return notificationId;
}

/** The next of the subscription, which has begun. */
async function following(person: Pick<Person, 'token'>, variables: Record<string, unknown> = {}) {
  const subscriber = openClient(api.url, person.token);
  const { client } = subscriber;
  const next = subscriber.follow<Told>(FOLLOW, variables).next();
  // What is asked later on the same socket is answered later.
  await client.iterate({ query: '{ me { id } }' }).next();
  return { next, end: async () => client.dispose() };
}

async function codeOf(person: Pick<Person, 'token'>, variables: Record<string, unknown>): Promise<unknown> {
  const { client } = openClient(api.url, person.token);
  try {
    const { value } = await client.iterate({ query: FOLLOW, variables }).next();
    return value?.errors?.[0]?.extensions?.['code'] ?? 'accepted';
  } catch (thrown) {
    return (thrown as { extensions: Record<string, unknown> }[])[0]?.extensions['code'];
  } finally {
    await client.dispose();
  }
}

describe('notificationUpdated', () => {
  test('tells of all, of one patient or of one visit', async () => {
    const agent = await api.person('agent');
    const visit = await book();
    const all = await following(agent);
    const ofPatient = await following(agent, { patientId: visit.patientId.toUpperCase() });
    const ofVisit = await following(agent, { appointmentId: visit.id });
    const other = await delivered((await book()).id);
    assert.equal((await all.next).value.it.id, other);
    await all.end();
    const own = await delivered(visit.id);
    for (const { next, end } of [ofPatient, ofVisit]) {
      assert.deepEqual((await next).value.it, { id: own, appointmentId: visit.id, status: 'DELIVERED' });
      await end();
    }
  });

  test('tells a patient of their own alone, and it is on record who follows', async () => {
    const patient = await api.newPerson('patient');
    const own = await book(patient.patientId as string);
    const live = await following(patient);
    await delivered((await book()).id);
    const id = await delivered(own.id);
    assert.equal((await live.next).value.it.id, id);
    await live.end();
    const entries = await asSuperuser<{ patient_ids: string[] }>(
      `select patient_ids from audit_entries where action = 'notification.follow' and user_id = $1`,
      [patient.id],
    );
    assert.deepEqual(
      entries.map(({ patient_ids }) => patient_ids),
      [[patient.patientId]],
    );
  });

  test('refuses who may not, and a record that is none or not theirs', async () => {
    const nowhere = '019f0000-0000-7000-8000-000000000000';
    const [agent, patient] = [await api.person('agent'), await api.person('patient')];
    const other = await book();
    assert.equal(await codeOf(await api.person('auditor'), {}), 'FORBIDDEN');
    for (const patientId of [other.patientId, nowhere, 'x'])
      assert.equal(await codeOf(patient, { patientId }), 'NOT_FOUND');
    for (const appointmentId of [other.id, nowhere, 'x'])
      assert.equal(await codeOf(patient, { appointmentId }), 'NOT_FOUND');
    assert.equal(await codeOf(agent, { patientId: nowhere }), 'NOT_FOUND');
    assert.equal(await codeOf(agent, { appointmentId: nowhere }), 'NOT_FOUND');
  });
});
