import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as notifications from '#notifications';
import { asSystem, type Scope, transact } from '#platform/scope';
import { newPatient } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { PHONE, receive } from './support/messages.ts';
import { eventsSoFar } from './support/patients.ts';
import { actor, as, asSuperuser, committed, NOW, sandboxed } from './support/testing.ts';

/** A user of the staff, on record as what they do is. */
async function aColleague(scope: Scope, role: 'agent' | 'admin' = 'agent') {
  const { id } = await accounts.createUser(as(scope, 'system'), {
    email: `${randomUUID()}@example.com`,
    displayName: 'Somebody',
    role,
  });
  return as(scope, actor(role, { id }));
}

async function aTask(scope: Scope): Promise<string> {
  const patientId = await newPatient(scope);
  const id = await transact(asSystem(scope), (scope) =>
    notifications.openTask(scope, { kind: 'REPLY', reason: 'NOT_UNDERSTOOD', patientId }),
  );
  return id ?? assert.fail('no task');
}

describe('a task', () => {
  test(
    'is taken on by one person, given back, taken on by another and done, each on record',
    sandboxed(async (scope) => {
      const [one, other] = [await aColleague(scope), await aColleague(scope)];
      const id = await aTask(scope);
      const claimed = await notifications.claimTask(one, id);
      assert.deepEqual([claimed.status, claimed.claimedBy, claimed.version], ['CLAIMED', one.actor.id, 2]);
      assert.equal((await notifications.claimTask(one, id)).version, 2);
      const taken = { code: 'TASK_TAKEN', claimedBy: one.actor.id };
      await assert.rejects(notifications.claimTask(other, id), taken);
      await assert.rejects(notifications.releaseTask(other, id), taken);
      await assert.rejects(notifications.completeTask(other, id, { outcome: 'Called' }), taken);
      await notifications.releaseTask(one, id);
      await notifications.claimTask(other, id);
      const done = await notifications.completeTask(other, id, { outcome: 'Called back: all is well' });
      assert.deepEqual([done.status, done.doneBy], ['DONE', other.actor.id]);
      await assert.rejects(notifications.claimTask(one, id), { code: 'TASK_DONE' });

      const topics = (await eventsSoFar(scope)).map(({ topic }) => topic).filter((topic) => topic.startsWith('task.'));
      assert.deepEqual(topics, ['task.opened', 'task.claimed', 'task.released', 'task.claimed', 'task.done']);
      for (const [action, times] of Object.entries({ 'task.claim': 2, 'task.release': 1, 'task.complete': 1 })) {
        assert.equal((await auditSoFar(scope, action)).length, times, action);
      }
      const [stored] = await transact(asSystem(scope), ({ db }) =>
        db.selectFrom('tasks').select('outcome').where('id', '=', id).execute(),
      );
      assert.doesNotMatch(stored?.outcome?.toString('latin1') ?? 'Called back', /Called/);
      assert.equal((await notifications.taskWords(one, [id])).get(id)?.outcome, 'Called back: all is well');
    }),
  );

  test(
    'is given back for somebody else by an admin',
    sandboxed(async (scope) => {
      const [agent, admin] = [await aColleague(scope), await aColleague(scope, 'admin')];
      const id = await aTask(scope);
      await notifications.claimTask(agent, id);
      assert.equal((await notifications.releaseTask(admin, id)).status, 'OPEN');
    }),
  );

  test(
    'is not changed past a newer version, nor twice under one key',
    sandboxed(async (scope) => {
      const agent = await aColleague(scope);
      const id = await aTask(scope);
      await assert.rejects(notifications.claimTask(agent, id, { version: 9 }), {
        code: 'STALE_VERSION',
        currentVersion: 1,
      });
      const key = { idempotencyKey: 'once', version: 1 };
      for (let time = 0; time < 2; time++) assert.equal((await notifications.claimTask(agent, id, key)).version, 2);
      await assert.rejects(notifications.completeTask(agent, id, { outcome: ' ' }), { code: 'INVALID_INPUT' });
      await assert.rejects(notifications.claimTask(agent, randomUUID()), { code: 'NOT_FOUND' });
    }),
  );

  test(
    'has one winner of 64 at once, and tells the others who',
    committed(async (scope) => {
      const id = await aTask(scope);
      const people: Scope[] = [];
      for (let n = 0; n < 64; n++) people.push(await aColleague(scope));
      const results = await Promise.allSettled(people.map((scope) => notifications.claimTask(scope, id)));
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.claimedBy] : []));
      assert.equal(won.length, 1);
      for (const result of results) {
        if (result.status === 'rejected') assert.equal((result.reason as notifications.TaskTaken).claimedBy, won[0]);
      }
      await asSuperuser('delete from tasks where id = $1', [id]);
    }),
  );
});

