/**
 * Claiming: what is due is looked at again and taken, in one transaction, so that it is then given to the provider
 * once. One process at a time claims, or two messages to one number could each miss the other.
 *
 * A claimed message is locked until the provider has answered: see `await_messages_under_way` in the migration.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import * as care from '#care';
import { type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { type Cap, CAPPED, mayGetOneMore } from './cap.ts';
import { tellOfAll } from './changed.ts';
import { lockClaims, takeDue, unlockMessages } from './claim-locks.ts';
import { type Change, writeChanges } from './claim-write.ts';
import { contactsToAsk, standing } from './consent-standing.ts';
import { planElsewhere } from './elsewhere.ts';
import { compose, type Merged, type Ready } from './merge.ts';
import type { Message } from './outgoing.ts';
import { type Due, type Known, recheck, type Refusal, UNREADABLE, type Verdict } from './recheck.ts';
import { openTask } from './task.ts';
import { templatesFor } from './template-current.ts';

export interface ClaimOptions {
  /** Who claims: an id whose lock the connection holds. */
  readonly claimant: string;
  readonly limit: number;
  readonly cap: Cap;
}

export interface Claimed {
  readonly messages: readonly Message[];
  /** Whether more may be due. */
  readonly more: boolean;
}

/** For the system, on the connection that keeps the locks. */
export async function claim(scope: Scope, options: ClaimOptions): Promise<Claimed> {
  const taken: string[] = [];
  const claimed = await transact(scope, async (scope) => {
    await lockClaims(scope);
    const due = await takeDue(scope, options.limit);
    taken.push(...due.map(({ id }) => id));
    if (due.length === 0) return { messages: [], more: false };
    const { messages, changes } = await decide(scope, due, options);
    await writeChanges(scope, changes, options.claimant);
    await tell(scope, changes);
    return { messages, more: due.length >= options.limit };
  });
  const going = new Set(claimed.messages.flatMap(({ rows }) => rows.map(({ id }) => id)));
  await unlockMessages(
    scope,
    taken.filter((id) => !going.has(id)),
  );
  return claimed;
}

interface Decided {
  readonly messages: readonly Message[];
  readonly changes: readonly Change[];
}

async function decide(scope: Scope, due: readonly Due[], { cap }: ClaimOptions): Promise<Decided> {
  const known = await look(scope, due);
  const ready: Ready[] = [];
  const changes: Change[] = [];
  for (const row of due) {
    const verdict = verdictOn(row, known(row));
    if ('send' in verdict) ready.push({ ...row, to: verdict.send });
    // Taken only to go with another one: what else is to be said of it can wait for its time.
    else if (isEarly(row, scope.now)) continue;
    else if ('notBefore' in verdict) changes.push({ row, status: 'PLANNED', reason: null, dueAt: verdict.notBefore });
    else changes.push(refusing(row, verdict.refusal));
  }
  const templates = await templatesFor(scope, [...new Set(ready.map(({ kind }) => kind))]);
  const { messages, unreadable } = compose(ready, { clinic: scope.clinic, templates });
  changes.push(...unreadable.map((row) => refusing(row, UNREADABLE)));
  const dueNow = messages.filter(({ rows }) => !rows.every((row) => isEarly(row, scope.now)));
  const { within, beyond } = await rationed(scope, dueNow, cap);
  for (const { rows } of beyond) {
    changes.push(...rows.map((row) => refusing(row, { status: 'SKIPPED', reason: 'FREQUENCY_CAP' })));
  }
  const going = within.map(toMessage);
  for (const message of going)
    changes.push(...message.rows.map((row) => ({ row, status: 'CLAIMED' as const, message })));
  return { messages: going, changes };
}

const isEarly = ({ dueAt }: Due, now: Temporal.Instant): boolean => Temporal.Instant.compare(dueAt, now) > 0;

