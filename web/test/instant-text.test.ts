import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { instantText, localText } from '../src/graphql/instant-text.ts';

describe('instantText', () => {
  test('writes what Date writes, for every instant that there is', () => {
    const any = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.integer({ min: -1e12, max: 3e12 }));
    fc.assert(
      fc.property(any, (epochMs) => assert.equal(instantText(epochMs), new Date(epochMs).toISOString())),
      { numRuns: 5_000, examples: [[0], [-1], [8.64e15], [-8.64e15], [951_782_399_999]] },
    );
  });
});

describe('localText', () => {
  test('writes what Temporal writes, also of what it has written before', () => {
    const zones = ['America/New_York', 'Asia/Kathmandu', 'UTC', '+05:30'];
    const hour = fc.integer({ min: -300_000, max: 600_000 }).map((hours) => hours * 3_600_000);
    fc.assert(
      fc.property(hour, fc.constantFrom(...zones), (epochMs, zone) => {
        const instant = Temporal.Instant.fromEpochMilliseconds(epochMs);
        const expected = instant.toZonedDateTimeISO(zone).toString();
        assert.deepEqual([localText(instant, zone), localText(instant, zone)], [expected, expected]);
      }),
      { numRuns: 5_000 },
    );
  });
});
