import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { InvalidInput } from '#platform/errors';
import { parse } from '#platform/input';
import { decodeCursor, encodeCursor, PageInput, toPage } from '#platform/page';

const Key = z.tuple([z.number(), z.uuid()]);

describe('a cursor', () => {
  test('gives back the key it was made of', () => {
    const key = [7, '01a20c1e-d194-7983-9610-59214b53f535'] as const;
    assert.deepEqual(decodeCursor(encodeCursor(...key), Key), key);
  });

  test('that was not made here is refused as input, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.throws(() => decodeCursor(text, Key), InvalidInput);
        assert.throws(() => decodeCursor(encodeCursor(text), Key), InvalidInput);
      }),
    );
  });
});

test('toPage leaves out the row too many, and tells that it was there', () => {
  const of = { node: (n: number) => n * 10, key: (n: number) => [n] };
  assert.equal(toPage([1, 2, 3], 2, of).hasNextPage, true);
  assert.deepEqual(
    toPage([1, 2, 3], 2, of).items.map(({ node }) => node),
    [10, 20],
  );
  assert.equal(toPage([1, 2], 2, of).hasNextPage, false);
});

test('PageInput has a default, and limits that it names', () => {
  assert.equal(parse(PageInput, {}).first, 25);
  for (const first of [0, -1, 101, 1.5, Number.NaN]) assert.throws(() => parse(PageInput, { first }), InvalidInput);
});
