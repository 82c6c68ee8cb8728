import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as notifications from '#notifications';
import { asSystem, type Scope, transact } from '#platform/scope';
import { booked, newPatient, TOMORROW_AT_TEN, undone } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { PHONE, type Row, rowOf, sent, tasksSoFar } from './support/messages.ts';
import { actor, as, NOW, sandboxed } from './support/testing.ts';

const NEXT_WEEK = TOMORROW_AT_TEN.add({ hours: 7 * 24 });

async function aMessage(scope: Scope, more: Partial<Row> = {}) {
  const preferences = { channels: ['SMS' as const, 'EMAIL' as const] };
  const patientId = await newPatient(scope, { phone: PHONE, email: `${randomUUID()}@example.com`, preferences });
  const visit = await booked(scope, { patientId, startsAt: NEXT_WEEK });
  return { visit, row: await sent(scope, visit, more) };
}

type Sent = Awaited<ReturnType<typeof sent>>;

const tell = (scope: Scope, row: Sent, said: string | (Partial<notifications.Report> & { status: string })) => {
  const more = typeof said === 'string' ? { status: said } : said;
  return notifications.report(asSystem(scope), {
    providerMessageId: row.provider_message_id ?? '',
    notificationId: row.id,
    attemptId: row.attempt_id ?? '',
    ...more,
  });
};

const agreeToEmail = (scope: Scope, patientId: string) =>
  notifications.recordConsent(scope, patientId, { contactKind: 'EMAIL', source: 'AGENT', evidence: 'By phone' });

const plannedFor = (scope: Scope, appointmentId: string) =>
  transact(asSystem(scope), ({ db }) =>
    db
      .selectFrom('notifications')
      .select(['channel', 'status'])
      .where('appointment_id', '=', appointmentId)
      .where('status', '=', 'PLANNED')
      .execute(),
  );

describe('reports of a message', () => {
  const STEPS = ['accepted', 'queued', 'sending', 'sent'];
  const FINAL: Record<string, string> = { delivered: 'DELIVERED', undelivered: 'FAILED', failed: 'FAILED' };

  test(
    'in any order, doubled and late, leave what the first final word says',
    sandboxed(async (scope) => {
      const words = fc.array(fc.constantFrom(...STEPS, ...Object.keys(FINAL)), { minLength: 1, maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(words, async (told) => {
          await undone(scope, async (scope) => {
            const { row } = await aMessage(scope);
            for (const [n, status] of told.entries()) {
              const later = { ...scope, now: NOW.add({ seconds: n }) };
              const isRepeat = told.indexOf(status) < n;
              assert.equal(await tell(later, row, status), isRepeat ? 'REPEATED' : 'APPLIED');
            }
            const first = told.find((status) => status in FINAL);
            assert.equal((await rowOf(scope, row.id)).status, first === undefined ? 'SENT' : FINAL[first]);
          });
        }),
        { numRuns: 25 },
      );
    }),
  );

  test(
    'are on record once for what they change',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      for (const status of ['sent', 'delivered', 'delivered', 'sent']) await tell(scope, row, status);
      const entries = await auditSoFar(scope, 'notification.deliver');
      assert.deepEqual(
        entries.map(({ resource_id }) => resource_id),
        [row.id],
      );
      assert.equal(
        (await rowOf(scope, row.id)).delivered_at?.toISOString(),
        new Date(NOW.epochMilliseconds).toISOString(),
      );
    }),
  );

  test(
    'may come before our own commit, and say that it was sent',
    sandboxed(async (scope) => {
      const lost = { sent_at: null, provider_message_id: null };
      for (const more of [
        { status: 'CLAIMED' },
        { status: 'UNKNOWN', reason: 'OUTCOME_UNKNOWN' },
        { status: 'PLANNED' },
      ] as const) {
        const { row } = await aMessage(scope, { ...lost, ...more });
        const about = { kind: 'UNDECIDABLE', reason: 'OUTCOME_UNKNOWN', notificationId: row.id } as const;
        await transact(asSystem(scope), (scope) => notifications.openTask(scope, about));
        await tell(scope, row, { status: 'sent', providerMessageId: `SM${row.id}` });
        const found = await rowOf(scope, row.id);
        assert.deepEqual([found.status, found.provider_message_id], ['SENT', `SM${row.id}`]);
        const task = (await tasksSoFar(scope)).find(({ notification_id }) => notification_id === row.id);
        assert.equal(task?.status, 'DONE');
      }
    }),
  );

  test(
    'wait for the message whose id is not known yet',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      const early = await sent(scope, await booked(scope), { provider_message_id: null, status: 'SENT' });
      await tell(scope, early, { status: 'delivered', providerMessageId: 'SMearly' });
      assert.equal((await rowOf(scope, early.id)).status, 'SENT');
      await transact(asSystem(scope), async (scope) => {
        await scope.db
          .updateTable('notifications')
          .set({ provider_message_id: 'SMearly' })
          .where('id', '=', early.id)
          .execute();
        await notifications.applyReports(scope, ['SMearly', row.provider_message_id ?? '']);
      });
      assert.equal((await rowOf(scope, early.id)).status, 'DELIVERED');
      assert.equal((await rowOf(scope, row.id)).status, 'SENT');
    }),
  );

  test(
    'of an older attempt, another message or a week ago change nothing',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      assert.equal(await tell(scope, row, { status: 'delivered', attemptId: randomUUID() }), 'UNKNOWN');
      assert.equal(await tell(scope, row, { status: 'delivered', notificationId: 'none' }), 'UNKNOWN');
      assert.equal(await tell(scope, row, { status: 'delivered', providerMessageId: 'SMother' }), 'APPLIED');
      const late = { ...scope, now: NOW.add({ hours: 7 * 24 }) };
      assert.equal(await tell(late, row, 'delivered'), 'STALE');
      assert.equal((await rowOf(scope, row.id)).status, 'SENT');
    }),
  );

  test(
    'hold for every visit that the message listed',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      const other = await sent(scope, await booked(scope), { merged_into: row.id, provider_message_id: null });
      await tell(scope, row, 'delivered');
      assert.equal((await rowOf(scope, other.id)).status, 'DELIVERED');
    }),
  );

  test(
    'are for the system',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        const report = {
          providerMessageId: 'SM',
          status: 'sent',
          notificationId: row.id,
          attemptId: row.attempt_id ?? '',
        };
        await assert.rejects(notifications.report(as(scope, actor(role)), report), { code: 'FORBIDDEN' });
      }
    }),
  );
});

