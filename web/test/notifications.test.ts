import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as care from '@careflex/core/care';
import { transact } from '@careflex/core/platform/scope';
import { asSuperuser } from '@careflex/core/testing';
import pg from 'pg';
import { dataOf, type Person, type SignedInRole, useApi } from './support/api.ts';
import { halfHour, type It, newPatient, newProvider, SCHEDULE } from './support/visits.ts';

const api = useApi();

interface Message {
  readonly __typename?: string;
  readonly id: string;
  readonly kind: string;
  readonly status: string;
  readonly channel: string;
  readonly reason: string | null;
  readonly dueAt: string;
  readonly body: string | null;
  readonly forecast: string | null;
  readonly code?: string;
}
interface Connection {
  readonly edges: readonly { readonly cursor: string; readonly node: Message }[];
  readonly pageInfo: { readonly hasNextPage: boolean };
}

const FIELDS = '{ id kind status channel reason dueAt body forecast }';
const ask = async <T>(query: string, variables: object = {}, as: SignedInRole | Person = 'agent') =>
  dataOf<T>(await api.graphql(query, variables, { as }), 'it');

let slot = 0;
const reachable = () => ({ phone: '+12125550101', email: `p${++slot}@example.com` });

async function book(patientId: string): Promise<It> {
  const input = {
    patientId,
    providerId: await newProvider(api),
    service: 'TELEHEALTH',
    startsAt: halfHour(++slot * 2),
  };
  return ask<It>(SCHEDULE, { input });
}
const remindersOf = async (id: string, as: SignedInRole | Person = 'agent') =>
  (await ask<{ reminders: Message[] } | null>(`{ it: appointment(id: "${id}") { reminders ${FIELDS} } }`, {}, as))
    ?.reminders;
const the = (messages: readonly Message[] | undefined, kind: string): Message => {
  const message = messages?.find((one) => one.kind === kind);
  assert.ok(message, `a ${kind}`);
  return message;
};
const consent = (patientId: string) =>
  ask(
    `mutation { it: recordConsent(patientId: "${patientId}", input: { contactKind: PHONE, evidence: "said so" }) {
      __typename } }`,
  );
const SEND = (id: string, key = 'null') => `mutation { it: sendNow(notificationId: "${id}", idempotencyKey: ${key}) {
  __typename ... on Notification ${FIELDS} ... on NotPlanned { status } ... on Problem { code } } }`;

/** Statements about what the messages of a list show. */
const ABOUT = /\b(notifications|consents|opt_outs|appointments|patients)\b/;
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

