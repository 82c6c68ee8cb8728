import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sayOnce } from '../src/platform/repetition.ts';

const withCode = (code: string) => Object.assign(new Error(`${Math.random()}`), { code });

describe('sayOnce', () => {
  it('tells a failure when it comes first, and then once a minute with how often it came', () => {
    let seconds = 0;
    const said: [at: number, code: string, count: number][] = [];
    const failed = sayOnce(
      (error, count) => said.push([seconds, (error as { code: string }).code, count]),
      () => seconds * 1_000,
    );
    for (; seconds < 130; seconds += 1) failed(withCode(seconds >= 30 && seconds < 33 ? 'B' : 'A'));
    assert.deepEqual(said, [
      [0, 'A', 1],
      [30, 'B', 1],
      [60, 'A', 57],
      [120, 'A', 60],
    ]);
  });

  it('knows failures apart by their class and place', () => {
    let said = 0;
    const failed = sayOnce(() => (said += 1));
    const [one, other] = [() => new Error('x'), () => new TypeError('x')];
    for (let i = 0; i < 5; i += 1) for (const error of [one(), other(), new Error('y'), 'thrown']) failed(error);
    assert.equal(said, 4);
  });
});