describe('a message that does not get there', () => {
  test(
    'goes by the next channel that was agreed to',
    sandboxed(async (scope) => {
      const { visit, row } = await aMessage(scope);
      await agreeToEmail(scope, visit.patientId);
      await tell(scope, row, { status: 'undelivered', errorCode: '30005' });
      const failed = await rowOf(scope, row.id);
      assert.deepEqual([failed.status, failed.reason], ['FAILED', 'UNDELIVERED']);
      assert.deepEqual(await plannedFor(scope, visit.id), [{ channel: 'EMAIL', status: 'PLANNED' }]);
      assert.deepEqual(await tasksSoFar(scope), []);
    }),
  );

  test(
    'is a task where no other was, with each visit that it listed, once',
    sandboxed(async (scope) => {
      const { visit, row } = await aMessage(scope);
      const further = await booked(scope);
      await sent(scope, further, { merged_into: row.id, provider_message_id: null });
      for (const status of ['undelivered', 'failed']) await tell(scope, row, { status, errorCode: '30006' });
      const tasks = await tasksSoFar(scope);
      assert.ok(tasks.every(({ kind, reason }) => kind === 'UNDELIVERABLE' && reason === 'UNDELIVERED'));
      assert.deepEqual(new Set(tasks.map(({ appointment_id }) => appointment_id)), new Set([visit.id, further.id]));
      assert.equal(tasks.length, 2);
    }),
  );

  test(
    'because the provider keeps an opt-out is an opt-out here too',
    sandboxed(async (scope) => {
      const { row } = await aMessage(scope);
      await tell(scope, row, { status: 'failed', errorCode: '21610' });
      const said = await transact(asSystem(scope), ({ db }) =>
        db.selectFrom('opt_outs').select(['opted_out', 'source']).execute(),
      );
      assert.deepEqual(said, [{ opted_out: true, source: 'PROVIDER' }]);
    }),
  );

  test(
    'since nobody took the call is called once more, and what comes late of the first call counts no more',
    sandboxed(async (scope) => {
      for (const status of ['busy', 'no-answer']) {
        const { visit, row } = await aMessage(scope, { channel: 'VOICE' });
        await tell(scope, row, status);
        assert.deepEqual(await plannedFor(scope, visit.id), [{ channel: 'VOICE', status: 'PLANNED' }]);
        for (const late of ['ringing', 'completed']) await tell(scope, row, late);
        assert.deepEqual(await plannedFor(scope, visit.id), [{ channel: 'VOICE', status: 'PLANNED' }]);

        const again = await aMessage(scope, { channel: 'VOICE', attempts: 2 });
        await tell(scope, again.row, status);
        assert.equal((await rowOf(scope, again.row.id)).status, 'FAILED');
        const late = await aMessage(scope, { channel: 'VOICE', expires_at: NOW.add({ minutes: 5 }).toString() });
        await tell(scope, late.row, status);
        assert.equal((await rowOf(scope, late.row.id)).status, 'FAILED');
      }
    }),
  );
});