describe('what a patient is told', () => {
  test('is seen before it is sent: when, how, and what will become of it', async () => {
    const patientId = await newPatient(api, reachable());
    const visit = await book(patientId);
    const before = the(await remindersOf(visit.id), 'REMINDER_24H');
    const dayBefore = Temporal.Instant.from(visit.startsAt).subtract({ hours: 24 }).epochMilliseconds;
    assert.equal(Temporal.Instant.from(before.dueAt).epochMilliseconds, dayBefore);
    assert.deepEqual(
      [before.status, before.channel, before.forecast, before.body],
      ['PLANNED', 'SMS', 'NO_CONSENT', null],
    );
    await consent(patientId);
    assert.equal(the(await remindersOf(visit.id), 'REMINDER_24H').forecast, 'WILL_BE_SENT');
    await ask(`mutation { it: optOut(patientId: "${patientId}", input: { contactKind: PHONE }) { __typename } }`);
    assert.equal(the(await remindersOf(visit.id), 'REMINDER_24H').forecast, 'OPTED_OUT');
    await ask(`mutation { it: confirmAppointment(id: "${visit.id}") { __typename } }`);
    const over = the(await remindersOf(visit.id), 'REMINDER_24H');
    assert.deepEqual([over.status, over.reason, over.forecast], ['SUPERSEDED', 'CONFIRMED', null]);
  });

  test('is listed with what is due last first, page by page, in as many statements for many as for one', async () => {
    const patientId = await newPatient(api, reachable());
    await book(patientId);
    const list = async (first: number, after: string | null = null) => {
      statements = 0;
      const query = `query($first: Int, $after: String) { it: patient(id: "${patientId}") {
        notifications(first: $first, after: $after) { edges { cursor node ${FIELDS} } pageInfo { hasNextPage } } } }`;
      const { notifications } = await ask<{ notifications: Connection }>(query, { first, after });
      return { ...notifications, statements };
    };
    const one = await list(10);
    await book(patientId);
    await book(patientId);
    const all = await list(10);
    assert.deepEqual([one.edges.length, all.edges.length], [3, 9]);
    assert.ok(one.statements > 0);
    assert.equal(all.statements, one.statements);
    const dues = all.edges.map(({ node }) => node.dueAt);
    assert.deepEqual(dues, dues.toSorted().toReversed());
    const first = await list(4);
    const rest = await list(10, first.edges.at(-1)?.cursor);
    assert.deepEqual([first.pageInfo.hasNextPage, rest.pageInfo.hasNextPage], [true, false]);
    const ids = [...first.edges, ...rest.edges].map(({ node }) => node.id);
    assert.deepEqual(
      ids,
      all.edges.map(({ node }) => node.id),
    );
  });

  test('is for staff and the patient alone, and who read it is on record', async () => {
    const patient = await api.person('patient');
    const own = await book(patient.patientId as string);
    const foreign = await book(await newPatient(api, reachable()));
    const [mine] = (await remindersOf(own.id, patient)) ?? [];
    assert.ok(mine);
    const theirs = the(await remindersOf(foreign.id), 'REMINDER_24H');
    const byId = (id: string, as: SignedInRole | Person) =>
      ask<Message | null>(`{ it: notification(id: "${id}") ${FIELDS} }`, {}, as);
    assert.equal((await byId(mine.id, patient))?.id, mine.id);
    assert.equal(await byId(theirs.id, patient), null);
    assert.equal(await byId('no id', 'agent'), null);
    const entries = await asSuperuser<{ user_id: string }>(
      `select user_id from audit_entries where action = 'notification.read' and $1 = any (resource_ids)`,
      [mine.id],
    );
    assert.deepEqual(entries, [{ user_id: patient.id }]);
  });

  test('shows its words to whoever may read it, once there are any', async () => {
    const patientId = await newPatient(api, reachable());
    const visit = await book(patientId);
    const { id } = the(await remindersOf(visit.id), 'REMINDER_2H');
    const keys = await transact(api.systemScope(), (scope) => care.keysOf(scope, [patientId]));
    const sealed = keys
      .get(patientId)
      ?.seal({ table: 'notifications', column: 'body', row: id }, 'Your visit is Tue, Mar 10');
    await asSuperuser('update notifications set body = $1 where id = $2', [sealed, id]);
    assert.equal(the(await remindersOf(visit.id), 'REMINDER_2H').body, 'Your visit is Tue, Mar 10');
  });
});

describe('sendNow', () => {
  test('makes a planned message due at once, and once', async () => {
    const visit = await book(await newPatient(api, reachable()));
    const { id, dueAt } = the(await remindersOf(visit.id), 'REMINDER_24H');
    const sent = await ask<Message>(SEND(id, '"k"'));
    assert.deepEqual([sent.status, sent.dueAt < dueAt], ['PLANNED', true]);
    assert.equal((await ask<Message>(SEND(id, '"k"'))).dueAt, sent.dueAt);
    const [event] = await asSuperuser<{ payload: object }>(
      `select payload from events where topic = 'notification.hastened' and payload ->> 'notificationId' = $1`,
      [id],
    );
    assert.deepEqual(
      Object.keys(event?.payload ?? {}).toSorted((a, b) => a.localeCompare(b)),
      ['appointmentId', 'notificationId', 'patientId'],
    );
  });

  test('refuses what is not planned any more, and what there is not', async () => {
    const visit = await book(await newPatient(api, reachable()));
    await ask(`mutation { it: cancelAppointment(id: "${visit.id}", input: { reason: PATIENT }) { __typename } }`);
    const over = the(await remindersOf(visit.id), 'REMINDER_24H');
    assert.deepEqual(await ask(SEND(over.id)), { __typename: 'NotPlanned', status: 'SUPERSEDED', code: 'NOT_PLANNED' });
    for (const id of ['no id', '019f0000-0000-7000-8000-00000000dead'])
      assert.deepEqual(await ask(SEND(id)), { __typename: 'NotFound', code: 'NOT_FOUND' });
  });
});
