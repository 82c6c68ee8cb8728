/**
 * Who is asking, when, through which connection.
 *
 * The login role of the database has no rights of its own. `transact` gives a transaction the role of its
 * actor, so nothing can be read or written outside one, and row-level security applies to every statement.
 * The same words prove that the actor's session is still alive. They go out with the first statement, which a
 * revoked session never gets to: it fails with them.
 */
import { type Kysely, sql } from 'kysely';
import type { TransactionClient } from './client.ts';
import { type Database, type Db, lend, sqlState, unansweredStatement } from './database.ts';
import { Unauthenticated } from './errors.ts';
import type { Jobs } from './jobs.ts';
import type { Vault } from './vault.ts';

export type Role = 'admin' | 'agent' | 'patient' | 'auditor' | 'system';

export interface Actor {
  /** The user's id; for workers and the command line a fixed id of the system. */
  readonly id: string;
  readonly role: Role;
  /** The session or API key that stands for the actor; null for the system itself. */
  readonly sessionId: string | null;
  /** A patient's own record. */
  readonly patientId?: string;
  /** May book against the rules on purpose, by a grant; admins always may. */
  readonly mayOverride?: boolean;
  /** An API key's limits, absent for people: `patient` covers `patient.read`, which covers itself alone. */
  readonly scopes?: readonly string[];
}

/** Whether the actor's API key covers the action; people have no such limit. Roles are a question of their own. */
export function keyCovers({ scopes }: Actor, action: string): boolean {
  return scopes === undefined || scopes.some((scope) => action === scope || action.startsWith(`${scope}.`));
}

/** Where a request came from. Goes into the audit trail and the logs. */
export interface Origin {
  readonly id: string;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** Why the data is wanted, as in HIPAA's purposes of use: treatment, payment, operations, patient request. */
  readonly purpose?: string;
}

/** What the clinic's place decides where an input leaves it open. */
export interface Clinic {
  readonly timeZone: string;
  /** The country whose phone numbers may be written without a country code: `US`. */
  readonly region: string;
  /** E.164: whom patients call. */
  readonly phone?: string | undefined;
  /** By which messages to patients name it. */
  readonly name: string;
  /** Between which times of their day, such as `08:00` and `21:00`, patients may be written to. */
  readonly messageHours: { readonly from: string; readonly until: string };
  /** Where patients find the platform: its public address. */
  readonly link?: string | undefined;
}

/** How long signing in lasts, and who else may vouch for a user. */
export interface SignInRules {
  /** Without a request for so long a session ends. */
  readonly idleMinutes: number;
  readonly absoluteHours: number;
  readonly accessTokenMinutes: number;
  /** Demo accounts, whose password is public, may sign in. */
  readonly demoAccounts: boolean;
  /** OpenID Connect issuers whose tokens are accepted, each with the audience that must be named in them. */
  readonly issuers: readonly { readonly issuer: string; readonly audience: string }[];
}

/** The first argument of every context function. */
export interface Scope {
  readonly actor: Actor;
  readonly request: Origin;
  readonly db: Kysely<Database>;
  readonly now: Temporal.Instant;
  readonly clinic: Clinic;
  readonly signIn: SignInRules;
  readonly vault: Vault;
  readonly jobs: Jobs;
  /** Does in the event's own transaction what follows from it. Absent where only the change itself matters. */
  readonly react?: (scope: Scope, topic: string, payload: object) => Promise<void>;
  /** Wakes those who listen on the channel, on every process. Call it once the change is committed. */
  readonly announce?: (channel: string, payload: string) => void;
  /** Told each entry that this scope leaves in the audit trail. */
  readonly onRecord?: (entry: object) => void;
  /** What a request reads in one transaction. Absent where every `transact` is a transaction of its own. */
  readonly reads?: Reads;
  /** Present inside `transact` only. */
  readonly transaction?: Transaction;
}

export interface Reads {
  run<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T>;
}

export interface Transaction {
  actor: Actor;
  readonly afterCommit: (() => void)[];
  /** What the work under way, nested or not, has left for its end. */
  left: Map<Closing<never>, unknown[]>;
  /** What nested work of the same actor leaves is left to this one's end: see {@link atOnce}. */
  gathers?: boolean;
}

type Closing<T> = (scope: Scope, items: T[]) => Promise<void>;

export const SYSTEM: Actor = { id: '00000000-0000-0000-0000-000000000000', role: 'system', sessionId: null };

/** The same request, done by the system: for what an actor may cause but not do, such as signing in. */
export function asSystem(scope: Scope): Scope {
  return { ...scope, actor: SYSTEM };
}

const DATABASE_ROLE: Record<Role, string> = {
  admin: 'careflex_staff',
  agent: 'careflex_staff',
  patient: 'careflex_patient',
  auditor: 'careflex_auditor',
  system: 'careflex_system',
};

/**
 * Runs `work` in a transaction under the actor's database role; what it throws undoes it. Nested, it is a
 * savepoint, so a caller may catch the inner failure and carry on. Name the callback's parameter `scope` too:
 * the shadowing keeps the outer connection out of reach.
 *
 * Throws {@link Unauthenticated} when the actor's session has expired or was revoked.
 */
