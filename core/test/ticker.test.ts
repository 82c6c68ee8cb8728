import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ticker } from '../src/platform/ticker.ts';

describe('ticker', () => {
  it('runs once more for everything that was asked for during a run', async () => {
    let runs = 0;
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await using ticks = ticker({
      run: async () => {
        const n = runs++;
        begun[n]?.resolve();
        await gates[n]?.promise;
      },
      onError: (error) => assert.fail(String(error)),
    });
    ticks.wake();
    await begun[0]?.promise;
    for (let i = 0; i < 5; i++) ticks.wake();
    gates[0]?.resolve();
    await begun[1]?.promise;
    gates[1]?.resolve();
    await ticks[Symbol.asyncDispose]();
    assert.equal(runs, 2);
  });

  it('rests after a run, but not at its end', async () => {
    let runs = 0;
    const first = Promise.withResolvers<void>();
    const ticks = ticker({
      restMs: 3_600_000,
      run: async () => {
        runs++;
        first.resolve();
      },
      onError: (error) => assert.fail(String(error)),
    });
    ticks.wake();
    await first.promise;
    for (let i = 0; i < 5; i++) {
      ticks.wake();
      await setImmediate();
    }
    await ticks[Symbol.asyncDispose]();
    assert.equal(runs, 1);
  });

  it('goes on after a run that failed, and tells of it', async () => {
    const errors: unknown[] = [];
    const twice = Promise.withResolvers<void>();
    await using _ = ticker({
      everyMs: 1,
      run: async () => {
        throw new Error('failed');
      },
      onError: (error) => errors.push(error) === 2 && twice.resolve(),
    });
    await twice.promise;
  });

  it('waits at its end for the run that is going on', async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let finished = false;
    const ticks = ticker({
      everyMs: 1,
      run: async () => {
        begun.resolve();
        await gate.promise;
        finished = true;
      },
      onError: (error) => assert.fail(String(error)),
    });
    await begun.promise;
    const disposed = ticks[Symbol.asyncDispose]();
    gate.resolve();
    await disposed;
    assert.ok(finished);
  });
});
