/** Which rules a time that is wanted breaks, as the database stands at this moment. */
import { together } from '#platform/database';
import type { Scope } from '#platform/scope';
import { conflictsOf } from './availability.ts';
import { loadCalendars, loadPatientTaken } from './calendar.ts';
import type { Conflict, ConflictRule } from './conflict.ts';
import { mayOverride } from './policy.ts';
import type { Wanted } from './wanted.ts';

/** Nobody books into the past: what has been is corrected, not planned. */
export const isOverridable = ({ rule }: Pick<Conflict, 'rule'>): boolean => rule !== 'IN_THE_PAST';

/** Whether the caller may break the rule on purpose. */
export const mayOverrideConflict = ({ actor }: Scope, conflict: Conflict): boolean =>
  mayOverride(actor) && isOverridable(conflict);

/** Every rule that is broken, not only the first. Call it under the lock of the time. */
export async function conflictsWith(scope: Scope, wanted: Wanted): Promise<Conflict[]> {
  const { patientId, provider, rules, startsAt, endsAt, appointmentId } = wanted;
  const [from, until] = [startsAt.epochMilliseconds, endsAt.epochMilliseconds];
  const [calendars, patientTaken] = await together([
    loadCalendars(scope, [provider.id], { from, until }),
    loadPatientTaken(scope, patientId, { from, until }),
  ]);
  const calendar = calendars.get(provider.id);
  if (calendar === undefined) throw new Error('A provider without a calendar');
  const conflicts = conflictsOf(calendar, rules, {
    startsAt: from,
    minutes: (until - from) / 60_000,
    now: scope.now.epochMilliseconds,
    patientTaken,
    ignoring: appointmentId === null ? [] : [appointmentId],
  });
  const judged = judgedFor(scope, wanted);
  return conflicts.filter(({ rule }) => judged(rule));
}

const BUSY: ReadonlySet<ConflictRule> = new Set(['PATIENT_BUSY', 'PROVIDER_BUSY']);
const EARLY: ReadonlySet<ConflictRule> = new Set(['TOO_SOON', 'TOO_FAR_AHEAD', 'IN_THE_PAST']);

/**
 * What takes its time back was booked early enough once. If it lies ahead, the provider must still be there for it; of
 * what has been, only that nobody else has the time.
 */
function judgedFor({ now }: Scope, { takenBack, startsAt }: Wanted): (rule: ConflictRule) => boolean {
  if (!takenBack) return () => true;
  return Temporal.Instant.compare(startsAt, now) < 0 ? (rule) => BUSY.has(rule) : (rule) => !EARLY.has(rule);
}