export async function transact<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  if (scope.transaction) return nest(scope, scope.transaction, work);
  return scope.reads ? scope.reads.run(scope, work) : begin(scope, work);
}

/** Calls `callback` once the transaction has committed; never if it does not. It must not throw. */
export function afterCommit(scope: Scope, callback: () => void): void {
  if (!scope.transaction) throw new Error('afterCommit is called inside transact');
  scope.transaction.afterCommit.push(callback);
}

/**
 * Leaves something for the end of the `transact` that the scope is in, nested or not: `closing` is called once, with the
 * items of all who left it something, still in the transaction and as its actor.
 */
export function atEnd<T>(scope: Scope, closing: Closing<T>, item: T): void {
  if (!scope.transaction) throw new Error('atEnd is called inside transact');
  const { left } = scope.transaction;
  left.set(closing, [...(left.get(closing) ?? []), item]);
}

/**
 * Does work of many parts, each of which is a `transact` of its own: what they leave for their ends is done once for all of
 * them, at the end of this.
 */
export function atOnce<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  return transact(scope, async (scope) => {
    const transaction = scope.transaction as Transaction;
    const gathers = transaction.gathers ?? false;
    transaction.gathers = true;
    try {
      return await work(scope);
    } finally {
      transaction.gathers = gathers;
    }
  });
}

function leaveAll(to: Transaction['left'], from: Transaction['left']): void {
  for (const [closing, items] of from) to.set(closing, [...(to.get(closing) ?? []), ...items]);
}

export async function close(scope: Scope, transaction: Transaction): Promise<void> {
  while (transaction.left.size > 0) {
    const left = [...transaction.left];
    transaction.left.clear();
    for (const [closing, items] of left) await closing(scope, items as never[]);
  }
}

async function begin<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  const transaction: Transaction = { actor: scope.actor, afterCommit: [], left: new Map() };
  const { client, db, giveBack } = await lend(scope.db);
  const inner = { ...scope, db, transaction };
  let result: T;
  try {
    client.begin();
    await enter(inner);
    result = await work(inner);
    await close(inner, transaction);
    await commit(client);
  } catch (thrown) {
    // When the connection itself is gone there is nothing to roll back, and the first error is the one to tell.
    await client.ask('rollback').catch(() => undefined);
    throw asUnauthenticated(thrown);
  } finally {
    giveBack();
  }
  for (const callback of transaction.afterCommit) callback();
  return result;
}

export async function commit(client: TransactionClient): Promise<void> {
  const { command } = await client.ask('commit');
  if (command === 'ROLLBACK') throw new Error('A failure that was passed over undid the transaction');
}

async function nest<T>(scope: Scope, transaction: Transaction, work: (scope: Scope) => Promise<T>): Promise<T> {
  const outer = transaction.actor;
  const hooks = transaction.afterCommit.length;
  const { left } = transaction;
  const { client } = await lend(scope.db);
  const savepoint = client.savepoint();
  try {
    await become(scope, transaction, scope.actor);
    transaction.left = new Map();
    const result = await work(scope);
    if (transaction.gathers === true && scope.actor === outer) leaveAll(left, transaction.left);
    else await close(scope, transaction);
    await client.keep(savepoint);
    await become(scope, transaction, outer);
    return result;
  } catch (thrown) {
    transaction.actor = outer;
    transaction.afterCommit.length = hooks;
    // One that was never made has a failure before it, and the transaction is lost.
    await client.undo(savepoint).catch(() => undefined);
    throw asUnauthenticated(thrown);
  } finally {
    transaction.left = left;
  }
}

export async function become(scope: Scope, transaction: Transaction, actor: Actor): Promise<void> {
  if (transaction.actor === actor) return;
  await enter({ ...scope, actor });
  transaction.actor = actor;
}

interface Entering {
  readonly sessionId: string;
  readonly now: string;
  readonly userId: string;
  readonly role: string;
  readonly patientId: string;
  readonly databaseRole: string;
}

export function enter({ actor, db, now }: Scope): Promise<void> {
  return entering(db, {
    sessionId: actor.sessionId ?? '',
    now: now.toString(),
    userId: actor.id,
    role: actor.role,
    patientId: actor.patientId ?? '',
    databaseRole: DATABASE_ROLE[actor.role],
  });
}

/** Written with the statement that is the first to need it. */
const entering = unansweredStatement((db: Db, as: Entering) => ({
  compile: () =>
    sql<never>`
      select set_config('role', 'none', true), check_session(${as.sessionId}::text, ${as.now}::text),
        set_config('careflex.user_id', ${as.userId}, true), set_config('careflex.role', ${as.role}, true),
        set_config('careflex.patient_id', ${as.patientId}, true), set_config('role', ${as.databaseRole}, true)`.compile(
      db,
    ),
}));

const SESSION_ENDED = 'CF401';

export function asUnauthenticated(thrown: unknown): unknown {
  return sqlState(thrown) === SESSION_ENDED ? new Unauthenticated('The session has ended; sign in again') : thrown;
}
