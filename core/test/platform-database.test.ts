import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { connect, statement, together, unansweredStatement } from '#platform/database';
import { asSystem, transact } from '#platform/scope';
import { asSuperuser, committed, sandboxed, urls } from './support/testing.ts';

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

describe('a connection', () => {
  test(
    'reads the rows of a statement alike, described the first time or not again',
    sandboxed(async ({ db }) => {
      const read = async (n: number) =>
        (
          await sql<object>`select g, null::text as nothing, '\\x00ff'::bytea as bytes from generate_series(1, ${n}::int) g`.execute(
            db,
          )
        ).rows;
      const row = (g: number) => ({ g, nothing: null, bytes: Buffer.from([0, 255]) });
      for (const n of [2, 0, 3, 1])
        assert.deepEqual(
          await read(n),
          Array.from({ length: n }, (_, i) => row(i + 1)),
        );
    }),
  );

  test(
    'reads an instant to the millisecond, in whatever zone the server tells it',
    sandboxed(async ({ db }) => {
      for (const zone of ['UTC', 'America/New_York', 'Asia/Kolkata']) {
        await sql`select set_config('TimeZone', ${zone}, true)`.execute(db);
        for (const text of [
          '2026-03-08T14:05:09Z',
          '2026-03-08T14:05:09.5Z',
          '2026-03-08T14:05:09.069Z',
          '1969-12-31T23:59:59.999Z',
        ]) {
          const { rows } = await sql<{ at: Date }>`select ${text}::timestamptz as at`.execute(db);
          assert.equal(rows[0]?.at.toISOString(), new Date(text).toISOString());
        }
        const { rows } = await sql<{
          at: Date;
        }>`select timestamptz '2026-03-08T14:05:09.123999Z' + ${0} * interval '1 s' as at`.execute(db);
        assert.equal(rows[0]?.at.toISOString(), '2026-03-08T14:05:09.123Z');
      }
    }),
  );
});

describe('together', () => {
  const ratio = statement((_db, { of, to }: { of: number; to: number }) => ({
    compile: () => sql<{ ratio: number }>`select ${of}::int / ${to}::int as ratio`.compile(_db),
  }));

  test(
    'asks in one write, in order, and gives the answers in that order',
    committed(async (scope) => {
      await transact(scope, async ({ db }) => {
        const all = await together([ratio(db, { of: 4, to: 2 }), ratio(db, { of: 9, to: 3 })]);
        assert.deepEqual(all, [[{ ratio: 2 }], [{ ratio: 3 }]]);
      });
    }),
  );

  test(
    'throws the failure that came first, not that of a statement behind it',
    committed(async (scope) => {
      await transact(scope, async ({ db }) => {
        const reads = [ratio(db, { of: 1, to: 1 }), ratio(db, { of: 1, to: 0 }), ratio(db, { of: 1, to: 1 })] as const;
        await assert.rejects(together(reads), /division by zero/);
        await assert.rejects(reads[2], /division by zero/);
        throw new Error('seen');
      }).catch(({ message }: Error) => assert.equal(message, 'seen'));
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

describe('unansweredStatement', () => {
  /** A topic of null is refused by the database. */
  const note = unansweredStatement<{ topic: string | null }>((db, { topic }) => ({
    compile: () =>
      sql<never>`
        insert into events (topic, payload, request_id, occurred_at) values (${topic}, '{}', 'later', now())`.compile(
        db,
      ),
  }));
  const noted = async () => (await asSuperuser(`select from events where request_id = 'later'`)).length;

  test(
    'is written with the next statement or the commit, in its order',
    committed(async (scope) => {
      await transact(asSystem(scope), async ({ db }) => {
        for (const topic of ['first', 'second']) await note(db, { topic });
        const { rows } = await sql<{ topic: string }>`
          select topic from events where request_id = ${'later'} order by id`.execute(db);
        assert.deepEqual(rows, [{ topic: 'first' }, { topic: 'second' }]);
        await note(db, { topic: 'third' });
      });
      assert.equal(await noted(), 3);
    }),
  );

  const NOT_NULL = /null value in column "topic"/;

  test(
    'fails the commit, and nothing of the transaction remains',
    committed(async (scope) => {
      const before = await noted();
      const failing = transact(scope, async ({ db }) => {
        await sql`insert into events (topic, payload, request_id, occurred_at) values ('x', '{}', 'later', now())`.execute(
          db,
        );
        await note(db, { topic: null });
        return 'success';
      });
      await assert.rejects(failing, NOT_NULL);
      assert.equal(await noted(), before);
    }),
  );

  test(
    'fails the next statement with its own failure',
    committed(async (scope) => {
      await transact(scope, async ({ db }) => {
        await note(db, { topic: null });
        await assert.rejects(sql`select ${1}::int`.execute(db), NOT_NULL);
        throw new Error('seen');
      }).catch(({ message }: Error) => assert.equal(message, 'seen'));
    }),
  );

  test(
    'fails a savepoint that is left, which undoes what was done within',
    committed(async (scope) => {
      const before = await noted();
      await transact(scope, async (scope) => {
        await note(scope.db, { topic: 'outer' });
        await assert.rejects(
          transact(scope, ({ db }) => note(db, { topic: null })),
          NOT_NULL,
        );
        const undone = transact(scope, async ({ db }) => {
          await note(db, { topic: 'undone' });
          throw new Error('undone');
        });
        await assert.rejects(undone, /undone/);
      });
      assert.equal(await noted(), before + 1);
    }),
  );

  test(
    'fails the commit when the connection is lost',
    committed(async (scope) => {
      const before = await noted();
      const failing = transact(scope, async ({ db }) => {
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
        await note(db, { topic: 'lost' });
        await asSuperuser('select pg_terminate_backend($1)', [rows[0]?.pid]);
      });
      await assert.rejects(failing);
      assert.equal(await noted(), before);
    }),
  );

  test(
    'is answered at once outside a transaction, also after one that was undone',
    committed(async (scope) => {
      const db = connect(urls.login, { max: 1 });
      await using _closed = { [Symbol.asyncDispose]: () => db.destroy() };
      const undone = transact({ ...asSystem(scope), db }, async ({ db }) => {
        await sql`select`.execute(db);
        await note(db, { topic: 'undone' });
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      await assert.rejects(note(db, { topic: 'x' }), /permission denied/);
    }),
  );
});