const refusing = (row: Due, { status, reason, task, elsewhere }: Refusal): Change => ({
  row,
  status,
  reason,
  task: task ?? null,
  elsewhere: elsewhere ?? false,
});

/** One bad row is skipped, and the others go on. */
function verdictOn(row: Due, known: Known): Verdict {
  try {
    return recheck(row, known);
  } catch {
    return { refusal: UNREADABLE };
  }
}

/** Everything that the checks ask about, in a few queries however many rows there are. */
async function look(scope: Scope, due: readonly Due[]): Promise<(row: Due) => Known> {
  const visits = await scheduling.visitsOf(
    scope,
    due.map(({ appointmentId }) => appointmentId),
  );
  const contacts = await care.contactsOf(scope, [...new Set(due.map(({ patientId }) => patientId))]);
  const standings = await standing(scope, [...contacts.values()].flatMap(contactsToAsk));
  const { now, clinic } = scope;
  return ({ appointmentId, patientId }) => ({
    now,
    clinic,
    visit: visits.get(appointmentId),
    contact: contacts.get(patientId),
    standings,
  });
}

/** Those that the cap lets through, the earliest visit first. */
async function rationed(scope: Scope, messages: readonly Merged[], cap: Cap) {
  const capped = messages.filter(({ rows: [{ kind }] }) => CAPPED.includes(kind));
  const before = await sentBefore(scope, capped);
  const beyond = new Set<Merged>();
  for (const message of capped) {
    const { contactIndex, contact } = message.rows[0].to;
    const times = before.get(contactIndex.toString('hex')) ?? [];
    if (!mayGetOneMore(cap, times, scope.now.toZonedDateTimeISO(contact.timeZone))) beyond.add(message);
    else before.set(contactIndex.toString('hex'), [...times, scope.now]);
  }
  return { within: messages.filter((message) => !beyond.has(message)), beyond };
}

/** When each number got, or may have got, a message that counts. */
async function sentBefore({ db, now }: Scope, messages: readonly Merged[]): Promise<Map<string, Temporal.Instant[]>> {
  if (messages.length === 0) return new Map();
  const indexes = messages.map(({ rows: [{ to }] }) => to.contactIndex);
  const { rows } = await sql<{ contact_index: Buffer; claimed_at: Date }>`
    select contact_index, claimed_at from notifications
    where contact_index = any(${indexes}::bytea[]) and status in ('CLAIMED', 'SENT', 'DELIVERED', 'UNKNOWN')
      and merged_into is null and kind = any(${CAPPED}::text[])
      and claimed_at > ${now.subtract({ hours: 8 * 24 }).toString()}::timestamptz`.execute(db);
  const byNumber = Map.groupBy(rows, (row) => row.contact_index.toString('hex'));
  return new Map([...byNumber].map(([index, of]) => [index, of.map((row) => row.claimed_at.toTemporalInstant())]));
}

function toMessage({ rows, language, templateId, text }: Merged): Message {
  const [{ id, kind, channel, attempts, expiresAt, to }] = rows;
  return {
    attemptId: randomUUIDv7(),
    id,
    rows,
    kind,
    channel,
    attempt: attempts + 1,
    expiresAt,
    to: to.address,
    contactIndex: to.contactIndex,
    language,
    templateId,
    subject: text.subject,
    text: text.text,
  };
}

/** What is not sent goes another way, or to a person. */
async function tell(scope: Scope, changes: readonly Change[]): Promise<void> {
  await tellOfAll(
    scope,
    changes.map(({ row, status }) => ({ ...row, status })),
  );
  const elsewhere = changes.filter((change) => 'elsewhere' in change && change.elsewhere).map(({ row }) => row);
  await planElsewhere(scope, elsewhere);
  for (const change of changes) {
    if (!('task' in change) || change.task === null) continue;
    const { id, patientId, appointmentId } = change.row;
    await openTask(scope, { kind: 'UNDELIVERABLE', reason: change.task, patientId, appointmentId, notificationId: id });
  }
}
