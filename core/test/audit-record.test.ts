import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import { Forbidden } from '#platform/errors';
import { asSystem, transact } from '#platform/scope';
import { sealed } from './support/audit.ts';
import { actor, as, asSuperuser, committed, NOW, sandboxed, testScope } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const patientId = () => randomUUID();

async function does(scope: ReturnType<typeof testScope>, entry: Partial<audit.Entry> = {}): Promise<void> {
  await transact(scope, (scope) => audit.record(scope, { action: 'patient.read', resourceType: 'Patient', ...entry }));
}

describe('record', () => {
  test(
    'keeps who did what, when, from where, and why',
    sandboxed(async (scope) => {
      const [agent, id] = [actor('agent'), patientId()];
      const request = { id: 'request-1', ip: '192.0.2.7', userAgent: 'x'.repeat(600), purpose: 'treatment' };
      await does({ ...as(scope, agent), request }, { resourceId: id, changedFields: ['email'] });
      const { items } = await audit.list(as(scope, 'auditor'), { resourceId: id });
      assertSame(
        { ...items[0]?.node, id: 'any' },
        {
          id: 'any',
          sequence: -1,
          at: NOW,
          userId: agent.id,
          userRole: 'agent',
          action: 'patient.read',
          resourceType: 'Patient',
          resourceId: id,
          resourceIds: [],
          patientIds: [],
          changedFields: ['email'],
          purpose: 'treatment',
          outcome: 'SUCCESS',
          requestId: 'request-1',
          ipAddress: '192.0.2.7',
          userAgent: 'x'.repeat(512),
        },
      );
    }),
  );

  test(
    'keeps what cannot be an id as well as it can be stored, so that the refusal is on record',
    committed(async (scope) => {
      const resourceId = `\uD800\0${'\u{1F600}'.repeat(5_000)}`;
      const request = { ...scope.request, id: '\uDC00', userAgent: '\0' };
      await assert.rejects(
        audit.permit({ ...scope, request }, false, { action: 'test', resourceType: 'Patient', resourceId }),
        Forbidden,
      );
      await sealed(scope);
      const { unsealed, firstBad } = await audit.verify(asSystem(scope));
      assert.deepEqual([unsealed, firstBad], [0, null]);
    }),
  );

  test(
    'is undone with the change that it describes',
    committed(async (scope) => {
      const resourceId = patientId();
      const undone = transact(scope, async (scope) => {
        await audit.record(scope, { action: 'patient.read', resourceType: 'Patient', resourceId });
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      assert.deepEqual(await asSuperuser('select from audit_entries where resource_id = $1', [resourceId]), []);
    }),
  );
});

describe('permit', () => {
  test(
    'records the refusal even though the request fails',
    committed(async (scope) => {
      const resourceId = patientId();
      const entry = { action: 'patient.delete', resourceType: 'Patient', resourceId };
      await audit.permit(scope, true, entry);
      await assert.rejects(audit.permit(scope, false, entry), Forbidden);
      const rows = await asSuperuser('select outcome from audit_entries where resource_id = $1', [resourceId]);
      assert.deepEqual(rows, [{ outcome: 'DENIED' }]);
    }),
  );
});

describe('list', () => {
  test(
    'filters by each of its fields, and by all of them together',
    committed(async (scope) => {
      const [agent, id] = [actor('agent'), patientId()];
      const at = (minutes: number) => NOW.add({ minutes });
      await does({ ...as(scope, agent), now: at(0) }, { resourceId: id });
      await does({ ...as(scope, agent), now: at(1) }, { resourceId: id, action: 'patient.update' });
      await does({ ...scope, now: at(2) }, { resourceIds: [patientId(), id], action: 'patient.search' });
      await does({ ...scope, now: at(3) }, { resourceType: 'Appointment', resourceId: randomUUID(), patientIds: [id] });
      await sealed(scope);
      const actions = async (filter: audit.AuditFilter) =>
        (await audit.list({ ...as(scope, 'auditor'), now: at(9) }, filter)).items.map(({ node }) => node.action);

      const about = { resourceId: id };
      assert.deepEqual(await actions(about), ['patient.read', 'patient.search', 'patient.update', 'patient.read']);
      assert.deepEqual(await actions({ ...about, resourceType: 'Appointment' }), ['patient.read']);
      assert.deepEqual(await actions({ userId: agent.id }), ['patient.update', 'patient.read']);
      assert.deepEqual(await actions({ ...about, action: 'patient.search' }), ['patient.search']);
      const before1970 = Temporal.Instant.from('0001-01-01T00:00Z');
      assert.equal((await actions({ ...about, from: before1970 })).length, (await actions(about)).length);
      assert.deepEqual(await actions({ ...about, to: before1970 }), []);
      assert.deepEqual(await actions({ ...about, from: at(1), to: at(3) }), ['patient.search', 'patient.update']);
      assert.deepEqual(
        await actions({ ...about, userId: agent.id, action: 'patient.update', from: at(1), to: at(2) }),
        ['patient.update'],
      );
      assert.deepEqual(await actions({ resourceId: 'none' }), []);
    }),
  );

  test(
    'pages from the newest to the oldest, undisturbed by what is written meanwhile',
    sandboxed(async (scope) => {
      const resourceId = patientId();
      for (const action of ['a', 'b', 'c', 'd', 'e']) await does(scope, { action, resourceId });
      const admin = as(scope, 'admin');
      const seen: string[] = [];
      let after: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof audit.list>> = await audit.list(admin, { resourceId, first: 2, after });
        seen.push(...page.items.map(({ node }) => node.action));
        after = page.hasNextPage ? (page.items.at(-1)?.cursor ?? null) : null;
        await does(scope, { action: 'meanwhile', resourceId });
      } while (after !== null);
      assert.deepEqual(seen, ['e', 'd', 'c', 'b', 'a']);
    }),
  );

  test(
    'is itself on record',
    sandboxed(async (scope) => {
      const [auditor, resourceId] = [actor('auditor'), patientId()];
      await does(scope, { resourceId });
      const { items } = await audit.list(as(scope, auditor), { resourceId });
      const own = await audit.list(as(scope, auditor), { userId: auditor.id });
      assert.deepEqual(
        own.items.map(({ node }) => [node.action, node.resourceIds]),
        [['audit.list', items.map(({ node }) => node.id)]],
      );
    }),
  );

  test(
    'is refused to agents and patients',
    sandboxed(async (scope) => {
      await assert.rejects(audit.list(as(scope, 'agent')), Forbidden);
      await assert.rejects(audit.list(as(scope, 'patient')), Forbidden);
    }),
  );
});

describe('whoSawMyRecord', () => {
  test(
    'shows a patient what was done to the own record, and nothing of others',
    sandboxed(async (scope) => {
      const [own, other] = [patientId(), patientId()];
      await does(scope, { resourceId: own });
      await does(scope, { resourceId: other });
      await does(scope, { action: 'appointment.read', resourceType: 'Appointment', patientIds: [own] });
      const patient = as(scope, actor('patient', { patientId: own }));
      const { items } = await audit.whoSawMyRecord(patient);
      assert.deepEqual(
        items.map(({ node }) => [node.action, node.actorRole, node.outcome]),
        [
          ['appointment.read', 'agent', 'SUCCESS'],
          ['patient.read', 'agent', 'SUCCESS'],
        ],
      );
      assert.deepEqual(Object.keys(items[0]?.node ?? {}), [
        'id',
        'at',
        'actorRole',
        'action',
        'resourceType',
        'outcome',
      ]);
      const second = await audit.whoSawMyRecord(patient, { first: 1, after: items[0]?.cursor ?? null });
      assertSame(second.items[0]?.node, items[1]?.node);
    }),
  );

  test(
    'shows lists that returned the record among others once they are sealed',
    committed(async (scope) => {
      const own = patientId();
      await does(scope, { action: 'patient.search', resourceIds: [patientId(), own] });
      await sealed(scope);
      const { items } = await audit.whoSawMyRecord(as(scope, actor('patient', { patientId: own })));
      assert.deepEqual(
        items.map(({ node }) => node.action),
        ['patient.search'],
      );
    }),
  );

  test(
    'is refused to everybody else',
    sandboxed(async (scope) => {
      for (const role of ['admin', 'agent', 'auditor', 'patient'] as const) {
        await assert.rejects(audit.whoSawMyRecord(as(scope, role)), Forbidden);
      }
    }),
  );
});
