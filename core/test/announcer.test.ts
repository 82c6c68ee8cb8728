import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openAnnouncer } from '#platform/announcer';

const HOUR_MS = 3_600_000;

function listening() {
  const told: string[] = [];
  return { told, publish: async (channel: string, payload: string) => void told.push(`${channel} ${payload}`) };
}

async function aWhile(): Promise<void> {
  for (let i = 0; i < 10; i++) await setImmediate();
}

describe('announcer', () => {
  it('tells at once what comes after a rest, each channel for itself', async () => {
    const { told, publish } = listening();
    await using announcer = openAnnouncer({ publish }, (error) => assert.fail(String(error)), HOUR_MS);
    announcer.announce('jobs', 'reminders');
    announcer.announce('events', '7');
    await aWhile();
    assert.deepEqual(told.toSorted(), ['events 7', 'jobs reminders']);
  });

  it('tells together, and the same once, what is said during a rest; at its end what still waits', async () => {
    const { told, publish } = listening();
    {
      await using announcer = openAnnouncer({ publish }, (error) => assert.fail(String(error)), HOUR_MS);
      announcer.announce('jobs', 'first');
      await aWhile();
      for (const queue of ['a', 'b', 'a', 'b']) announcer.announce('jobs', queue);
      await aWhile();
      assert.deepEqual(told, ['jobs first']);
    }
    assert.deepEqual(told, ['jobs first', 'jobs a', 'jobs b']);
  });

  it('goes on after a message that could not be told, and says so', async () => {
    const errors: string[] = [];
    const { told, publish } = listening();
    const faulty = async (channel: string, payload: string) =>
      payload === 'lost' ? Promise.reject(new Error('gone')) : publish(channel, payload);
    {
      await using announcer = openAnnouncer({ publish: faulty }, (_error, channel) => void errors.push(channel));
      announcer.announce('jobs', 'lost');
      announcer.announce('jobs', 'next');
    }
    assert.deepEqual([errors, told], [['jobs'], ['jobs next']]);
  });
});