describe('the tasks', () => {
  test(
    'are listed page by page, the oldest first, without what is done, and counted',
    sandboxed(async (scope) => {
      const agent = await aColleague(scope);
      const ids: string[] = [];
      for (let n = 0; n < 5; n++) ids.push(await aTask({ ...scope, now: NOW.add({ seconds: n }) }));
      await notifications.completeTask(agent, ids[0] as string, { outcome: 'Done' });
      await notifications.claimTask(agent, ids[1] as string);
      const seen: string[] = [];
      for (let after: string | null = null; ;) {
        const page: Awaited<ReturnType<typeof notifications.tasks>> = await notifications.tasks(agent, {
          first: 2,
          after,
        });
        seen.push(...page.items.map(({ node }) => node.id));
        if (!page.hasNextPage) break;
        after = page.items.at(-1)?.cursor ?? null;
      }
      assert.deepEqual(seen, ids.slice(1));
      assert.deepEqual(await notifications.taskCounts(agent), { open: 3, mine: 1 });
      const done = await notifications.tasks(agent, { status: ['DONE'], kind: ['REPLY'] });
      assert.deepEqual(
        done.items.map(({ node }) => node.id),
        [ids[0]],
      );
    }),
  );

  test(
    'show staff what the patient wrote, on record as a read of that patient, until the patient is erased',
    sandboxed(async (scope) => {
      const patientId = await newPatient(scope, { phone: PHONE });
      await receive(scope, 'My knee hurts');
      const [task] = (await notifications.tasks(await aColleague(scope), { patientId })).items;
      const id = task?.node.id ?? '';
      assert.equal((await notifications.taskWords(scope, [id])).get(id)?.message, 'My knee hurts');
      assert.deepEqual(
        (await auditSoFar(scope, 'task.readWords')).map((entry) => entry.resource_ids),
        [[id]],
      );
      await transact(asSystem(scope), (scope) => notifications.forgetWordsOf(scope, patientId));
      assert.equal((await notifications.taskWords(scope, [id])).get(id)?.message, null);
    }),
  );

  test(
    'are nobody’s but the staff’s',
    sandboxed(async (scope) => {
      const id = await aTask(scope);
      for (const role of ['patient', 'auditor'] as const) {
        const other = as(scope, actor(role));
        const attempts = [
          () => notifications.tasks(other),
          () => notifications.getTask(other, id),
          () => notifications.taskCounts(other),
          () => notifications.taskWords(other, [id]),
          () => notifications.followTasks(other),
          () => notifications.claimTask(other, id),
          () => notifications.releaseTask(other, id),
          () => notifications.completeTask(other, id, { outcome: 'x' }),
        ];
        for (const attempt of attempts) await assert.rejects(attempt(), { code: 'FORBIDDEN' });
      }
      await assert.rejects(notifications.openTask(scope, { kind: 'REPLY', reason: 'NOT_UNDERSTOOD' }), {
        code: 'FORBIDDEN',
      });
    }),
  );
});

test(
  'a task is opened once for a notification and kind',
  committed(async () => {
    const indexes = await asSuperuser(`select from pg_indexes where indexname = 'tasks_once_per_notification'`);
    assert.equal(indexes.length, 1);
  }),
);
