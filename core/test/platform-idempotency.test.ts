import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { IdempotencyMismatch, InvalidInput } from '#platform/errors';
import { once } from '#platform/idempotency';
import { type Scope, transact } from '#platform/scope';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const attempt = (scope: Scope, [key, input]: [string | null, unknown], work: () => Promise<string>) =>
  transact(scope, (scope) => once(scope, { key, operation: 'test.do', input }, work));

describe('once', () => {
  test(
    'gives the first answer to the same key and input, without doing it again',
    sandboxed(async (scope) => {
      const first = await attempt(scope, ['k', { a: 1 }], async () => randomUUID());
      const again = await attempt(scope, ['k', { a: 1 }], () => assert.fail('done twice'));
      assert.equal(again, first);
    }),
  );

  test(
    'refuses another input under the same key',
    sandboxed(async (scope) => {
      await attempt(scope, ['k', { a: 1 }], async () => randomUUID());
      await assert.rejects(
        attempt(scope, ['k', { a: 2 }], async () => randomUUID()),
        IdempotencyMismatch,
      );
    }),
  );

  test(
    'keeps the keys of two actors apart',
    sandboxed(async (scope) => {
      const mine = await attempt(scope, ['k', {}], async () => randomUUID());
      const theirs = await attempt(as(scope, 'agent'), ['k', {}], async () => randomUUID());
      assert.notEqual(theirs, mine);
    }),
  );

  test(
    'frees the key of work that failed',
    sandboxed(async (scope) => {
      await assert.rejects(
        attempt(scope, ['k', {}], () => Promise.reject(new Error('full'))),
        /full/,
      );
      const id = randomUUID();
      assert.equal(await attempt(scope, ['k', {}], async () => id), id);
    }),
  );

  test(
    'does the work once for 64 callers at the same time',
    committed(async (scope) => {
      let done = 0;
      const work = async () => {
        done++;
        return randomUUID();
      };
      const ids = await Promise.all(Array.from({ length: 64 }, () => attempt(scope, ['race', { a: 1 }], work)));
      assert.equal(done, 1);
      assert.equal(new Set(ids).size, 1);
    }),
  );

  test(
    'keeps of the key and of the input a keyed hash only',
    committed(async (scope) => {
      await attempt(scope, ['Zaphod', { name: 'Zaphod' }], async () => randomUUID());
      const rows = await asSuperuser<{ text: string }>(
        'select k::text as text from idempotency_keys k where actor_id = $1',
        [scope.actor.id],
      );
      assert.equal(rows.length, 1);
      assert.doesNotMatch(rows[0]?.text ?? '', /Zaphod/);
    }),
  );

  test(
    'refuses an empty key and one that is too long',
    sandboxed(async (scope) => {
      for (const key of ['', 'x'.repeat(201)]) {
        await assert.rejects(
          attempt(scope, [key, {}], async () => randomUUID()),
          InvalidInput,
        );
      }
    }),
  );
});
