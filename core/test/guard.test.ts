import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { guard, Refused, Unavailable } from '../src/integrations/guard.ts';

const OPTIONS = {
  timeoutMs: 1_000,
  atOnce: 1,
  retries: 1,
  firstRetryMs: 1,
  failuresToOpen: 100,
  reopenAfterMs: 60_000,
};

describe('guard', () => {
  it('tries again what may work later, and not what was refused', async () => {
    let calls = 0;
    const guarded = guard(OPTIONS);
    const answer = await guarded(async () => {
      if (++calls === 1) throw new Unavailable('503');
      return 'sent';
    });
    assert.deepEqual([answer, calls], ['sent', 2]);

    let refusals = 0;
    const refused = guarded(async () => {
      refusals++;
      throw new Refused('21211');
    });
    await assert.rejects(refused, { code: '21211' });
    assert.equal(refusals, 1);
  });

  it('gives up a call that takes too long, and tells it so', async () => {
    const signals: AbortSignal[] = [];
    const guarded = guard({ ...OPTIONS, timeoutMs: 5 });
    const hanging = guarded((signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    });
    await assert.rejects(hanging, { code: 'TIMEOUT' });
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true],
    );
  });

  it('refuses at once after too many failures', async () => {
    const guarded = guard({ ...OPTIONS, retries: 0, failuresToOpen: 2 });
    let calls = 0;
    const failing = () =>
      guarded(async () => {
        calls++;
        throw new Unavailable('503');
      });
    for (const code of ['503', '503', 'CIRCUIT_OPEN']) await assert.rejects(failing(), { code });
    assert.equal(calls, 2);
  });

  it('refuses what would wait behind too many', async () => {
    const guarded = guard(OPTIONS);
    const done = Promise.withResolvers<void>();
    const running = [1, 2, 3].map(() => guarded(() => done.promise));
    await assert.rejects(
      guarded(async () => undefined),
      { code: 'OVERLOADED' },
    );
    done.resolve();
    await Promise.all(running);
  });
});
