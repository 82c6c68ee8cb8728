import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
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

describe('a delivery', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.simulator.reset();
    await asSuperuser(
      'truncate notifications, notification_attempts, delivery_reports, tasks, inbound_messages, opt_outs cascade',
    );
    world.setClock(ELEVEN);
  });

  afterEach(() => well());

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

  /** The circuit to the provider is closed again after what went wrong. */
  async function well(): Promise<void> {
    await world.simulator.recover();
    const { visits } = await due();
    while ((await standing(visits))['SENT'] !== 1) {
      world.setClock(world.scope().now.add({ minutes: 1 }));
      await world.deliver();
      await sleep(100);
    }
  }

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

  it('goes another way when the provider refuses, by preference and consent, and at last to a person', async () => {
    const all = { preferences: { channels: ['SMS' as const, 'VOICE' as const, 'EMAIL' as const] } };
    const refused = await due({}, all);
    await world.simulator.script({ to: refused.person.phone, kind: 'text', error: 21211, times: null });
    const unsubscribed = await due({}, all);
    await world.simulator.script({ to: unsubscribed.person.phone, kind: 'text', error: 21610, times: null });
    const only = await due({}, { preferences: { channels: ['SMS'] } });
    await world.simulator.script({ to: only.person.phone, error: 21614, times: null });
    await world.deliver();
    await world.deliver();
    const ways = async (visits: string[]) =>
      (await ledger(visits)).map(({ channel, status, reason }) => [channel, status, reason].join(' '));
    assert.deepEqual(await ways(refused.visits), ['SMS FAILED REFUSED', 'VOICE SENT ']);
    // Who wants no texts from us wants no calls either.
    assert.deepEqual(await ways(unsubscribed.visits), ['SMS FAILED REFUSED', 'EMAIL SENT ']);
    assert.deepEqual(await ways(only.visits), ['SMS FAILED REFUSED']);
    const [optOut] = await asSuperuser('select source from opt_outs where opted_out');
    assert.deepEqual(optOut, { source: 'PROVIDER' });
    const [row] = await ledger(only.visits);
    assert.deepEqual(await tasks(), [{ kind: 'UNDELIVERABLE', reason: 'REFUSED', notification_id: row?.id }]);
  });

  it('tries again later when the provider is busy, and asks it when it did not answer', async () => {
    const busy = await due();
    await world.simulator.script({ to: busy.person.phone, reply: 429, times: 3 });
    const taken = await due();
    await world.simulator.script({ to: taken.person.phone, reply: 'drop', times: 1 });
    await world.deliver();
    const [later] = await ledger(busy.visits);
    assert.deepEqual([later?.status, later?.attempts], ['PLANNED', 1]);
    const wait = (later?.due_at.getTime() ?? 0) - ELEVEN.epochMilliseconds;
    assert.ok(wait >= 15_000 && wait < 60_000, String(wait));
    assert.deepEqual(await standing(taken.visits), { CLAIMED: 1 });
    await endLeases();
    world.setClock(ELEVEN.add({ minutes: 2 }));
    await world.deliver();
    await world.deliver();
    assert.deepEqual(await standing(), { SENT: 2 });
    const given = (await world.simulator.given()).map(({ to }) => to);
    assert.deepEqual(new Set(given), new Set([busy, taken].map(({ person }) => person.phone)));
    assert.equal(given.length, 2);
  });

  it('gives up when there is no time left, and tells a person', async () => {
    const { person, visits } = await due({ expiresAt: ELEVEN.add({ seconds: 10 }) });
    await world.simulator.script({ to: person.phone, reply: 503, times: null });
    await world.deliver();
    assert.deepEqual(await standing(visits), { 'FAILED RETRIES_EXHAUSTED': 1 });
    assert.equal((await tasks())[0]?.reason, 'RETRIES_EXHAUSTED');
  });

  it('sends nothing that is late, at night, unwanted, or to whom is gone', async () => {
    const late = await due({
      kind: 'REMINDER_2H',
      dueAt: ELEVEN.subtract({ minutes: 31 }),
      expiresAt: ELEVEN.subtract({ minutes: 1 }),
    });
    const quiet = await due({}, { preferences: { channels: ['SMS'], quietHours: { from: '10:00', to: '14:00' } } });
    const never = await due(
      { expiresAt: ELEVEN.add({ hours: 1 }) },
      { preferences: { channels: ['SMS'], quietHours: { from: '10:00', to: '14:00' } } },
    );
    const stopped = await due();
    await notifications.holderOptsOut(world.scope(), { contact: stopped.person.phone, source: 'INBOUND_MESSAGE' });
    const silent = await due();
    await asSuperuser('delete from consents where patient_id = $1', [silent.person.id]);
    const unreachable = await due({ channel: 'VOICE' }, { preferences: { channels: ['SMS'] } });
    await asSuperuser('delete from consents where patient_id = $1', [unreachable.person.id]);
    const dead = await due();
    await asSuperuser(`update patients set status = 'DECEASED' where id = $1`, [dead.person.id]);
    await world.deliver();
    assert.deepEqual(await world.simulator.given(), []);
    const reasons = async ({ visits }: { visits: string[] }) => (await ledger(visits))[0]?.reason;
    assert.equal(await reasons(late), 'STALE');
    assert.equal(await reasons(never), 'QUIET_HOURS');
    assert.equal(await reasons(stopped), 'OPTED_OUT');
    assert.equal(await reasons(silent), 'NO_CONSENT');
    assert.equal(await reasons(unreachable), 'NO_CHANNEL');
    assert.equal(await reasons(dead), 'PATIENT_INACTIVE');
    const [waiting] = await ledger(quiet.visits);
    assert.equal(waiting?.status, 'PLANNED');
    assert.equal(waiting.due_at.toISOString(), '2026-11-24T19:00:00.000Z');
  });

  it('is not stopped by a row that cannot be read', async () => {
    const broken = await due();
    await asSuperuser(
      `update patients set identity = set_byte(identity, 40, get_byte(identity, 40) # 1) where id = $1`,
      [broken.person.id],
    );
    const strange = await due({}, { timeZone: 'America/New_York' });
    await asSuperuser(`update patients set time_zone = 'Nowhere/Land' where id = $1`, [strange.person.id]);
    const good = await due();
    await world.deliver();
    assert.deepEqual(await standing(broken.visits), { 'SKIPPED UNREADABLE': 1 });
    assert.deepEqual(await standing(strange.visits), { 'SKIPPED UNREADABLE': 1 });
    assert.deepEqual(await standing(good.visits), { SENT: 1 });
    assert.deepEqual(
      (await tasks()).map(({ reason }) => reason),
      ['UNREADABLE', 'UNREADABLE'],
    );
  });

  it('puts the visits of one hour into one message, which counts once, and holds back one too many', async () => {
    const scope = world.scope();
    const [person] = await newPeople(scope, 1);
    assert.ok(person);
    const first = await newVisits(scope, [person.id], TOMORROW);
    const second = await newVisits(scope, [person.id], TOMORROW.add({ minutes: 40 }));
    const third = await newVisits(scope, [person.id], TOMORROW.add({ hours: 5 }));
    await planned(scope, first);
    await planned(scope, second, { dueAt: ELEVEN.add({ minutes: 40 }) });
    await planned(scope, third, { dueAt: ELEVEN.add({ hours: 5 }) });
    await world.deliver();
    const [text, ...others] = await world.simulator.given();
    assert.deepEqual(others, []);
    assert.match(text?.body ?? '', /11:00 AM.* and .*11:40 AM/);
    const [carrier] = await ledger(first);
    assert.deepEqual(await standing([...first, ...second]), { SENT: 2 });
    assert.equal((await ledger(second))[0]?.merged_into, carrier?.id);
    world.setClock(ELEVEN.add({ hours: 5 }));
    await world.deliver();
    assert.deepEqual(await standing(third), { 'SKIPPED FREQUENCY_CAP': 1 });
  });

  it('calls with the text to be heard, and writes e-mails', async () => {
    const call = await due({ channel: 'VOICE' }, { language: 'es', preferences: { channels: ['VOICE'] } });
    const mail = await due({ channel: 'EMAIL' }, { preferences: { channels: ['EMAIL'] } });
    await world.deliver();
    assert.deepEqual(await standing([...call.visits, ...mail.visits]), { SENT: 2 });
    const given = await world.simulator.given();
    assert.deepEqual(given.map(({ kind }) => kind).toSorted(), ['call', 'email']);
    assert.deepEqual(given.find(({ kind }) => kind === 'email')?.to, [mail.person.email]);
  });
});
