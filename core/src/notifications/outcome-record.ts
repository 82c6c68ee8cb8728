/** Writing down what became of messages, many in one transaction. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { type Scope, transact } from '#platform/scope';
import { type Changed, tellOfAll } from './changed.ts';
import { planElsewhere } from './elsewhere.ts';
import type { NotificationStatus } from './message.ts';
import { holderOptsOut } from './opt-out.ts';
import { type Fate, fateOf } from './outcome.ts';
import type { Answered } from './outgoing.ts';
import type { Due } from './recheck.ts';
import { applyReports } from './reports.ts';
import { openTask } from './task.ts';

interface Settled {
  readonly answered: Answered;
  readonly fate: Fate;
}

/**
 * Records the outcomes: all of them at once, or when the database does not take one, each by itself. Returns those that
 * could not be recorded: they stay claimed, and the provider is asked once their lease is over. For the system.
 */
export async function recordOutcomes(scope: Scope, answers: readonly Answered[]): Promise<readonly Answered[]> {
  if (answers.length === 0) return [];
  try {
    await transact(scope, (scope) => record(scope, answers));
    return [];
  } catch {
    if (answers.length === 1) return answers;
    const [half, rest] = [answers.slice(0, answers.length / 2), answers.slice(answers.length / 2)];
    return [...(await recordOutcomes(scope, half)), ...(await recordOutcomes(scope, rest))];
  }
}

interface Written extends Changed {
  readonly status: NotificationStatus;
}

async function record(scope: Scope, answers: readonly Answered[]): Promise<void> {
  const settled = answers.map((answered) => ({ answered, fate: fateOf(answered, scope.now, Math.random()) }));
  const changed = await write(scope, settled);
  await tellOfAll(scope, changed);
  const written = new Set(changed.map(({ id }) => id));
  const sent = settled.filter(({ fate }) => fate.status === 'SENT');
  if (sent.length > 0) {
    const rows = sent.flatMap(({ answered }) => answered.message.rows);
    await audit.record(scope, {
      action: 'notification.send',
      resourceType: 'Notification',
      resourceIds: rows.map(({ id }) => id),
      patientIds: [...new Set(rows.map(({ patientId }) => patientId))],
    });
    await applyReports(
      scope,
      sent.flatMap(({ fate }) => fate.providerMessageId ?? []),
    );
  }
  await optOutRefused(scope, settled);
  await followUp(scope, settled, written);
}

/** Only what the attempt still holds. Returns the rows that were written. */
async function write({ db, now }: Scope, settled: readonly Settled[]): Promise<readonly Written[]> {
  const at = now.toString();
  const { rows } = await sql<Written>`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(settled.flatMap(toGiven))}::jsonb) as given (
        id uuid, "attemptId" uuid, status text, reason text, "dueAt" timestamptz, "providerMessageId" text,
        outcome text, code text, carries boolean)
    ), ended as (
      update notification_attempts as a set ended_at = ${at}, outcome = given.outcome, code = given.code,
        provider_message_id = coalesce(given."providerMessageId", a.provider_message_id)
      from given where a.id = given."attemptId" and carries and given.outcome is not null and a.ended_at is null
    )
    update notifications as n set status = given.status, reason = given.reason, updated_at = ${at},
      due_at = coalesce(given."dueAt", n.due_at),
      provider_message_id = coalesce(given."providerMessageId", n.provider_message_id),
      sent_at = case when given.status = 'SENT' then ${at}::timestamptz else n.sent_at end,
      merged_into = case when given.status = 'PLANNED' then null else n.merged_into end,
      claimed_by = case when given.status = 'CLAIMED' then gen_random_uuid() else n.claimed_by end,
      lease_until = case when given.status = 'CLAIMED' then clock_timestamp() + interval '30 seconds' else n.lease_until end
    from given where n.id = given.id and n.attempt_id = given."attemptId" and n.status = 'CLAIMED'
    returning n.id, n.appointment_id as "appointmentId", n.patient_id as "patientId", n.status`.execute(db);
  return rows;
}

function toGiven({ answered: { message }, fate }: Settled): object[] {
  const { status, reason, providerMessageId, attempt, code } = fate;
  const common = { attemptId: message.attemptId, status, reason, providerMessageId, outcome: attempt, code };
  return message.rows.map(({ id }) => ({
    ...common,
    id,
    carries: id === message.id,
    dueAt: fate.dueAt?.toString(),
  }));
}

/** The provider's own list of those who want nothing more. */
const UNSUBSCRIBED = '21610';

async function optOutRefused(scope: Scope, settled: readonly Settled[]): Promise<void> {
  for (const { answered, fate } of settled) {
    if (fate.code !== UNSUBSCRIBED || fate.status !== 'FAILED') continue;
    await holderOptsOut(scope, { contact: answered.message.contactIndex, source: 'PROVIDER' });
  }
}

/** Another channel where one may do, a task where a person must. */
async function followUp(scope: Scope, settled: readonly Settled[], written: ReadonlySet<string>): Promise<void> {
  for (const { answered, fate } of settled) {
    if (fate.task === undefined) continue;
    const { message } = answered;
    const rows = message.rows.filter(({ id }) => written.has(id));
    const stuck: readonly Due[] = fate.elsewhere ? await planElsewhere(scope, rows) : rows;
    for (const { id, patientId, appointmentId } of stuck) {
      await openTask(scope, { ...fate.task, patientId, appointmentId, notificationId: id });
    }
  }
}
