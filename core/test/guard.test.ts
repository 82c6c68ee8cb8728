import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { guard, Refused, Unavailable, Unknown } from '../src/integrations/guard.ts';

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
});
