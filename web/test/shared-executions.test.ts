import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '@careflex/core/audit';
import { Unauthenticated } from '@careflex/core/platform/errors';
import { asSuperuser } from '@careflex/core/testing';
import { createDeliveredReads } from '../src/graphql/delivered-reads.ts';
import { createSharedExecutions, toSubscriber } from '../src/graphql/shared-executions.ts';
import { type Person, useApi } from './support/api.ts';

const api = useApi();
const REQUEST = { query: 'subscription { appointmentEvents { sequence } }' };
const PATIENT = '019f0000-0000-7000-8000-00000000beef';
const READ: Entry = { action: 'patient.read', resourceType: 'Patient', resourceId: PATIENT };

function subscriberFor({ id, sessionId }: Person, more: object = {}) {
  const origin = { id: 'shared-test', ip: '192.0.2.9', userAgent: 'test' };
  return toSubscriber({ ...REQUEST, ...more }, { id, role: 'agent', sessionId }, origin);
}

/** Executions over the test's API, and who did them. */
function sharing(delivered = createDeliveredReads(api.app, 50)) {
  const shared = createSharedExecutions(api.app, delivered);
  const by: string[] = [];
  return {
    by,
    delivered,
    ask: (event: object, person: Person, more: object = {}) =>
      shared.resultOf(event, subscriberFor(person, more), async () => {
        by.push(person.id);
        await sleep(1);
        return { result: { data: { it: by.length } }, reads: [READ] };
      }),
  };
}

const recorded = async (people: readonly Person[]) =>
  asSuperuser<{ user_id: string; resource_id: string; request_id: string }>(
    `select user_id, resource_id, request_id from audit_entries where action = 'patient.read' and resource_id = $1
      and user_id = any($2::uuid[])`,
    [PATIENT, people.map(({ id }) => id)],
  );

describe('a shared execution', () => {
  test('is one for all who ask the same with the same rights at an event', async () => {
    const [a, b] = [await api.newPerson('agent'), await api.newPerson('agent')];
    const { by, ask, delivered } = sharing();
    const event = {};
    const results = await Promise.all([ask(event, a), ask(event, b), ask(event, b, { variables: { since: 1 } })]);
    assert.equal(results[0], results[1]);
    assert.notEqual(results[0], results[2]);
    assert.deepEqual(by.toSorted(), [a.id, b.id].toSorted());
    await ask({}, b);
    assert.equal(by.length, 3);
    await delivered.close();
  });

  test('is on record for everybody else, a patient who was read included', async () => {
    const people = [await api.newPerson('agent'), await api.newPerson('agent'), await api.newPerson('agent')];
    const { ask, delivered } = sharing();
    const event = {};
    await Promise.all(people.map((person) => ask(event, person)));
    await delivered.close();
    const others = people.slice(1);
    const rows = await recorded(people);
    assert.deepEqual(
      new Set(rows.map((row) => `${row.user_id} ${row.resource_id} ${row.request_id}`)),
      new Set(others.map(({ id }) => `${id} ${PATIENT} shared-test`)),
    );
    const subjects = await asSuperuser(
      'select from audit_subjects s join audit_entries e on e.id = s.entry_id where s.patient_id = $1 and e.user_id = any($2::uuid[])',
      [PATIENT, others.map(({ id }) => id)],
    );
    assert.equal(subjects.length, 2);
  });

  test('tells nothing to whose session has ended, whoever was first', async () => {
    const [revoked, loyal] = [await api.newPerson('agent'), await api.newPerson('agent')];
    await asSuperuser('update sessions set ended_at = now() where id = $1', [revoked.sessionId]);
    const { by, ask, delivered } = sharing();
    const event = {};
    const [refused, told] = await Promise.allSettled([ask(event, revoked), ask(event, loyal)]);
    assert.ok(refused.status === 'rejected' && refused.reason instanceof Unauthenticated);
    assert.deepEqual([told.status, by], ['fulfilled', [loyal.id]]);
    await delivered.close();
  });

  test('tells nobody anything more while the reads cannot be recorded, and goes on afterwards', async () => {
    const people = [await api.newPerson('agent'), await api.newPerson('agent')] as const;
    const { ask, delivered } = sharing();
    const both = () => {
      const event = {};
      return Promise.allSettled(people.map((person) => ask(event, person)));
    };
    await asSuperuser('revoke insert on audit_entries from careflex_system');
    let answers = await both();
    while (answers.every(({ status }) => status === 'fulfilled')) {
      await sleep(20);
      answers = await both();
    }
    await asSuperuser(`grant insert (id, at, user_id, user_role, action, resource_type, resource_id, resource_ids,
      patient_ids, changed_fields, purpose, outcome, request_id, ip_address, user_agent, mac) on audit_entries
      to careflex_system`);
    while ((await recorded(people)).length === 0) await sleep(20);
    assert.ok((await both()).every(({ status }) => status === 'fulfilled'));
    await delivered.close();
  });
});
