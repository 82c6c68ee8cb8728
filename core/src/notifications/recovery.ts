/**
 * Messages whose worker is gone, or whose outcome it could not learn: the provider is asked whether it has them. What it
 * surely has not is planned again; what cannot be found out is a person's to find out. Never is one sent blindly again.
 */
import { sql } from 'kysely';
import * as care from '#care';
import { LOCKS } from '#platform/advisory-locks';
import { type Scope, transact } from '#platform/scope';
import { VaultError } from '#platform/vault';
import { contactIndex, contactKind, contactOf } from './contact.ts';
import { type Answered, bodyPlace, type Outcome, type Tried } from './outgoing.ts';
import { toDue } from './recheck.ts';
import type { Outside } from './send.ts';
import type { NotificationRow } from './tables.ts';

/** A message of which nobody knows whether it went out. */
export interface Lost {
  readonly message: Tried;
  /** To whom and what, as far as it can be known. */
  readonly to: string | null;
  readonly text: string | null;
  /** Nothing of it is older at the provider. */
  readonly since: Temporal.Instant;
}

/** Longer than looking at the provider for all of them takes. */
const LEASE = '90 seconds';
/** Our clocks may be wrong; and what is known to be another message is left out anyway. */
const CLOCKS_DIFFER = { hours: 24 } as const;

export interface TakeOver {
  readonly claimant: string;
  readonly limit: number;
}

/** Takes over lost claims whose lease has ended and whose claimant does not live. For the system. */
export async function takeLost(scope: Scope, { claimant, limit }: TakeOver): Promise<Lost[]> {
  return transact(scope, async (scope) => {
    const { rows: carriers } = await sql<{ id: string }>`
      with over as materialized (
        select id, claimed_by from notifications
        where status = 'CLAIMED' and merged_into is null and lease_until < clock_timestamp() and claimed_by <> ${claimant}
        order by lease_until limit ${limit} for update skip locked
      )
      select id from over
      where pg_try_advisory_xact_lock_shared(hashtextextended(claimed_by::text, ${LOCKS.messageClaimant}))`.execute(
      scope.db,
    );
    const { rows } = await sql<NotificationRow>`
      update notifications set claimed_by = ${claimant}, lease_until = clock_timestamp() + ${LEASE}::interval
      where status = 'CLAIMED' and (id = any(${carriers.map(({ id }) => id)}::uuid[])
        or merged_into = any(${carriers.map(({ id }) => id)}::uuid[]))
      returning *`.execute(scope.db);
    return describe(scope, rows);
  });
}

async function describe(scope: Scope, rows: readonly NotificationRow[]): Promise<Lost[]> {
  if (rows.length === 0) return [];
  const contacts = await care.contactsOf(scope, [...new Set(rows.map((row) => row.patient_id))]);
  return rows
    .filter((row) => row.merged_into === null)
    .toSorted((a, b) => claimedAt(a) - claimedAt(b))
    .map((carrier) => {
      const others = rows.filter((row) => row.merged_into === carrier.id);
      const contact = contacts.get(carrier.patient_id);
      return {
        message: toTried(carrier, others),
        to: contact ? addressOf(scope, carrier, contact) : null,
        text: contact ? textOf(carrier, contact) : null,
        since: earliest(carrier).subtract(CLOCKS_DIFFER),
      };
    });
}

const claimedAt = ({ claimed_at }: NotificationRow): number => claimed_at?.getTime() ?? 0;

function toTried(carrier: NotificationRow, others: readonly NotificationRow[]): Tried {
  return {
    attemptId: carrier.attempt_id ?? '',
    id: carrier.id,
    rows: [carrier, ...others].map(toDue),
    attempt: carrier.attempts,
    channel: carrier.channel,
    expiresAt: carrier.expires_at.toTemporalInstant(),
    contactIndex: carrier.contact_index ?? Buffer.alloc(0),
  };
}

/** Null when it went to a number that the patient has no more. */
function addressOf({ vault }: Scope, row: NotificationRow, contact: care.Contact): string | null {
  const address = contactOf(contact, contactKind(row.channel));
  if (address === null || !row.contact_index) return null;
  return contactIndex(vault, address).equals(row.contact_index) ? address : null;
}

function textOf({ id, body }: NotificationRow, { key }: care.Contact): string | null {
  try {
    return body && key.open(bodyPlace(id), body);
  } catch (thrown) {
    if (thrown instanceof VaultError) return null;
    throw thrown;
  }
}

