import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { guard, NotBegun, Refused, Unavailable, Unknown } from '../src/integrations/guard.ts';
import { ManualClock } from '../src/platform/clock.ts';
import { assertSame } from './support/same.ts';

const OPTIONS = {
  timeoutMs: 1_000,
  atOnce: 1,
  retries: 1,
  firstRetryMs: 1,
  failuresToOpen: 100,
  reopenAfterMs: 60_000,
};

/** How often it was called before it said how it ended. */
async function callsOf(made: (call: () => Promise<string>) => Promise<string>, error: Error) {
  let calls = 0;
  const outcome = await made(async () => {
    calls++;
    throw error;
  }).catch((thrown: unknown) => thrown);
  return { calls, outcome };
}

describe('guard', () => {
  for (const how of ['ask', 'send'] as const) {
    it(`tries again what did not happen and may work later, and not what was refused (${how})`, async () => {
      let calls = 0;
      const guarded = guard(OPTIONS);
      const answer = await guarded[how](async () => {
        if (++calls === 1) throw new Unavailable('503');
        return 'sent';
      });
      assert.deepEqual([answer, calls], ['sent', 2]);

      const refused = await callsOf((call) => guarded[how](call), new Refused('21211'));
      assert.equal(refused.calls, 1);
      assert.ok(refused.outcome instanceof Refused);
      assert.equal(refused.outcome.code, '21211');
    });
  }

  it('never sends again what may have been sent, and asks again what has no answer', async () => {
    const guarded = guard(OPTIONS);
    const sent = await callsOf((call) => guarded.send(call), new Unknown('ECONNRESET'));
    assert.equal(sent.calls, 1);
    assert.ok(sent.outcome instanceof Unknown);

    const asked = await callsOf((call) => guarded.ask(call), new Unknown('ECONNRESET'));
    assert.equal(asked.calls, 2);
    assert.ok(asked.outcome instanceof Unavailable);
    assert.equal(asked.outcome.code, 'ECONNRESET');
  });

  it('gives up a call that takes too long, tells it so, and does not send it again', async () => {
    const signals: AbortSignal[] = [];
    const guarded = guard({ ...OPTIONS, timeoutMs: 5 });
    const hang = (signal: AbortSignal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    await assert.rejects(guarded.send(hang), (thrown) => thrown instanceof Unknown && thrown.code === 'TIMEOUT');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true],
    );
    await assert.rejects(guarded.ask(hang), (thrown) => thrown instanceof Unavailable && thrown.code === 'TIMEOUT');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true, true],
    );
  });

  it('refuses at once after too many failures of either kind, and says that nothing was begun', async () => {
    const guarded = guard({ ...OPTIONS, retries: 0, failuresToOpen: 2 });
    await callsOf((call) => guarded.send(call), new Unknown('ECONNRESET'));
    await callsOf((call) => guarded.ask(call), new Unavailable('503'));
    const { calls, outcome } = await callsOf((call) => guarded.send(call), new Unavailable('503'));
    assert.equal(calls, 0);
    assert.ok(outcome instanceof Unavailable);
    assert.equal(outcome.code, 'CIRCUIT_OPEN');
  });

  it('refuses what would wait behind too many', async () => {
    const guarded = guard(OPTIONS);
    const done = Promise.withResolvers<void>();
    const running = [1, 2, 3].map(() => guarded.send(() => done.promise));
    await assert.rejects(
      guarded.ask(async () => undefined),
      { code: 'OVERLOADED' },
    );
    done.resolve();
    await Promise.all(running);
  });

  it('refuses everything once it is tripped, a further attempt too, until it is reset', async () => {
    const guarded = guard(OPTIONS);
    let calls = 0;
    const outcome = await guarded
      .ask(async () => {
        calls++;
        guarded.trip();
        throw new Unavailable('503');
      })
      .catch((thrown: unknown) => thrown);
    assert.ok(outcome instanceof NotBegun);
    assert.deepEqual([outcome.code, calls], ['TRIPPED', 1]);
    guarded.trip();
    await assert.rejects(
      guarded.send(async () => assert.fail('It was called')),
      { code: 'TRIPPED' },
    );
    assert.equal(guarded.report().state, 'TRIPPED');
    guarded.reset();
    assert.equal(guarded.report().state, 'CLOSED');
    assert.equal(await guarded.send(async () => 'sent'), 'sent');
  });

  it('lets what runs go on when it is tripped', async () => {
    const guarded = guard(OPTIONS);
    const done = Promise.withResolvers<string>();
    const running = guarded.send(() => done.promise);
    guarded.trip();
    done.resolve('sent');
    assert.equal(await running, 'sent');
  });

  it('is open to calls after a reset, whatever opened its circuit', async () => {
    const guarded = guard({ ...OPTIONS, retries: 0, failuresToOpen: 2 });
    for (const _ of [1, 2]) await callsOf((call) => guarded.send(call), new Unavailable('503'));
    assert.equal(guarded.report().state, 'OPEN');
    guarded.reset();
    await callsOf((call) => guarded.send(call), new Unavailable('503'));
    assert.equal(guarded.report().state, 'CLOSED');
  });

  it('reports how calls ended, what was tried again or took too long, and who runs and waits', async () => {
    const clock = new ManualClock('2026-03-02T15:00:00Z');
    const guarded = guard({ ...OPTIONS, timeoutMs: 5, atOnce: 1 }, clock);
    const { lastErrorCode, lastErrorAt } = guarded.report();
    assert.deepEqual([lastErrorCode, lastErrorAt], [null, null]);
    await guarded.send(async () => 'sent');
    await callsOf((call) => guarded.send(call), new Refused('21211'));
    await callsOf((call) => guarded.ask(call), new Unavailable('503'));
    assert.equal(guarded.report().lastErrorCode, '503');
    clock.advance({ seconds: 1 });
    await assert.rejects(guarded.send(() => new Promise(() => undefined)));
    const done = Promise.withResolvers<void>();
    const running = [1, 2].map(() => guarded.send(() => done.promise));
    guarded.trip();
    const { lastErrorAt: at, ...report } = guarded.report();
    assertSame(at, clock.now());
    assert.deepEqual(report, {
      state: 'TRIPPED',
      succeeded: 1,
      refused: 1,
      failed: 2,
      rejected: 0,
      retries: 1,
      timeouts: 1,
      running: 1,
      waiting: 1,
      lastErrorCode: 'TIMEOUT',
    });
    done.resolve();
    await Promise.allSettled(running);
    assert.deepEqual([guarded.report().succeeded, guarded.report().rejected], [2, 1]);
  });

  it('remembers of an error nothing that somebody could read', async () => {
    const guarded = guard({ ...OPTIONS, retries: 0 });
    const remembered = async (error: Error) => {
      await callsOf((call) => guarded.send(call), error);
      return guarded.report().lastErrorCode;
    };
    assert.equal(await remembered(new Unavailable('ECONNRESET')), 'ECONNRESET');
    assert.equal(await remembered(new Unknown('30006')), '30006');
    assert.equal(await remembered(new TypeError('Ada Lovelace')), 'UNEXPECTED');
    for (const said of ['Ada Lovelace', '+12125550123', '12125550123', 'ada@example.com', 'X'.repeat(41)]) {
      assert.equal(await remembered(new Unavailable(said)), 'OTHER');
    }
  });

  it('waits before each further attempt for longer, and never as long as others', async (t) => {
    const waits: number[] = [];
    const atOnce = globalThis.setTimeout;
    const patience = 1_000_000;
    t.mock.method(globalThis, 'setTimeout', (run: () => void, ms: number) => {
      if (ms !== patience) waits.push(ms);
      return atOnce(run, ms === patience ? ms : 0);
    });
    const guarded = guard({ ...OPTIONS, timeoutMs: patience, retries: 3, firstRetryMs: 100, failuresToOpen: 10_000 });
    for (let n = 0; n < 100; n++) await callsOf((call) => guarded.ask(call), new Unavailable('503'));
    assert.ok(new Set(waits).size > 290, `${new Set(waits).size} of 300 waits differ`);
    const [first = 0, second = 0, third = 0] = [0, 1, 2].map((retry) =>
      waits.filter((_, i) => i % 3 === retry).reduce((sum, ms) => sum + ms, 0),
    );
    assert.ok(first > 0 && second > first && third > second, `${first}, ${second}, ${third}`);
  });
});
