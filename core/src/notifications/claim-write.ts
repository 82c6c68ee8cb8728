/** What a claim writes down, in one statement however many rows there are. */
import { sql } from 'kysely';
import type { PatientKey } from '#care';
import type { Scope } from '#platform/scope';
import type { Ready } from './merge.ts';
import type { NotificationStatus, Reason } from './message.ts';
import { bodyOf, bodyPlace, type Message } from './outgoing.ts';
import type { Due } from './recheck.ts';
import type { TaskReason } from './task.ts';

export type Change =
  | { readonly row: Ready; readonly status: 'CLAIMED'; readonly message: Message }
  | { readonly row: Due; readonly status: 'PLANNED'; readonly reason: null; readonly dueAt: Temporal.Instant }
  | {
      readonly row: Due;
      readonly status: Extract<NotificationStatus, 'SKIPPED' | 'SUPERSEDED' | 'FAILED'>;
      readonly reason: Reason;
      readonly task: TaskReason | null;
      readonly elsewhere: boolean;
    };

/** Longer than any call to a provider may take, all its tries together. */
const LEASE = '90 seconds';

/** Inside the transaction that has locked the rows. */
export async function writeChanges({ db, now }: Scope, changes: readonly Change[], claimant: string): Promise<void> {
  if (changes.length === 0) return;
  await sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(changes.map(toGiven))}::jsonb) as given (
        id uuid, status text, reason text, "dueAt" timestamptz, "attemptId" uuid, number integer, channel text,
        "contactIndex" bytea, "templateId" uuid, body bytea, "mergedInto" uuid)
    ), written as (
      update notifications as n set status = given.status, reason = given.reason, updated_at = ${now.toString()},
        due_at = coalesce(given."dueAt", n.due_at),
        attempts = coalesce(given.number, n.attempts),
        attempt_id = coalesce(given."attemptId", n.attempt_id),
        claimed_at = case when given.status = 'CLAIMED' then ${now.toString()}::timestamptz else n.claimed_at end,
        claimed_by = case when given.status = 'CLAIMED' then ${claimant}::uuid else n.claimed_by end,
        lease_until = case when given.status = 'CLAIMED' then clock_timestamp() + ${LEASE}::interval else n.lease_until end,
        contact_index = coalesce(given."contactIndex", n.contact_index),
        template_id = coalesce(given."templateId", n.template_id),
        body = coalesce(given.body, n.body),
        merged_into = given."mergedInto"
      from given where n.id = given.id
    )
    insert into notification_attempts (id, notification_id, number, channel, started_at)
    select "attemptId", id, number, channel, ${now.toString()} from given
    where status = 'CLAIMED' and "mergedInto" is null`.execute(db);
}

function toGiven(change: Change): object {
  const { id, attempts } = change.row;
  if (change.status === 'PLANNED') return { id, status: change.status, dueAt: change.dueAt.toString() };
  if (change.status !== 'CLAIMED') return { id, status: change.status, reason: change.reason };
  const { message, row } = change;
  return {
    id,
    status: 'CLAIMED',
    attemptId: message.attemptId,
    number: attempts + 1,
    channel: message.channel,
    contactIndex: hex(message.contactIndex),
    templateId: message.templateId,
    body: hex(sealed(row.to.contact.key, id, message)),
    mergedInto: id === message.id ? null : message.id,
  };
}

/** Each patient can read what was said to them: of a message for two, each has a copy under their own key. */
const sealed = (key: PatientKey, id: string, message: Message): Buffer => key.seal(bodyPlace(id), bodyOf(message));

const hex = (bytes: Buffer): string => `\\x${bytes.toString('hex')}`;
