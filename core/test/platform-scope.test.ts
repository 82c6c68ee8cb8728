import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { connect, lend } from '#platform/database';
import { Unauthenticated } from '#platform/errors';
import { emit, eventsAfter, sequenceEvents } from '#platform/events';
import { afterCommit, asSystem, type Scope, transact } from '#platform/scope';
import { actor, as, asSuperuser, committed, sandboxed, testScope, urls } from './support/testing.ts';

declare module '#platform/events' {
  interface Events {
    'test.happened': { number: number };
  }
}

const roleNow = async (scope: ReturnType<typeof testScope>) =>
  (await sql<{ role: string }>`select current_user as role`.execute(scope.db)).rows[0]?.role;

/** How many answers of the database the transaction waits for. */
async function roundTrips(scope: Scope, work: (scope: Scope) => Promise<unknown>): Promise<number> {
  await using one = oneConnection(scope);
  const { client, db, giveBack } = await lend(one.scope.db);
  let trips = 0;
  const ask = client.ask.bind(client);
  client.ask = async <Row>(...statement: Parameters<typeof ask>) => {
    const answer = await ask<Row>(...statement);
    if (answer.command !== '') trips++;
    return answer;
  };
  await transact({ ...one.scope, db }, work);
  giveBack();
  return trips;
}

function oneConnection(scope: Scope): { scope: Scope } & AsyncDisposable {
  const db = connect(urls.login, { max: 1 });
  return { scope: { ...scope, db }, [Symbol.asyncDispose]: () => db.destroy() };
}

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
    'refuses a session that is none, whether its first statement is a query, one behind a savepoint, or the commit',
    committed(async (scope) => {
      const revoked = as(scope, actor('agent', { sessionId: randomUUID() }));
      const ran: string[] = [];
      const works: ((scope: Scope) => Promise<unknown>)[] = [
        (scope) => roleNow(scope).then((role) => ran.push(role ?? '')),
        (scope) => transact(scope, (scope) => roleNow(scope).then((role) => ran.push(role ?? ''))),
        (scope) => transact(scope, async () => 'nothing'),
        async () => 'nothing',
      ];
      for (const work of works) await assert.rejects(transact(revoked, work), Unauthenticated);
      assert.deepEqual(ran, []);
    }),
  );

  test(
    'asks nothing more for being nested',
    committed(async (scope) => {
      const plain = await roundTrips(scope, (scope) => roleNow(scope));
      assert.equal(await roundTrips(scope, (scope) => transact(scope, (scope) => roleNow(scope))), plain);
      assert.equal(await roundTrips(scope, (scope) => transact(asSystem(scope), (scope) => roleNow(scope))), plain);
    }),
  );

  test(
    'undoes a nested one that passed over a failure of its own, and goes on',
    committed(async (scope) => {
      await transact(scope, async (scope) => {
        const nested = transact(scope, async ({ db }) => {
          await sql`select 1 / 0`.execute(db).catch(() => undefined);
        });
        await assert.rejects(nested, /division by zero/);
        assert.equal(await roleNow(scope), 'careflex_staff');
      });
    }),
  );

  test(
    'has not succeeded when a failure was passed over',
    committed(async (scope) => {
      const failing = transact(scope, async ({ db }) => {
        await sql`select 1 / 0`.execute(db).catch(() => undefined);
      });
      await assert.rejects(failing, /undid the transaction/);
    }),
  );

  test(
    'leaves its connection clean, whether or not it came to a statement',
    committed(async (scope) => {
      await using one = oneConnection(scope);
      for (const statements of [0, 1]) {
        const undone = transact(one.scope, async (scope) => {
          for (let n = 0; n < statements; n++) await roleNow(scope);
          throw new Error('undone');
        });
        await assert.rejects(undone, /undone/);
        assert.equal(await roleNow(one.scope), 'careflex_app');
      }
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