function earliest({ created_at, claimed_at }: NotificationRow): Temporal.Instant {
  const [created, claimed] = [created_at.toTemporalInstant(), (claimed_at ?? created_at).toTemporalInstant()];
  return Temporal.Instant.compare(created, claimed) < 0 ? created : claimed;
}

/** Asks the provider for each of them, one after the other: of two with one text each finds another one. */
export async function lookUp(scope: Scope, outside: Outside, lost: readonly Lost[]): Promise<Answered[]> {
  const found = new Map<string, string>();
  const answers: Answered[] = [];
  for (const one of lost) {
    const outcome = await lookUpOne(scope, outside, { lost: one, found });
    if (outcome.kind === 'SENT') found.set(outcome.providerMessageId, one.message.id);
    answers.push({ message: one.message, outcome });
  }
  return answers;
}

interface Search {
  readonly lost: Lost;
  /** What those before it have found, with their ids. */
  readonly found: ReadonlyMap<string, string>;
}

async function lookUpOne(scope: Scope, { sms, voice }: Outside, search: Search): Promise<Outcome> {
  const { to, text, since, message } = search.lost;
  // Nobody can be asked for an e-mail.
  if (to === null || text === null || message.channel === 'EMAIL') return { kind: 'UNDECIDABLE' };
  try {
    if (message.channel === 'VOICE') {
      const calls = await unknownAmong(scope, await voice.find({ to, since }), search);
      return ofCalls(calls, await othersUnderWay(scope, search));
    }
    const [text1] = await unknownAmong(scope, await sms.find({ to, body: text, since }), search);
    if (text1 === undefined) return { kind: 'NOT_SENT' };
    return NEVER_LEFT.has(text1.status)
      ? { kind: 'REFUSED', code: text1.errorCode ?? text1.status }
      : { kind: 'SENT', providerMessageId: text1.id };
  } catch {
    return LATER;
  }
}

/** It is asked another time. */
const LATER: Outcome = { kind: 'UNKNOWN', code: 'NO_ANSWER' };
const NEVER_LEFT = new Set(['failed', 'undelivered', 'canceled']);

/**
 * A call does not tell what it said. Where there are as many as messages of which nobody knows, each of them was made,
 * the first one for the first; where there is none, none was. Of anything between nobody can tell.
 */
function ofCalls(calls: readonly { readonly id: string }[], others: Others): Outcome {
  const oldest = calls.at(-1);
  if (oldest === undefined) return { kind: 'NOT_SENT' };
  if (others.beingMade > 0) return LATER;
  return calls.length === 1 + others.unknown ? { kind: 'SENT', providerMessageId: oldest.id } : { kind: 'UNDECIDABLE' };
}

/** What the provider has and no message of the ledger is, or was in an attempt before. */
async function unknownAmong<T extends { readonly id: string }>(
  scope: Scope,
  there: readonly T[],
  { lost, found }: Search,
): Promise<T[]> {
  if (there.length === 0) return [];
  const ids = there.map(({ id }) => id);
  const known = await transact(scope, async ({ db }) => {
    const { rows } = await sql<{ id: string }>`
      select provider_message_id as id from notifications where provider_message_id = any(${ids}::text[])
      union all
      select provider_message_id from notification_attempts
      where provider_message_id = any(${ids}::text[]) and id <> ${lost.message.attemptId}`.execute(db);
    return rows;
  });
  const taken = new Set([...known.map(({ id }) => id), ...found.keys()]);
  return there.filter(({ id }) => !taken.has(id));
}

/** Other calls to this number whose ids are not known. */
interface Others {
  /** Somebody makes them just now, or looks for them. */
  readonly beingMade: number;
  /** Looked for with this one, and still to be found; or given up. */
  readonly unknown: number;
}

async function othersUnderWay(scope: Scope, { lost: { message, since }, found }: Search): Promise<Others> {
  return transact(scope, async ({ db }) => {
    const { rows } = await sql<Others>`
      select count(*) filter (where status = 'CLAIMED' and claimed_by <> mine)::int as "beingMade",
        count(*) filter (where status = 'UNKNOWN' or claimed_by = mine)::int as unknown
      from notifications, (select claimed_by as mine from notifications where id = ${message.id}) as this
      where contact_index = ${message.contactIndex} and channel = 'VOICE' and status in ('CLAIMED', 'UNKNOWN')
        and merged_into is null and claimed_at > ${since.toString()}::timestamptz
        and id <> all(${[message.id, ...found.values()]}::uuid[])`.execute(db);
    return rows[0] ?? { beingMade: 0, unknown: 0 };
  });
}
