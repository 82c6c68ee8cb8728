/** Patients for tests: valid unless told otherwise, and what is on record about them. */
import type { NewPatient } from '#care';
import { type Scope, asSystem, transact } from '../../src/platform/scope.ts';

export const aPatient = (more: Partial<NewPatient> = {}): NewPatient => ({
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
