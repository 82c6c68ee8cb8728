/** Messages of which our side heard no answer: the provider is asked, and what it says of several calls is told apart. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import * as notifications from '#notifications';
import {
  ELEVEN,
  endLeases,
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
const VOICE_ONLY = { preferences: { channels: ['VOICE' as const] } };

describe('a message without an answer', () => {
  let world: World;
  let minutes = 0;
  before(async () => {
    world = await openWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.simulator.reset();
    await asSuperuser('truncate notifications, notification_attempts, delivery_reports, tasks, opt_outs cascade');
    minutes = 0;
    world.setClock(ELEVEN);
  });

  /** A family's visits, each of whose members is called in a language of their own, and so by itself. */
  async function callsToOneNumber(phone: string) {
    const people = [];
    for (const language of ['en', 'es']) {
      people.push(...(await newPeople(world.scope(), 1, { ...VOICE_ONLY, phone, language })));
    }
    const visits = await newVisits(
      world.scope(),
      people.map(({ id }) => id),
      TOMORROW,
    );
    await planned(world.scope(), visits, { channel: 'VOICE', kind: 'CHANGED' });
    return { phone, visits };
  }

  /** What was claimed and never written down is looked for, and what was not sent is sent. */
  async function recovered(): Promise<void> {
    await endLeases();
    minutes += 2;
    world.setClock(ELEVEN.add({ minutes }));
    await world.deliver();
    await world.deliver();
  }

  const calls = async (phone: string) =>
    (await world.simulator.given()).filter(({ kind, to }) => kind === 'call' && to === phone);

  it('is each of as many calls to one number as there are, and none is made again', async () => {
    const { phone, visits } = await callsToOneNumber('+12125550171');
    await world.simulator.script({ to: phone, kind: 'call', reply: 'drop', times: 2 });
    await world.deliver();
    assert.deepEqual(await standing(visits), { CLAIMED: 2 });
    await recovered();
    assert.deepEqual(await standing(visits), { SENT: 2 });
    const ids = (await calls(phone)).map(({ id }) => id);
    assert.equal(ids.length, 2);
    const noted = (await ledger(visits)).map((row) => row.provider_message_id);
    assert.deepEqual(new Set(noted), new Set(ids));
    assert.deepEqual(await tasks(), []);
  });

  it('is a person’s to find out when there are fewer calls than messages', async () => {
    const { phone, visits } = await callsToOneNumber('+12125550172');
    await world.simulator.script({ to: phone, kind: 'call', reply: 'drop' });
    await world.simulator.script({ to: phone, kind: 'call', reply: 'drop', taken: false });
    await world.deliver();
    await recovered();
    assert.deepEqual(await standing(visits), { 'UNKNOWN OUTCOME_UNKNOWN': 2 });
    assert.equal((await calls(phone)).length, 1);
    assert.equal((await tasks()).length, 2);
  });

  it('waits while somebody else calls the number', async () => {
    const { phone, visits } = await callsToOneNumber('+12125550173');
    await world.simulator.script({ to: phone, kind: 'call', reply: 'drop', times: 2 });
    await world.deliver();
    // Another worker, whose lease goes on.
    await asSuperuser(
      `update notifications set claimed_by = gen_random_uuid(),
         lease_until = case when id = (select min(id::text)::uuid from notifications) then now() - interval '1 second'
           else now() + interval '1 hour' end`,
    );
    await world.deliver();
    assert.deepEqual(await standing(visits), { CLAIMED: 2 });
    assert.deepEqual(await tasks(), []);
    await recovered();
    assert.deepEqual(await standing(visits), { SENT: 2 });
  });

  /** The first call found nobody at home, and the second has no answer of the provider. */
  async function calledAgain(phone: string, taken: boolean): Promise<string[]> {
    const [person] = await newPeople(world.scope(), 1, { ...VOICE_ONLY, phone });
    const visits = await newVisits(world.scope(), [person?.id ?? ''], TOMORROW);
    await planned(world.scope(), visits, { channel: 'VOICE' });
    await world.deliver();
    const [row] = await asSuperuser<{ id: string; attempt_id: string; provider_message_id: string }>(
      'select id, attempt_id, provider_message_id from notifications',
    );
    assert.ok(row);
    await notifications.report(world.scope(), {
      providerMessageId: row.provider_message_id,
      notificationId: row.id,
      attemptId: row.attempt_id,
      status: 'no-answer',
    });
    assert.deepEqual(await standing(visits), { PLANNED: 1 });
    await world.simulator.script({ to: phone, kind: 'call', reply: 'drop', taken });
    minutes += 16;
    world.setClock(ELEVEN.add({ minutes }));
    await world.deliver();
    assert.deepEqual(await standing(visits), { CLAIMED: 1 });
    await recovered();
    return visits;
  }

  for (const taken of [true, false]) {
    it(`is not the call before it, which found nobody: ${taken ? 'it was made' : 'it is made now'}`, async () => {
      const phone = `+1212555018${Number(taken)}`;
      const visits = await calledAgain(phone, taken);
      assert.deepEqual(await standing(visits), { SENT: 1 });
      const made = await calls(phone);
      assert.equal(made.length, 2);
      assert.equal((await ledger(visits))[0]?.provider_message_id, made[1]?.id);
      assert.deepEqual(await tasks(), []);
    });
  }

  it('answered with a fault of the provider is looked for, and sent where it was not taken', async () => {
    const people = await newPeople(world.scope(), 2, { preferences: { channels: ['SMS'] } });
    const visits = await newVisits(
      world.scope(),
      people.map(({ id }) => id),
      TOMORROW,
    );
    await planned(world.scope(), visits);
    for (const [i, { phone }] of people.entries()) {
      await world.simulator.script({ to: phone, kind: 'text', reply: 500, taken: i === 0 });
    }
    await world.deliver();
    assert.deepEqual(await standing(visits), { CLAIMED: 2 });
    await recovered();
    assert.deepEqual(await standing(visits), { SENT: 2 });
    const given = (await world.simulator.given()).map(({ to }) => to);
    assert.deepEqual(new Set(given), new Set(people.map(({ phone }) => phone)));
    assert.equal(given.length, 2);
  });

  it('goes another way at once when the phone cannot be reached', async () => {
    const [person] = await newPeople(world.scope(), 1, { preferences: { channels: ['SMS', 'EMAIL'] } });
    const visits = await newVisits(world.scope(), [person?.id ?? ''], TOMORROW);
    await planned(world.scope(), visits);
    await world.simulator.script({ to: person?.phone, kind: 'text', error: 30003, times: null });
    await world.deliver();
    await world.deliver();
    assert.deepEqual(await standing(visits), { 'FAILED REFUSED': 1, SENT: 1 });
    assert.deepEqual(
      (await world.simulator.given()).map(({ kind }) => kind),
      ['email'],
    );
  });
});
