import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSame } from './support/same.ts';

const [now, later] = ['2026-03-08T09:00:00Z', '2026-03-08T09:00:00.000000001Z'].map((text) =>
  Temporal.Instant.from(text),
);

test('what says another time is not the same, however deep, and cannot be compared otherwise', () => {
  assertSame({ at: [now] }, { at: [now] });
  assert.throws(() => assertSame({ at: [now] }, { at: [later] }), assert.AssertionError);
  assert.throws(() => assertSame(new Map([['at', now]]), new Map([['at', later]])), assert.AssertionError);
  assert.throws(() => assert.deepEqual({ at: [now] }, { at: [now] }), /use assertSame/);
});
