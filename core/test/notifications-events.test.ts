import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import * as notifications from '#notifications';
import { ELEVEN, ledger, newPeople, newVisits, openWorld, planned, type World } from './support/delivery.ts';
import { asSuperuser } from './support/testing.ts';

const TOMORROW = ELEVEN.add({ hours: 24 });
const SMS_ONLY = { preferences: { channels: ['SMS' as const] } };

describe('what becomes of messages', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.simulator.reset();
    await asSuperuser(
      'truncate notifications, notification_attempts, delivery_reports, tasks, opt_outs, events cascade',
    );
    world.setClock(ELEVEN);
  });

  async function due(count: number, of: Parameters<typeof newPeople>[2] = SMS_ONLY) {
    const people = await newPeople(world.scope(), count, of);
    const visits = await newVisits(
      world.scope(),
      people.map(({ id }) => id),
      TOMORROW,
    );
    await planned(world.scope(), visits);
    return { people, visits };
  }

  /** `notification.sent` and so on, as they were told of the visits' messages. */
  async function told(visits: readonly string[]): Promise<string[]> {
    const rows = await asSuperuser<{ topic: string }>(
      `select topic from events where topic like 'notification.%' and payload ->> 'appointmentId' = any ($1) order by id`,
      [visits],
    );
    return rows.map(({ topic }) => topic.replace('notification.', ''));
  }

  const report = (row: Awaited<ReturnType<typeof ledger>>[number] & { attempt_id?: string }, status: string) =>
    notifications.report(world.scope(), {
      providerMessageId: row.provider_message_id ?? '',
      notificationId: row.id,
      attemptId: row.attempt_id ?? '',
      status,
    });

  it('is told with the ids of each and nothing else, by the transaction that writes it down', async () => {
    const { visits } = await due(20);
    await world.deliver();
    assert.deepEqual(
      await told(visits),
      Array.from({ length: 20 }, () => 'sent'),
    );
    const rows = await ledger(visits);
    const events = await asSuperuser<{ payload: object }>(
      `select payload from events where topic = 'notification.sent' order by payload ->> 'notificationId'`,
    );
    assert.deepEqual(
      events.map(({ payload }) => payload),
      rows
        .map(({ id, appointment_id, patient_id }) => ({
          notificationId: id,
          appointmentId: appointment_id,
          patientId: patient_id,
        }))
        .toSorted((a, b) => (a.notificationId < b.notificationId ? -1 : 1)),
    );
    const together = await asSuperuser(
      `select from events join notifications n on n.id = (payload ->> 'notificationId')::uuid
       where transaction_id::text = n.xmin::text`,
    );
    assert.equal(together.length, 20, 'told by the transaction that wrote it down');
  });

  it('is told once when it is delivered, however often that is reported', async () => {
    const { visits } = await due(1);
    await world.deliver();
    const [row] = await ledger(visits);
    assert.ok(row);
    await report(row, 'sent');
    await report(row, 'delivered');
    await report(row, 'delivered');
    assert.deepEqual(await told(visits), ['sent', 'delivered']);
  });

  it('is told of every visit that a message was about', async () => {
    const [person] = await newPeople(world.scope(), 1, SMS_ONLY);
    const visits = await newVisits(world.scope(), [person?.id ?? '', person?.id ?? ''], TOMORROW);
    await planned(world.scope(), visits);
    await world.deliver();
    assert.deepEqual((await world.simulator.given()).length, 1);
    const carrier = (await ledger(visits)).find(({ merged_into }) => merged_into === null);
    assert.ok(carrier);
    await report(carrier, 'delivered');
    for (const visit of visits) assert.deepEqual(await told([visit]), ['sent', 'delivered']);
  });

  it('is told when it fails, with the other way that it goes, and when that cannot be gone either', async () => {
    const { people, visits } = await due(1, { preferences: { channels: ['SMS', 'EMAIL'] } });
    await world.simulator.script({ to: people[0]?.phone, kind: 'text', error: 21211, times: null });
    await world.deliver();
    await world.deliver();
    assert.deepEqual(await told(visits), ['failed', 'planned', 'sent']);

    const other = await due(1);
    await world.deliver();
    const [row] = await ledger(other.visits);
    assert.ok(row);
    await report(row, 'undelivered');
    assert.deepEqual(await told(other.visits), ['sent', 'failed']);
  });

  it('is told when it is skipped, superseded, or has to wait', async () => {
    const skipped = await due(1);
    await asSuperuser(`update patients set status = 'DECEASED' where id = $1`, [skipped.people[0]?.id]);
    const moved = await due(1);
    await asSuperuser('update appointments set revision = 2 where id = $1', [moved.visits[0]]);
    await world.deliver();
    assert.deepEqual(await told(skipped.visits), ['skipped']);
    assert.deepEqual(await told(moved.visits), ['superseded']);

    const waiting = await due(1);
    await world.simulator.script({ to: waiting.people[0]?.phone, kind: 'text', reply: 503, times: null });
    await world.deliver();
    assert.deepEqual(await told(waiting.visits), ['planned']);
  });
});
