import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { instantText } from '../src/graphql/instant-text.ts';

describe('instantText', () => {
  test('writes what Date writes, for every instant that there is', () => {
    const any = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.integer({ min: -1e12, max: 3e12 }));
    fc.assert(
      fc.property(any, (epochMs) => assert.equal(instantText(epochMs), new Date(epochMs).toISOString())),
      { numRuns: 5_000, examples: [[0], [-1], [8.64e15], [-8.64e15], [951_782_399_999]] },
    );
  });
});
