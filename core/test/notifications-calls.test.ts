import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as notifications from '#notifications';
import {
  ELEVEN,
  type Given,
  newPeople,
  newVisits,
  openWorld,
  planned,
  standing,
  type World,
} from './support/delivery.ts';
import { asSuperuser } from './support/testing.ts';

/** Where nobody listens: what is posted there is of no matter here. */
const PUBLIC_URL = 'http://127.0.0.1:9';

describe('a call', () => {
  let world: World;
  before(async () => {
    world = await openWorld({ PUBLIC_URL });
    world.setClock(ELEVEN);
  });
  after(() => world[Symbol.asyncDispose]());

  async function called(language: string, kind: notifications.Kind): Promise<Given & { readonly keys: string[] }> {
    const [person] = await newPeople(world.scope(), 1, { language, preferences: { channels: ['VOICE'] } });
    const visits = await newVisits(world.scope(), [person?.id ?? ''], ELEVEN.add({ hours: 24 }));
    if (kind === 'CANCELLED')
      await asSuperuser(
        `update appointments set status = 'CANCELLED', cancellation_reason = 'PROVIDER' where id = $1`,
        [visits[0]],
      );
    await planned(world.scope(), visits, { channel: 'VOICE', kind });
    await world.simulator.script({ to: person?.phone, kind: 'call', keys: '9' });
    await world.deliver();
    assert.deepEqual(await standing(visits), { SENT: 1 });
    for (;;) {
      const call = (await world.simulator.given()).find(({ to }) => to === person?.phone) as Given & { keys: string[] };
      if (call.keys.length > 0) return call;
      await sleep(20);
    }
  }

  it('of any kind says in its language which key ends all calls, and waits for it', async () => {
    for (const kind of ['REMINDER_24H', 'CANCELLED'] as const) {
      const english = await called('en', kind);
      assert.match(english.said?.[0]?.text ?? '', /To get no more calls or texts from us, press 9\.$/);
      const spanish = await called('es', kind);
      assert.match(spanish.said?.[0]?.text ?? '', /Si no desea más llamadas ni mensajes, oprima 9\.$/);
      assert.deepEqual([english.keys, spanish.keys], [['9'], ['9']]);
    }
  });
});
