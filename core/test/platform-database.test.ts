import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { statement } from '#platform/database';
import { transact } from '#platform/scope';
import { asSuperuser, committed, sandboxed } from './support/testing.ts';

describe('connect', () => {
  test(
    'prepares every statement under a name, once per connection',
    committed(async (scope) => {
      await transact(scope, async ({ db }) => {
        for (let n = 0; n < 3; n++) await sql`select ${n}::int as n`.execute(db);
        const { rows } = await sql<{ count: number }>`
        select count(*) from pg_prepared_statements where statement like ${'select $1::int as n'}`.execute(db);
        assert.equal(rows[0]?.count, 1);
      });
    }),
  );

  test(
    'reads a plain date as it stands, and refuses a bigint that would lose digits',
    sandboxed(async ({ db }) => {
      const { rows } = await sql<{ day: string }>`select date '2026-03-08' as day`.execute(db);
      assert.equal(rows[0]?.day, '2026-03-08');
      await assert.rejects(sql`select ${'9007199254740993'}::bigint as n`.execute(db), RangeError);
    }),
  );
});

describe('statement', () => {
  const eventsOf = statement((db, p: { topic: string; limit: number }) =>
    db
      .selectFrom('events')
      .select('topic')
      .where('topic', '=', p.topic)
      .where('request_id', '=', 'constant')
      .limit(p.limit),
  );

  test(
    'is compiled once and gets its values at each call',
    committed(async (scope) => {
      await asSuperuser(`insert into events (topic, payload, request_id, occurred_at)
      select topic, '{}', request, now() from (values ('a', 'constant'), ('b', 'constant'), ('a', 'other')) as v (topic, request)`);
      await transact({ ...scope, actor: { ...scope.actor, role: 'system' } }, async ({ db }) => {
        assert.deepEqual(await eventsOf(db, { topic: 'a', limit: 5 }), [{ topic: 'a' }]);
        assert.deepEqual(await eventsOf(db, { topic: 'b', limit: 5 }), [{ topic: 'b' }]);
        assert.deepEqual(await eventsOf(db, { topic: 'b', limit: 0 }), []);
      });
    }),
  );
});
