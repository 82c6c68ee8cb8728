import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { connect, poolCounts, unansweredStatement } from '#platform/database';
import { Unauthenticated } from '#platform/errors';
import { Reading } from '#platform/reading';
import { afterCommit, asSystem, type Scope, transact } from '#platform/scope';
import { actor, as, asSuperuser, committed, urls } from './support/testing.ts';

/** Who reads, in which transaction. */
const whereabouts = (scope: Scope) =>
  transact(scope, async ({ db }) => {
    const { rows } = await sql<{ role: string; xid: string }>`
      select current_user as role, pg_current_xact_id()::text as xid`.execute(db);
    return rows[0] as { role: string; xid: string };
  });

/** A topic of null is refused by the database. */
const insertNote = unansweredStatement<{ topic: string | null }>((db, { topic }) => ({
  compile: () =>
    sql<never>`
      insert into events (topic, payload, request_id, occurred_at) values (${topic}, '{}', 'reading', now())`.compile(
      db,
    ),
}));
const note = (scope: Scope, topic: string | null) => transact(scope, ({ db }) => insertNote(db, { topic }));
const noted = async () =>
  (await asSuperuser<{ topic: string }>(`delete from events where request_id = 'reading' returning topic`))
    .map(({ topic }) => topic)
    .toSorted();

/** A request's scope, and its reads. */
function reading(scope: Scope): { scope: Scope; reads: Reading } {
  const reads = new Reading();
  return { reads, scope: { ...scope, reads } };
}

describe('reading', () => {
  test(
    'makes one transaction of what follows each other, each part with the role of its actor',
    committed(async (given) => {
      const { scope, reads } = reading(given);
      const found = [
        await whereabouts(scope),
        await whereabouts(asSystem(scope)),
        ...(await Promise.all([whereabouts(scope), whereabouts(as(scope, 'auditor'))])),
      ];
      await reads.end();
      assert.deepEqual(
        found.map(({ role }) => role),
        ['careflex_staff', 'careflex_system', 'careflex_staff', 'careflex_auditor'],
      );
      assert.equal(new Set(found.map(({ xid }) => xid)).size, 1);
    }),
  );

  test(
    'undoes what a part did that fails, and nothing else',
    committed(async (given) => {
      const { scope, reads } = reading(given);
      const ran: string[] = [];
      const failing = (topic: string, statements: number) =>
        transact(scope, async (scope) => {
          await insertNote(scope.db, { topic });
          afterCommit(scope, () => ran.push(topic));
          for (let n = 0; n < statements; n++) await sql`select`.execute(scope.db);
          throw new Error('undone');
        });
      await assert.rejects(failing('undone first', 1), /undone/);
      await note(scope, 'kept');
      await assert.rejects(failing('undone unsent', 0), /undone/);
      await assert.rejects(failing('undone sent', 1), /undone/);
      await assert.rejects(
        transact(asSystem(scope), ({ db }) => sql`select 1 / 0`.execute(db)),
        /division/,
      );
      assert.equal((await whereabouts(scope)).role, 'careflex_staff');
      await note(scope, 'kept too');
      await reads.end();
      assert.deepEqual(await noted(), ['kept', 'kept too']);
      assert.deepEqual(ran, []);
    }),
  );

  test(
    'has failed as a whole when something of it could not be written, and leaves nothing',
    committed(async (given) => {
      for (const goesOn of [false, true]) {
        const { scope, reads } = reading(given);
        await note(scope, 'lost with it');
        await note(scope, null);
        if (goesOn) await assert.rejects(whereabouts(scope), /null value in column "topic"/);
        await assert.rejects(reads.end(), /null value in column "topic"/);
        assert.deepEqual(await noted(), []);
      }
    }),
  );

  test(
    'ends by itself while its request waits for something else, and begins anew',
    committed(async (given) => {
      const db = connect(urls.login, { max: 1 });
      await using _closed = { [Symbol.asyncDispose]: () => db.destroy() };
      const { scope, reads } = reading({ ...given, db });
      const first = await whereabouts(scope);
      await note(scope, 'committed');
      await sleep(20);
      while (poolCounts(db).used > 0) await sleep(5);
      assert.deepEqual(await noted(), ['committed']);
      assert.notEqual((await whereabouts(scope)).xid, first.xid);
      await reads.end();
      assert.equal(poolCounts(db).used, 0);
    }),
  );

  test(
    'refuses a session that is none, in every part',
    committed(async (given) => {
      const { scope, reads } = reading(as(given, actor('agent', { sessionId: randomUUID() })));
      await assert.rejects(whereabouts(scope), Unauthenticated);
      await whereabouts(asSystem(scope));
      await assert.rejects(whereabouts(scope), Unauthenticated);
      await reads.end();
    }),
  );
});
