import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { InvalidInput } from '@careflex/core/platform/errors';
import { emitAll, type Event, sequenceEvents } from '@careflex/core/platform/events';
import { transact } from '@careflex/core/platform/scope';
import { EventFeed } from '../src/event-feed.ts';
import { useApi } from './support/api.ts';

const api = useApi();

/** Writes so many events and numbers them. Returns the newest sequence. */
async function happen(count: number): Promise<number> {
  await transact(api.systemScope(), (scope) => {
    const payloads = Array.from({ length: count }, () => ({}));
    return emitAll(scope, 'test.happened' as never, payloads as never);
  });
  return newest();
}

async function newest(): Promise<number> {
  const feed = new EventFeed(api.app);
  await sequenceEvents(api.systemScope());
  const probe = await feed.follow({ matches: () => true, since: 0 });
  feed.close();
  await probe.return?.();
  const [row] = await transact(api.systemScope(), ({ db }) =>
    db
      .selectFrom('events')
      .select((eb) => eb.fn.max('sequence').as('newest'))
      .execute(),
  );
  return row?.newest ?? 0;
}

async function take(events: AsyncIterator<Event | null>, count: number): Promise<number[]> {
  const sequences: number[] = [];
  while (sequences.length < count) {
    const { value, done } = await events.next();
    if (done) break;
    sequences.push((value as Event).sequence);
  }
  return sequences;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const isOurs = ({ topic }: Event) => (topic as string) === 'test.happened';

describe('following events', () => {
  test('begins with now, which is behind everything that is committed', async () => {
    const feed = new EventFeed(api.app);
    await happen(3);
    const events = await feed.follow({ matches: isOurs });
    const before = await newest();
    const after = await happen(2);
    feed.wake();
    assert.deepEqual(await take(events, 2), range(before + 1, after));
    feed.close();
  });

  test('begins behind `since`, over many pages, and goes on with what comes', async () => {
    const feed = new EventFeed(api.app);
    const since = await newest();
    const end = await happen(1_700);
    const events = await feed.follow({ matches: isOurs, since });
    assert.deepEqual(await take(events, 1_700), range(since + 1, end));
    const later = await happen(2);
    feed.wake();
    assert.deepEqual(await take(events, 2), range(end + 1, later));
    feed.close();
  });

  test('refuses a `since` that nobody can have seen', async () => {
    const feed = new EventFeed(api.app);
    const tooFar = (await newest()) + 1;
    for (const since of [-1, 0.5, tooFar]) {
      await assert.rejects(feed.follow({ matches: isOurs, since }), InvalidInput);
    }
    feed.close();
  });

  test('loses nothing for a subscriber that does not keep up', async () => {
    const feed = new EventFeed(api.app);
    const events = await feed.follow({ matches: isOurs });
    const start = await newest();
    // It is handed more than it may let wait, and only then begins to read.
    for (let i = 0; i < 5; i++) {
      await happen(500);
      feed.wake();
    }
    const quick = await feed.follow({ matches: isOurs, since: start });
    const end = await newest();
    assert.deepEqual(await take(quick, end - start), range(start + 1, end));
    assert.deepEqual(await take(events, end - start), range(start + 1, end));
    feed.close();
  });

  test('doubles nothing for a subscriber that has read further than the feed', async () => {
    const feed = new EventFeed(api.app, 600_000);
    const start = await newest();
    await feed.follow({ matches: isOurs });
    const handedOut = await happen(3);
    feed.wake();
    while (feed.handedOut() < handedOut) await sleep(5);
    const events = await feed.follow({ matches: isOurs, since: start });
    const read = await happen(5);
    assert.deepEqual(await take(events, 8), range(start + 1, read));
    const further = await happen(1);
    feed.wake();
    assert.deepEqual(await take(events, 1), [further]);
    feed.close();
  });

  test('ends when the feed closes, also while it waits', async () => {
    const feed = new EventFeed(api.app);
    const events = await feed.follow({ matches: isOurs });
    const waiting = events.next();
    feed.close();
    assert.equal((await waiting).done, true);
    const tooLate = await feed.follow({ matches: isOurs });
    assert.equal((await tooLate.next()).done, true);
  });

  test('gives each event once and in order, wherever the past passes into the present', async () => {
    const burst = fc.record({ events: fc.integer({ min: 1, max: 40 }), follow: fc.boolean(), wake: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(burst, { minLength: 1, maxLength: 6 }), async (bursts) => {
        const feed = new EventFeed(api.app);
        const start = await newest();
        const followers = [await feed.follow({ matches: isOurs, since: start })];
        const starting: Promise<unknown>[] = [];
        for (const { events, follow, wake } of bursts) {
          const happened = happen(events);
          if (follow) starting.push(feed.follow({ matches: isOurs, since: start }).then((it) => followers.push(it)));
          if (wake) feed.wake();
          await happened;
        }
        await Promise.all(starting);
        const end = await newest();
        feed.wake();
        for (const events of followers) assert.deepEqual(await take(events, end - start), range(start + 1, end));
        // What came twice would stand before this one.
        const further = await happen(1);
        feed.wake();
        for (const events of followers) assert.deepEqual(await take(events, 1), [further]);
        feed.close();
      }),
      { numRuns: 25 },
    );
  });
});
