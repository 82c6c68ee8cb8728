/**
 * Growing delays on failure, instead of a lock-out: a stranger can slow an account's owner down, never shut them out.
 *
 * An attempt counts as failed before it is tried, in one statement, and success takes that back: so a thousand
 * guesses at once are no better than one after another. What is counted is known by a blind index alone.
 */
import { isIPv6 } from 'node:net';
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import { blindIndex, type Vault } from '#platform/vault';

interface Rule {
  /** Attempts without delay. */
  readonly free: number;
  /** The first delay; each further failure doubles it. */
  readonly seconds: number;
  readonly maxSeconds: number;
}

const RULES = {
  /** By the e-mail address somebody signs in with, whether a user has it or not. */
  'sign-in': { free: 5, seconds: 1, maxSeconds: 300 },
  /** By the network address they come from; many people may share one. */
  'sign-in-address': { free: 50, seconds: 1, maxSeconds: 300 },
  /** By the e-mail address or phone a code is asked for; every one costs a message. */
  verification: { free: 3, seconds: 60, maxSeconds: 3_600 },
  'verification-address': { free: 20, seconds: 5, maxSeconds: 300 },
  /** By the patient who asks for a code to a new address or phone: each may cost a message to a stranger. */
  'contact-change': { free: 5, seconds: 60, maxSeconds: 3_600 },
  'registration-address': { free: 20, seconds: 1, maxSeconds: 300 },
} as const satisfies Record<string, Rule>;

/** Without a new failure for so long all is forgotten. */
const FORGET_HOURS = 24;

export interface Subject {
  readonly rule: keyof typeof RULES;
  readonly value: string;
}

/** A network address as a subject: of IPv6 the /64, since one household or attacker has all of it. None without an address. */
export function fromAddress(rule: Subject['rule'], { request }: Scope): Subject[] {
  if (request.ip === null) return [];
  const value = request.ip.replace(/^::ffff:(?=\d+\.)/i, '');
  return [{ rule, value: isIPv6(value) ? network64(value) : value }];
}

function network64(address: string): string {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

/**
 * Counts one attempt of each subject; null when it may be made, else the seconds to wait. What may not be made counts
 * for nobody: or a network address that is blocked could go on slowing an account's owner down. Call it inside
 * `transact` as the system.
 */
export async function countAttempt(scope: Scope, subjects: readonly Subject[]): Promise<number | null> {
  const until = (await blockedUntil(scope, subjects)) ?? (await countEach(scope, subjects));
  return until === null ? null : Math.max(1, Math.ceil(scope.now.until(until).total('seconds')));
}

async function blockedUntil({ db, vault, now }: Scope, subjects: readonly Subject[]) {
  if (subjects.length === 0) return null;
  const blocked = await db
    .selectFrom('throttles')
    .select('blocked_until')
    .where(
      'subject',
      'in',
      subjects.map((subject) => indexOf(vault, subject)),
    )
    .where('blocked_until', '>', new Date(now.epochMilliseconds))
    .orderBy('blocked_until', 'desc')
    .executeTakeFirst();
  return blocked?.blocked_until.toTemporalInstant() ?? null;
}

/** Network addresses first: the one that another request has blocked in this moment counts for nobody else. */
async function countEach(scope: Scope, subjects: readonly Subject[]): Promise<Temporal.Instant | null> {
  for (const subject of subjects.toSorted((a, b) => Number(isAddress(b)) - Number(isAddress(a)))) {
    const until = await count(scope, subject);
    if (until !== null) return until;
  }
  return null;
}

const isAddress = ({ rule }: Subject): boolean => rule.endsWith('-address');

const indexOf = (vault: Vault, { rule, value }: Subject): Buffer =>
  blindIndex(vault, 'throttles.subject', `${rule}:${value}`);

/** Returns until when the subject is blocked; null when the attempt was counted. */
async function count({ db, vault, now }: Scope, counted: Subject): Promise<Temporal.Instant | null> {
  const subject = indexOf(vault, counted);
  const { free, seconds, maxSeconds } = RULES[counted.rule];
  const at = now.toString();
  const failures = sql`case when t.expires_at <= ${at}::timestamptz then 1 else t.failures + 1 end`;
  const { rows } = await sql`
    insert into throttles as t (subject, failures, blocked_until, expires_at)
    values (${subject}, 1, 'epoch', ${at}::timestamptz + make_interval(hours => ${FORGET_HOURS}::int))
    on conflict (subject) do update set
      failures = ${failures},
      blocked_until = case when ${failures} < ${free}::int then t.blocked_until
        else ${at}::timestamptz + make_interval(secs =>
          least(${maxSeconds}::float8, ${seconds}::float8 * power(2, least(${failures} - ${free}::int, 20)))) end,
      expires_at = excluded.expires_at
    where t.blocked_until <= ${at}::timestamptz
    returning failures`.execute(db);
  if (rows.length > 0) return null;
  const blocked = await db
    .selectFrom('throttles')
    .select('blocked_until')
    .where('subject', '=', subject)
    .executeTakeFirst();
  // A success meanwhile has taken it away: who was too early may come back at once.
  return blocked?.blocked_until.toTemporalInstant() ?? now;
}

/** Takes back what an attempt that turned out well had counted. */
export async function forgiveAttempt({ db, vault }: Scope, subjects: readonly Subject[]): Promise<void> {
  for (const forgiven of subjects) {
    const { rule } = forgiven;
    const subject = indexOf(vault, forgiven);
    // Of a shared address only this one attempt: an account of one's own must not buy guesses at another's.
    if (rule === 'sign-in') await db.deleteFrom('throttles').where('subject', '=', subject).execute();
    else {
      await db
        .updateTable('throttles')
        .set((eb) => ({ failures: eb('failures', '-', 1), blocked_until: 'epoch' }))
        .where('subject', '=', subject)
        .where('failures', '>', 0)
        .execute();
    }
  }
}
