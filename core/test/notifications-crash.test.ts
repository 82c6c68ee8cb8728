/** Deliveries whose processes are killed, whose clocks jump, and whose provider is down: every message goes out once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from '#care';
import { LOCKS } from '#platform/advisory-locks';
import * as scheduling from '#scheduling';
import type { Scope } from '../src/platform/scope.ts';
import { newProvider } from './support/appointments.ts';
import {
  ELEVEN,
  endLeases,
  type Given,
  ledger,
  type LedgerRow,
  newPeople,
  newVisits,
  openWorld,
  type Person,
  planned,
  standing,
  tasks,
  type WorkerProcess,
  type World,
} from './support/delivery.ts';
import { asSuperuser } from './support/testing.ts';

const VISITS = 120;
const LANES = 16;
/** In the weeks ahead. */
const MONDAY_AT_TEN = Temporal.Instant.from('2026-11-30T15:00:00Z');
/** What befalls a visit. */
const ORDERS = [['cancel'], ['move'], ['move', 'cancel'], ['move', 'move'], ['move', 'move', 'cancel']];

/** The same numbers for the same seed: mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const UNDER_WAY = `select count(*)::int as count from notifications where status in ('PLANNED', 'CLAIMED')`;

async function underWay(): Promise<number> {
  return (await asSuperuser<{ count: number }>(UNDER_WAY))[0]?.count ?? 0;
}

/** Reminders of the days to come are not. */
async function dueNow(): Promise<number> {
  const [row] = await asSuperuser<{ count: number }>(
    `select count(*)::int as count from notifications
     where status = 'CLAIMED' or status = 'PLANNED' and due_at < $1::timestamptz`,
    [ELEVEN.add({ hours: 1 }).toString()],
  );
  return row?.count ?? 0;
}

async function claimed(): Promise<number> {
  const text = `select count(*)::int as count from notifications where status = 'CLAIMED'`;
  return (await asSuperuser<{ count: number }>(text))[0]?.count ?? 0;
}

/** Messages, with all that they carry, whose worker is dead: its lock is free. */
async function leftBehind(): Promise<number> {
  const [row] = await asSuperuser<{ count: number }>(
    `select count(*)::int as count from notifications
     where status = 'CLAIMED' and pg_try_advisory_xact_lock_shared(hashtextextended(claimed_by::text, $1))`,
    [LOCKS.messageClaimant],
  );
  return row?.count ?? 0;
}

/** Kills one after the other until one leaves messages behind. Returns how many. */
async function killWhoIsBusy(workers: WorkerProcess[], random: () => number): Promise<number> {
  let left = 0;
  while (left === 0 && workers.length > 0) {
    const [victim] = workers.splice(random() < 0.5 ? 0 : -1, 1);
    await victim?.kill();
    left = await leftBehind();
  }
  return left;
}

/** Until nothing is planned or claimed any more. What died has died for good: its leases end. */
async function settled(): Promise<void> {
  while ((await underWay()) > 0) {
    await endLeases();
    await sleep(300);
  }
}

const addressOf = ({ channel }: LedgerRow, { phone, email }: Person): string => (channel === 'EMAIL' ? email : phone);
const KIND = { SMS: 'text', VOICE: 'call', EMAIL: 'email' } as const;

/** How often the provider took the message of each row. */
function timesGiven(rows: readonly LedgerRow[], people: readonly Person[], given: readonly Given[]): number[] {
  const byId = new Map(people.map((person) => [person.id, person]));
  return rows.map((row) => {
    const to = addressOf(row, byId.get(row.patient_id) as Person);
    const kind = KIND[row.channel as Channel];
    return given.filter((one) => one.kind === kind && [one.to].flat().includes(to)).length;
  });
}

