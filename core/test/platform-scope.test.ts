import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { emit, eventsAfter, sequenceEvents } from '#platform/events';
import { afterCommit, asSystem, transact } from '#platform/scope';
import { as, asSuperuser, committed, sandboxed, testScope } from './support/testing.ts';

declare module '#platform/events' {
  interface Events {
    'test.happened': { number: number };
  }
}

const roleNow = async (scope: ReturnType<typeof testScope>) =>
  (await sql<{ role: string }>`select current_user as role`.execute(scope.db)).rows[0]?.role;

describe('transact', () => {
  test(
    'takes the role of its actor, and a nested one takes its own and gives it back',
    committed(async (scope) => {
      await transact(scope, async (scope) => {
        assert.equal(await roleNow(scope), 'careflex_staff');
        await transact(as(scope, 'auditor'), async (scope) => assert.equal(await roleNow(scope), 'careflex_auditor'));
        assert.equal(await roleNow(scope), 'careflex_staff');
      });
    }),
  );

  test(
    'runs what waits for the commit, and not what was undone',
    committed(async (scope) => {
      const ran: string[] = [];
      await transact(scope, async (scope) => {
        afterCommit(scope, () => ran.push('outer'));
        await transact(scope, async (scope) => {
          afterCommit(scope, () => ran.push('undone'));
          throw new Error('inner');
        }).catch(() => undefined);
      });
      assert.deepEqual(ran, ['outer']);
    }),
  );

  test(
    'leaves the login role without any right',
    committed(async ({ db }) => {
      for (const table of ['events', 'idempotency_keys']) {
        await assert.rejects(sql`select * from ${sql.table(table)}`.execute(db), /permission denied/);
      }
    }),
  );
});

describe('events', () => {
  test(
    'have a sequence without holes, whatever was rolled back',
    committed(async (scope) => {
      await Promise.allSettled(
        Array.from({ length: 64 }, (_, number) =>
          transact(scope, async (scope) => {
            await emit(scope, 'test.happened', { number });
            if (number % 3 === 0) throw new Error('undone');
          }),
        ),
      );
      const system = asSystem(scope);
      await Promise.all([sequenceEvents(system), sequenceEvents(system)]);
      const sequences = (await eventsAfter(system, 0, 100)).map((event) => event.sequence);
      assert.deepEqual(
        sequences,
        Array.from({ length: 42 }, (_, i) => i + 1),
      );
      assert.equal(await sequenceEvents(system), null);
    }),
  );

  test(
    'cannot be read by an agent',
    sandboxed(async (scope) => {
      await emit(scope, 'test.happened', { number: 1 });
      await assert.rejects(
        transact(scope, async ({ db }) => db.selectFrom('events').selectAll().execute()),
        /permission denied/,
      );
      assert.deepEqual(await asSuperuser('select id from events where false'), []);
    }),
  );
});
