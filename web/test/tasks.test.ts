import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as notifications from '@careflex/core/notifications';
import { transact } from '@careflex/core/platform/scope';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, type Person, useApi } from './support/api.ts';
import { openClient } from './support/subscriber.ts';
import { newPatient } from './support/visits.ts';

const api = useApi();

interface Shown {
  readonly __typename: string;
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly code?: string;
  readonly [field: string]: unknown;
}

async function newTask(patientId: string | null = null): Promise<string> {
  const task = { kind: 'REPLY', reason: 'NOT_UNDERSTOOD', patientId } as const;
  const id = await transact(api.systemScope(), (scope) => notifications.openTask(scope, task));
  assert.ok(id);
  return id;
}

const FIELDS = 'id status version claimedByName outcome patient { firstName }';
const PROBLEMS = `... on Problem { code } ... on TaskTaken { claimedByName } ... on StaleTask { currentVersion }
  ... on InvalidInput { issues { path } }`;
const mutation = (step: string, more: readonly [variable: string, argument: string] = ['', '']) =>
  `mutation($id: ID!, $version: Int, $key: String${more[0]}) {
    it: ${step}(id: $id, version: $version, idempotencyKey: $key${more[1]}) {
      __typename ... on Task { ${FIELDS} } ${PROBLEMS} } }`;
const run = async (query: string, variables: object, as: Person) =>
  dataOf<Shown>(await api.graphql(query, variables, { as }), 'it');

const CLAIM = mutation('claimTask');
const RELEASE = mutation('releaseTask');
const COMPLETE = mutation('completeTask', [', $outcome: String!', ', outcome: $outcome']);
const claim = (variables: object, as: Person) => run(CLAIM, variables, as);
const release = (variables: object, as: Person) => run(RELEASE, variables, as);
const complete = (variables: object, as: Person) => run(COMPLETE, variables, as);

const LIST = `query($patientId: ID, $status: [TaskStatus!], $first: Int, $after: String) {
  it: tasks(patientId: $patientId, status: $status, first: $first, after: $after) {
    edges { cursor node { ${FIELDS} kind reason } } pageInfo { hasNextPage } } }`;
interface Listed {
  readonly edges: { readonly cursor: string; readonly node: Shown }[];
  readonly pageInfo: { readonly hasNextPage: boolean };
}
const list = async (variables: object) => dataOf<Listed>(await api.graphql(LIST, variables, { as: 'agent' }), 'it');

describe('the task list', () => {
  test('has the oldest first, page by page, with the patient beside each', async () => {
    const patientId = await newPatient(api);
    const ids = [await newTask(patientId), await newTask(patientId)];
    const { edges, pageInfo } = await list({ patientId, first: 1 });
    assert.ok(pageInfo.hasNextPage);
    const [first] = edges;
    assert.deepEqual(first?.node, {
      id: ids[0],
      status: 'OPEN',
      version: 1,
      claimedByName: null,
      outcome: null,
      patient: { firstName: 'Ada' },
      kind: 'REPLY',
      reason: 'NOT_UNDERSTOOD',
    });
    const rest = await list({ patientId, after: first.cursor });
    assert.deepEqual(
      rest.edges.map(({ node }) => node.id),
      [ids[1]],
    );
    assert.equal((await list({ patientId, status: ['DONE'] })).edges.length, 0);
  });

  test('is claimed by one of many, who is named to the others, and done by nobody else', async () => {
    const id = await newTask();
    const people = await Promise.all(Array.from({ length: 8 }, () => api.newPerson('agent')));
    const answers = await Promise.all(people.map((person) => claim({ id }, person)));
    const winner = answers.find(({ __typename }) => __typename === 'Task');
    const others = answers.filter(({ code }) => code === 'TASK_TAKEN');
    assert.equal(others.length, 7);
    assert.ok(others.every(({ claimedByName }) => claimedByName === winner?.['claimedByName']));
    const mine = people[answers.indexOf(winner as Shown)] as Person;
    const other = people.find((person) => person !== mine) as Person;
    assert.equal((await complete({ id, outcome: 'called' }, other)).code, 'TASK_TAKEN');
    assert.equal((await release({ id }, other)).code, 'TASK_TAKEN');
    assert.equal((await release({ id }, mine)).status, 'OPEN');
    assert.equal((await claim({ id }, other)).status, 'CLAIMED');
    assert.equal((await release({ id }, await api.person('admin'))).status, 'OPEN');
  });

  test('keeps what was done, once per key, and changes nothing that is done or stale', async () => {
    const id = await newTask();
    const agent = await api.person('agent');
    assert.equal((await claim({ id, version: 9 }, agent))['currentVersion'], 1);
    assert.deepEqual((await complete({ id, outcome: ' ' }, agent))['issues'], [{ path: ['outcome'] }]);
    const done = await complete({ id, version: 1, outcome: 'Called her', key: 'k' }, agent);
    assert.deepEqual([done.status, done.version, done['outcome']], ['DONE', 2, 'Called her']);
    assert.deepEqual(await complete({ id, version: 1, outcome: 'Called her', key: 'k' }, agent), done);
    const other = await complete({ id, outcome: 'Wrote to her', key: 'k' }, agent);
    assert.equal(other.code, 'IDEMPOTENCY_MISMATCH');
    assert.equal((await claim({ id }, agent)).code, 'TASK_DONE');
    assert.equal((await claim({ id: randomUUID() }, agent)).code, 'NOT_FOUND');
    const trail = await asSuperuser<{ action: string; text: string }>(
      `select action, to_jsonb(e)::text as text from audit_entries e where resource_id = $1 and outcome = 'SUCCESS'`,
      [id],
    );
    assert.ok(trail.some(({ action }) => action === 'task.complete'));
    assert.ok(trail.every(({ text }) => !text.includes('Called her')));
  });

  test('tells those who follow it what is opened and taken on', async () => {
    const agent = await api.person('agent');
    const subscriber = openClient(api.url, agent.token);
    const changes = subscriber.follow<{ taskChanged: Shown }>('subscription { taskChanged { id status } }');
    const first = changes.next();
    const seen: string[] = [];
    const opened = await repeatedly(first, () => newTask());
    seen.push(opened.value.taskChanged.status);
    const id = opened.value.taskChanged.id;
    await claim({ id }, agent);
    for await (const { taskChanged } of changes) {
      if (taskChanged.id === id) seen.push(taskChanged.status);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, ['OPEN', 'CLAIMED']);
    await subscriber.client.dispose();
  });
});

/** Does it until the value comes: what happens before the subscription has begun is not its own. */
async function repeatedly<T>(value: Promise<IteratorResult<T>>, act: () => Promise<unknown>) {
  const coming = { over: false };
  void value.finally(() => (coming.over = true)).catch(() => undefined);
  while (!coming.over) {
    await act();
    await sleep(50);
  }
  return value;
}
