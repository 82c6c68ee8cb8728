/** Times at which a visit could be instead. */
import type { Scope } from '#platform/scope';
import type { Alternative } from './errors.ts';
import type { Wanted } from './wanted.ts';

/** The nearest free times, of the same provider first. */
export async function alternativesTo(_scope: Scope, _wanted: Wanted): Promise<Alternative[]> {
  return [];
}
