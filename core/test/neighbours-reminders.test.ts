import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as neighbours from '#neighbours';
import { actor, asSuperuser } from './support/testing.ts';
import { ELEVEN, newPeople, newVisits, openWorld, planned, standing, type World } from './support/delivery.ts';

let world: World;
before(async () => {
  world = await openWorld();
});
after(() => world[Symbol.asyncDispose]());

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe('reminders, while texts are stopped by hand,', () => {
  it('stay planned in every worker, and go out after the reset', async () => {
    world.setClock(ELEVEN);
    const admin = actor('admin', { id: randomUUID() });
    await asSuperuser(
      `insert into users (id, role, data_key, identity, email_index, email_verified, created_at, updated_at)
       values ($1, 'admin', '\\x01', '\\x02', '\\x03', true, now(), now())`,
      [admin.id],
    );
    const byAdmin = () => ({ ...world.scope(), actor: admin });
    await neighbours.trip(byAdmin(), 'sms', { reason: 'They bill twice' });
    const scope = world.scope();
    const people = await newPeople(scope, 3);
    const visits = await newVisits(
      scope,
      people.map(({ id }) => id),
      ELEVEN.add({ hours: 24 }),
    );
    await planned(scope, visits);

    const worker = await world.startWorker();
    const tried = async () =>
      (await asSuperuser<{ code: string; outcome: string }>('select code, outcome from notification_attempts')).map(
        ({ code, outcome }) => `${outcome} ${code}`,
      );
    await until(async () => (await tried()).length === 3 && !(await tried()).includes('null null'));
    assert.deepEqual(
      await tried(),
      Array.from({ length: 3 }, () => 'UNAVAILABLE TRIPPED'),
    );
    assert.deepEqual(await standing(visits), { PLANNED: 3 });
    assert.deepEqual(await world.simulator.given(), []);

    await neighbours.reset(byAdmin(), 'sms');
    world.setClock(ELEVEN.add({ minutes: 30 }));
    await until(async () => (await standing(visits))['SENT'] === 3);
    assert.equal((await world.simulator.given()).length, 3);
    await worker.stop();
  });
});
