/** What goes to the database. */
import { mock } from 'node:test';
import { sql } from 'kysely';
import pg from 'pg';
import type { Scope } from '#platform/scope';

/** The statements that the work sends, and what it returns. */
export async function statementsOf<T>(
  scope: Scope,
  work: (scope: Scope) => Promise<T>,
): Promise<{ result: T; statements: string[] }> {
  // What was held back until now goes out with this, and is not counted.
  await sql`select`.execute(scope.db);
  const statements: string[] = [];
  const sent = Reflect.get(pg.Client.prototype, 'query') as (...args: never[]) => unknown;
  const spy = mock.method(pg.Client.prototype, 'query', function (this: pg.Client, ...args: never[]) {
    const [query] = args as unknown as [string | { text: string }];
    statements.push(typeof query === 'string' ? query : query.text);
    return Reflect.apply(sent, this, args) as never;
  });
  try {
    return { result: await work(scope), statements };
  } finally {
    spy.mock.restore();
  }
}
