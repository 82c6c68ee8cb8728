import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  ELEVEN,
  ledger,
  newPeople,
  newVisits,
  openWorld,
  planned,
  standing,
  tasks,
  type World,
} from './support/delivery.ts';
import { asSuperuser } from './support/testing.ts';

const TOMORROW = ELEVEN.add({ hours: 24 });

describe('a delivery', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.simulator.reset();
    await asSuperuser(
      'truncate notifications, notification_attempts, delivery_reports, tasks, inbound_messages cascade',
    );
    world.setClock(ELEVEN);
  });

  /** A visit of a new patient, tomorrow, and its reminder, due now. */
  async function due(more: Parameters<typeof planned>[2] = {}, of: Parameters<typeof newPeople>[2] = {}) {
    const scope = world.scope();
    const [person] = await newPeople(scope, 1, of);
    assert.ok(person);
    const visits = await newVisits(scope, [person.id], TOMORROW);
    await planned(scope, visits, more);
    return { person, visits, visit: visits[0] as string };
  }

  it('sends what is due once, and keeps what it said under the key of the patient', async () => {
    const { person, visits } = await due();
    await world.deliver();
    await world.deliver();
    const given = await world.simulator.given();
    assert.deepEqual(
      given.map(({ kind, to }) => ({ kind, to })),
      [{ kind: 'text', to: person.phone }],
    );
    const [row] = await ledger(visits);
    assert.equal(row?.status, 'SENT');
    assert.equal(row.provider_message_id, given[0]?.id);
    assert.ok(row.body && !row.body.includes(given[0]?.body ?? ''));
  });

  it('leaves alone what is not due', async () => {
    const { visits } = await due({ dueAt: ELEVEN.add({ minutes: 5 }) });
    await world.deliver();
    assert.deepEqual(await standing(visits), { PLANNED: 1 });
  });

  it('sends nothing for a visit that has moved, was called off, was confirmed or has begun', async () => {
    const moved = await due();
    await asSuperuser('update appointments set revision = 2 where id = $1', [moved.visit]);
    const gone = await due();
    await asSuperuser(`update appointments set status = 'CANCELLED', cancellation_reason = 'PATIENT' where id = $1`, [
      gone.visit,
    ]);
    const confirmed = await due();
    await asSuperuser(`update appointments set status = 'CONFIRMED' where id = $1`, [confirmed.visit]);
    const begun = await due();
    await asSuperuser(`update appointments set status = 'CHECKED_IN' where id = $1`, [begun.visit]);
    await world.deliver();
    assert.deepEqual(await world.simulator.given(), []);
    assert.deepEqual(await standing(moved.visits), { 'SUPERSEDED RESCHEDULED': 1 });
    assert.deepEqual(await standing(gone.visits), { 'SUPERSEDED CANCELLED': 1 });
    assert.deepEqual(await standing(confirmed.visits), { 'SUPERSEDED CONFIRMED': 1 });
    assert.deepEqual(await standing(begun.visits), { 'SUPERSEDED STARTED': 1 });
    assert.deepEqual(await tasks(), []);
  });
});
