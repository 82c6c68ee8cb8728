/**
 * How a visit takes its time, on every path: book, hold, move, take back.
 *
 * One at a time decides about a provider's and a patient's time: the lock comes first, what is then read is newer than
 * it, and the constraints of the database stand behind all of it. What explains a refusal is looked up after the
 * rollback, since a violated constraint leaves a dead transaction.
 */
import { sql } from 'kysely';
import pg from 'pg';
import { type Db, sqlState, statement, together } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import { alternativesTo } from './alternatives.ts';
import type { Override } from './booking-input.ts';
import type { Conflict, ConflictRule } from './conflict.ts';
import { conflictsWith, isOverridable } from './conflicts.ts';
import { AppointmentConflict } from './errors.ts';
import { lapse } from './holds.ts';
import type { Wanted } from './wanted.ts';

/** Locks the time that is wanted and checks every rule. Returns the rules that are broken on purpose. */
export type Claim = (scope: Scope, wanted: Wanted, override?: Override | null) => Promise<ConflictRule[]>;

/** Exclusion violation, deadlock, serialization failure: somebody else was quicker. */
const COLLISIONS: ReadonlySet<string | undefined> = new Set(['23P01', '40P01', '40001']);
const ATTEMPTS = 3;

/**
 * Runs `work`, which claims its time before it writes, in a transaction. Throws {@link AppointmentConflict}, and never
 * an error of the database about somebody who was quicker.
 */
export async function takingTime<T>(scope: Scope, work: (scope: Scope, claim: Claim) => Promise<T>): Promise<T> {
  let wanted: Wanted | null = null;
  const claimAndNote: Claim = (scope, ...[claimed, override]) => {
    wanted = claimed;
    return claim(scope, claimed, override ?? null);
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await transact(scope, (scope) => work(scope, claimAndNote));
    } catch (thrown) {
      if (thrown instanceof TimeTaken) throw await explained(scope, thrown.wanted, thrown.conflicts);
      if (!COLLISIONS.has(sqlState(thrown)) || wanted === null) throw thrown;
      // The next attempt sees who was quicker, and can say so.
      if (attempt === ATTEMPTS) throw await explained(scope, wanted, [unexplained(wanted, thrown)]);
    }
  }
}

/** Leaves the transaction that found the rules broken. */
class TimeTaken extends Error {
  readonly wanted: Wanted;
  readonly conflicts: readonly Conflict[];
  constructor(wanted: Wanted, conflicts: readonly Conflict[]) {
    super('The time is taken');
    this.wanted = wanted;
    this.conflicts = conflicts;
  }
}

async function claim(scope: Scope, wanted: Wanted, override: Override | null): Promise<ConflictRule[]> {
  const conflicts = await conflictsNow(scope, wanted);
  const named = new Set(override?.rules);
  const left = conflicts.filter((conflict) => !named.has(conflict.rule) || !isOverridable(conflict));
  if (left.length > 0) throw new TimeTaken(wanted, conflicts);
  return [...new Set(conflicts.map(({ rule }) => rule))];
}

/** What is read in one write with the lock is read behind it. */
async function conflictsNow(scope: Scope, wanted: Wanted): Promise<Conflict[]> {
  const [holds, conflicts] = await together([enterTime(scope, wanted), conflictsWith(scope, wanted)]);
  if (holds.length === 0) return conflicts;
  await lapse(scope, holds);
  return conflictsWith(scope, wanted);
}

async function enterTime({ db, now }: Scope, wanted: Wanted): Promise<string[]> {
  const { patientId, provider, startsAt, endsAt, blocksFrom, blocksUntil } = wanted;
  const range = (from: Temporal.Instant, until: Temporal.Instant) => `[${from.toString()},${until.toString()})`;
  const holds = await enteringTime(db, {
    providers: [provider.id],
    patient: patientId,
    blocks: range(blocksFrom, blocksUntil),
    visit: range(startsAt, endsAt),
    at: now.toString(),
  });
  return holds.map(({ id }) => id);
}

interface Entering {
  readonly providers: readonly string[];
  readonly patient: string;
  readonly blocks: string;
  readonly visit: string;
  readonly at: string;
}

const enteringTime = statement((db: Db, { providers, patient, blocks, visit, at }: Entering) => ({
  compile: () =>
    sql<{ id: string }>`
      select id from enter_time(${providers}::uuid[], ${patient}::uuid, ${blocks}::tstzrange, ${visit}::tstzrange,
        ${at}::timestamptz) as id`.compile(db),
}));

async function explained(scope: Scope, wanted: Wanted, conflicts: readonly Conflict[]): Promise<AppointmentConflict> {
  return new AppointmentConflict(conflicts, await transact(scope, (scope) => alternativesTo(scope, wanted)));
}

/** When all that is known is which constraint stood in the way. */
function unexplained({ startsAt, endsAt }: Wanted, thrown: unknown): Conflict {
  const ofPatient = thrown instanceof pg.DatabaseError && thrown.constraint === 'appointments_patient_no_overlap';
  const [rule, resource] = ofPatient
    ? (['PATIENT_BUSY', 'Patient'] as const)
    : (['PROVIDER_BUSY', 'Provider'] as const);
  return { rule, resource, startsAt, endsAt, appointmentId: null };
}
