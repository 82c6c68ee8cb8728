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
  const found = new Set<string>();
  const answers: Answered[] = [];
  for (const one of lost) {
    const outcome = await lookUpOne(scope, outside, { lost: one, found });
    if (outcome.kind === 'SENT') found.add(outcome.providerMessageId);
    answers.push({ message: one.message, outcome });
  }
  return answers;
}

interface Search {
  readonly lost: Lost;
  /** By those before it. */
  readonly found: ReadonlySet<string>;
}

async function lookUpOne(scope: Scope, { sms, voice }: Outside, { lost, found }: Search): Promise<Outcome> {
  const { message, to, text, since } = lost;
  // Nobody can be asked for an e-mail.
  if (to === null || text === null || message.channel === 'EMAIL') return { kind: 'UNDECIDABLE' };
  try {
    if (message.channel === 'VOICE') {
      const calls = await unknownAmong(scope, await voice.find({ to, since }), found);
      return ofCalls(calls, await othersUnderWay(scope, message));
    }
    const [text1] = await unknownAmong(scope, await sms.find({ to, body: text, since }), found);
    if (text1 === undefined) return { kind: 'NOT_SENT' };
    return NEVER_LEFT.has(text1.status)
      ? { kind: 'REFUSED', code: text1.errorCode ?? text1.status }
      : { kind: 'SENT', providerMessageId: text1.id };
  } catch {
    // Another time, then.
    return { kind: 'UNKNOWN', code: 'NO_ANSWER' };
  }
}

const NEVER_LEFT = new Set(['failed', 'undelivered', 'canceled']);

/** A call does not tell what it said: only a single one, and of a single message, is surely that one. */
function ofCalls(calls: readonly { readonly id: string }[], others: number): Outcome {
  const [call, ...more] = calls;
  if (call === undefined) return { kind: 'NOT_SENT' };
  return more.length === 0 && others === 0 ? { kind: 'SENT', providerMessageId: call.id } : { kind: 'UNDECIDABLE' };
}

/** What the provider has and no message of the ledger is. */
async function unknownAmong<T extends { readonly id: string }>(
  scope: Scope,
  there: readonly T[],
  found: ReadonlySet<string>,
): Promise<T[]> {
  if (there.length === 0) return [];
  const known = await transact(scope, ({ db }) =>
    db
      .selectFrom('notifications')
      .select('provider_message_id')
      .where(
        'provider_message_id',
        'in',
        there.map(({ id }) => id),
      )
      .execute(),
  );
  const taken = new Set([...known.map((row) => row.provider_message_id), ...found]);
  return there.filter(({ id }) => !taken.has(id));
}

/** Other calls to this number of which nobody knows. */
async function othersUnderWay(scope: Scope, { id, contactIndex }: Tried): Promise<number> {
  return transact(scope, async ({ db }) => {
    const { rows } = await sql<{ others: number }>`
      select count(*)::int as others from notifications
      where contact_index = ${contactIndex} and channel = 'VOICE' and status in ('CLAIMED', 'UNKNOWN')
        and merged_into is null and id <> ${id}`.execute(db);
    return rows[0]?.others ?? 0;
  });
}