describe('deliveries of several processes', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.killWorkers();
    await world.simulator.reset();
    await asSuperuser(
      'truncate notifications, notification_attempts, delivery_reports, tasks, inbound_messages cascade',
    );
    world.setClock(ELEVEN);
  });

  async function due(count: number, channel: Channel): Promise<Person[]> {
    const scope = world.scope();
    const people = await newPeople(scope, count, { preferences: { channels: [channel] } });
    const visits = await newVisits(
      scope,
      people.map(({ id }) => id),
      ELEVEN.add({ hours: 24 }),
    );
    await planned(scope, visits, { channel });
    return people;
  }

  /**
   * Two workers, one of which is killed now and then while it has messages with the provider, until nothing is left.
   * Returns those that live, and how many messages the others left behind.
   */
  async function killedAtRandom(random: () => number, times: number) {
    const workers: WorkerProcess[] = await Promise.all([world.startWorker(), world.startWorker()]);
    let lost = 0;
    for (let kills = 0; kills < times && (await underWay()) > 0; kills++) {
      while ((await claimed()) === 0 && (await underWay()) > 0) await sleep(20);
      await sleep(random() * 900);
      if (random() < 0.5) world.setClock(ELEVEN.add({ minutes: Math.floor(random() * 240) - 60 }));
      lost += await killWhoIsBusy(workers, random);
      await endLeases();
      while (workers.length < 2) workers.push(await world.startWorker());
    }
    // Where a clock jumped back, what was put off until later would be waited for.
    world.setClock(ELEVEN.add({ hours: 3 }));
    await settled();
    assert.ok(lost > 0, 'nobody was killed in the middle of anything');
    return { workers, lost };
  }

  it('give each message to the provider once, whenever they are killed and however their clocks jump', async (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SEED=${seed}`);
    const random = randomFrom(seed);
    // It has the message before it answers: whoever is killed meanwhile does not hear of it.
    await world.simulator.script({ delayMs: 700, times: null });
    const people = [...(await due(90, 'SMS')), ...(await due(15, 'VOICE')), ...(await due(15, 'EMAIL'))];
    const { workers, lost } = await killedAtRandom(random, 5);

    const rows = await ledger();
    const times = timesGiven(rows, people, await world.simulator.given());
    const wrong = rows.filter(({ status }, i) => (status === 'SENT' ? times[i] !== 1 : (times[i] as number) > 1));
    assert.deepEqual(wrong, []);
    const unknown = rows.filter(({ status }) => status === 'UNKNOWN');
    assert.deepEqual(
      rows.filter(({ status }) => status !== 'SENT' && status !== 'UNKNOWN'),
      [],
    );
    // A text can always be found out.
    assert.ok(unknown.every(({ channel }) => channel !== 'SMS'));
    const open = (await tasks()).map(({ kind, notification_id }) => `${kind} ${notification_id}`);
    assert.deepEqual(open.toSorted(), unknown.map(({ id }) => `UNDECIDABLE ${id}`).toSorted());
    t.diagnostic(`${lost} left behind, ${unknown.length} of ${rows.length} undecidable`);
    await Promise.all(workers.map((worker) => worker.stop()));
  });

  it('give one message about several visits once, with all of them, whenever they are killed', async (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SEED=${seed}`);
    await world.simulator.script({ delayMs: 700, times: null });
    const people = [...(await due(60, 'SMS')), ...(await due(10, 'VOICE')), ...(await due(8, 'EMAIL'))];
    // The second visit of each, within the hour of the first.
    for (const [channel, of] of [
      ['SMS', people.slice(0, 60)],
      ['VOICE', people.slice(60, 70)],
      ['EMAIL', people.slice(70)],
    ] as const) {
      const ids = of.map(({ id }) => id);
      const visits = await newVisits(world.scope(), ids, ELEVEN.add({ hours: 24, minutes: 40 }));
      await planned(world.scope(), visits, { channel });
    }
    const { workers, lost } = await killedAtRandom(randomFrom(seed), 4);

    const [rows, given] = [await ledger(), await world.simulator.given()];
    const groups = [...Map.groupBy(rows, ({ patient_id }) => patient_id).values()];
    for (const [one, other, ...more] of groups) {
      assert.ok(one && other && more.length === 0);
      assert.equal(one.status, other.status, `${one.channel}: one fate`);
      const [times] = timesGiven([one], people, given);
      if (one.status === 'SENT') {
        assert.equal(times, 1, one.channel);
        assert.equal([one, other].filter(({ merged_into }) => merged_into !== null).length, 1);
      } else {
        assert.equal(one.status, 'UNKNOWN');
        assert.ok((times ?? 0) <= 1);
      }
    }
    assert.equal(groups.length, people.length);
    const texts = given.filter(({ kind }) => kind === 'text');
    assert.ok(texts.every(({ body = '' }) => body.includes('11:00') && body.includes('11:40')));
    const unknown = rows.filter(({ status }) => status === 'UNKNOWN');
    assert.ok(unknown.every(({ channel }) => channel === 'EMAIL'));
    assert.deepEqual(
      (await tasks()).map(({ notification_id }) => notification_id).toSorted(),
      unknown.map(({ id }) => id).toSorted(),
    );
    t.diagnostic(`${lost} left behind, ${unknown.length} of ${rows.length} undecidable`);
    await Promise.all(workers.map((worker) => worker.stop()));
  });

  it('lose nothing and double nothing in an outage of an hour', async () => {
    const people = await due(60, 'SMS');
    await world.simulator.script({ reply: 503, times: null });
    const workers = await Promise.all([world.startWorker(), world.startWorker()]);
    const waitingFor = `select count(*)::int as count from notifications where attempts = 0 or status = 'CLAIMED'`;
    for (let minutes = 0; minutes <= 60; minutes += 20) {
      world.setClock(ELEVEN.add({ minutes }));
      await sleep(1_500);
    }
    while (((await asSuperuser<{ count: number }>(waitingFor))[0]?.count ?? 0) > 0) await sleep(200);
    assert.deepEqual(await standing(), { PLANNED: 60 });
    assert.deepEqual(await world.simulator.given(), []);
    await world.simulator.recover();
    world.setClock(ELEVEN.add({ minutes: 120 }));
    // The circuit is still open: what is refused by it comes again.
    while ((await underWay()) > 0) {
      await sleep(1_000);
      world.setClock(world.scope().now.add({ minutes: 5 }));
    }
    assert.deepEqual(await standing(), { SENT: 60 });
    assert.deepEqual(new Set(timesGiven(await ledger(), people, await world.simulator.given())), new Set([1]));
    assert.deepEqual(await tasks(), []);
    await Promise.all(workers.map((worker) => worker.stop()));
  });

  it('hand back what they have not begun when they are told to end, and finish what they have', async () => {
    const people = await due(200, 'SMS');
    await world.simulator.script({ delayMs: 400, times: null });
    const worker = await world.startWorker();
    while ((await world.simulator.given()).length === 0) await sleep(50);
    await worker.stop();
    const left = await standing();
    assert.equal(left['CLAIMED'], undefined);
    const given = await world.simulator.given();
    assert.equal(given.length, left['SENT']);
    await world.simulator.recover();
    const next = await world.startWorker();
    while ((await underWay()) > 0) await sleep(100);
    assert.deepEqual(await standing(), { SENT: 200 });
    assert.deepEqual(new Set(timesGiven(await ledger(), people, await world.simulator.given())), new Set([1]));
    await next.stop();
  });

  it('give nothing to the provider for what a visit was, once it was called off or moved', async (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SEED=${seed}`);
    const random = randomFrom(seed);
    // Some wait for their turn while others are answered.
    await world.simulator.script({ delayMs: 150, times: null });
    const agent = { ...world.scope(), actor: { id: randomUUID(), role: 'agent', sessionId: null } } as const;
    const scope = (): Scope => world.app.scope(agent.actor, agent.request);
    const people = await newPeople(world.scope(), VISITS);
    const workers = await Promise.all([world.startWorker(), world.startWorker()]);
    /** From when on nothing of that revision may go out. */
    const over = new Map<string, number>();

    async function play({ id }: Person, n: number): Promise<void> {
      const at = (step: number) => MONDAY_AT_TEN.add({ hours: 24 * 7 * step, minutes: 30 * (n % 8) });
      const providerId = await newProvider(world.scope());
      const booking = { patientId: id, providerId, service: 'TELEHEALTH', startsAt: at(0) } as const;
      let visit = await scheduling.schedule(scope(), booking);
      for (const [step, act] of (ORDERS[n % ORDERS.length] as readonly string[]).entries()) {
        await sleep(random() * 600);
        const { revision } = visit;
        visit =
          act === 'move'
            ? await scheduling.reschedule(scope(), visit.id, { startsAt: at(step + 1) })
            : await scheduling.cancel(scope(), visit.id, { reason: 'PATIENT' });
        over.set(`${visit.id} ${revision}`, Temporal.Now.instant().epochMilliseconds);
      }
    }
    // More at once than there are connections, and not so many that on a slow machine one waits ten seconds for its own.
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      for (let n = lane; n < people.length; n += LANES) await play(people[n] as Person, n);
    });
    await Promise.all(lanes);
    while ((await dueNow()) > 0) await sleep(200);

    const given = new Map((await world.simulator.given()).map((one) => [one.id, Date.parse(one.at)]));
    const late = (await ledger()).filter((row) => {
      const end = over.get(`${row.appointment_id} ${row.revision}`);
      const at = given.get(row.provider_message_id ?? '');
      return end !== undefined && at !== undefined && row.kind !== 'CANCELLED' && at > end;
    });
    assert.deepEqual(late, []);
    assert.equal(given.size, (await ledger()).filter((row) => row.provider_message_id !== null).length);
    t.diagnostic(`${given.size} messages about ${VISITS} visits`);
    await Promise.all(workers.map((worker) => worker.stop()));
  });
});
