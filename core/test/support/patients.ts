/** Patients for tests: valid unless told otherwise, and what is on record about them. */
import assert from 'node:assert/strict';
import * as care from '#care';
import { InvalidInput } from '../../src/platform/errors.ts';
import { type Scope, asSystem, transact } from '../../src/platform/scope.ts';

export const aPatient = (more: Partial<care.NewPatient> = {}): care.NewPatient => ({
  firstName: 'Ada',
  lastName: 'Lovelace',
  ...more,
});

/** Topics and payloads of the events so far, oldest first. */
export async function eventsSoFar(scope: Scope): Promise<{ topic: string; payload: object }[]> {
  return transact(asSystem(scope), ({ db }) =>
    db.selectFrom('events').select(['topic', 'payload']).orderBy('id').execute(),
  );
}

/** The ids of everybody whom a search finds, page by page. */
export async function searchAll(scope: Scope, query: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof care.searchPatients>> = await care.searchPatients(scope, {
      query,
      first: 100,
      after,
    });
    ids.push(...page.items.map(({ node }) => node.id));
    after = page.items.at(-1)?.cursor ?? null;
    if (!page.hasNextPage) return ids;
  }
}

/** What an attempt is refused for: the message by the path. */
export async function issuesOf(attempt: Promise<unknown>): Promise<Record<string, string>> {
  const error = await attempt.then(
    () => assert.fail('accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof InvalidInput, String(error));
  return Object.fromEntries(error.issues.map(({ path, message }) => [path.join('.'), message]));
}
