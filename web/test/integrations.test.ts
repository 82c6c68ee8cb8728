import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();

interface Integration {
  readonly name: string;
  readonly state: string;
  readonly tripped: { readonly by: string; readonly reason: string } | null;
  readonly processes: { readonly node: string; readonly state: string; readonly rejected: number }[];
}

const FIELDS = `name state tripped { at by reason } calls { succeeded refused failed rejected }
  processes { node state succeeded refused failed rejected retries timeouts running waiting lastErrorCode lastErrorAt
    reportedAt }`;

async function find(name: string): Promise<Integration | undefined> {
  const answer = await api.graphql(`{ integrations { ${FIELDS} } }`, {}, { as: 'admin' });
  return dataOf<Integration[]>(answer, 'integrations').find((one) => one.name === name);
}

async function steer(mutation: string, as: 'admin' | 'agent' = 'admin') {
  return dataOf<Record<string, unknown>>(
    await api.graphql(
      `mutation { it: ${mutation} { ... on Integration { ${FIELDS} } ... on Problem { code } } }`,
      {},
      { as },
    ),
    'it',
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe('systems outside', () => {
  test('are seen with each process, tripped for all and reset, once per key', async () => {
    await until(async () => (await find('sms'))?.processes.length === 1);
    const admin = await api.person('admin');
    const key = randomUUID();
    const TRIP = `tripIntegration(name: "sms", reason: "They bill twice", idempotencyKey: "${key}")`;
    const { state, tripped } = await steer(TRIP);
    assert.equal(state, 'TRIPPED');
    assert.deepEqual(
      [(tripped as { by: string }).by, (tripped as { reason: string }).reason],
      [admin.id, 'They bill twice'],
    );
    await until(async () => (await find('sms'))?.processes[0]?.state === 'TRIPPED');
    const send = () => api.app.integrations.sms.find({ to: '+12125550123', body: 'x', since: Temporal.Now.instant() });
    await assert.rejects(send(), { code: 'NOT_CONFIGURED' });
    assert.equal((await steer('resetIntegration(name: "sms")'))['tripped'], null);
    await until(async () => (await find('sms'))?.state === 'CLOSED');
    assert.equal((await steer(TRIP))['state'], 'CLOSED');
    assert.deepEqual(await steer('resetIntegration(name: "fax")'), { code: 'NOT_FOUND' });
    assert.deepEqual(await steer('tripIntegration(name: "sms", reason: "")'), { code: 'INVALID_INPUT' });
  });

  test('are measured', async () => {
    await asSuperuser(
      `insert into neighbours (name, succeeded, refused, failed, rejected) values ('payer', 7, 1, 2, 3)
       on conflict (name) do update set succeeded = 7, refused = 1, failed = 2, rejected = 3`,
    );
    await steer('tripIntegration(name: "voice", reason: "Quiet")');
    const text = await (await api.fetch('/metrics')).text();
    for (const line of [
      '# TYPE careflex_integration_calls_total counter',
      'careflex_integration_calls_total{name="payer",result="succeeded"} 7',
      'careflex_integration_calls_total{name="payer",result="rejected"} 3',
      'careflex_integration_state{name="voice",state="tripped"} 1',
      'careflex_integration_state{name="voice",state="closed"} 0',
      'careflex_integration_state{name="email",state="closed"} 1',
    ]) {
      assert.ok(text.includes(`${line}\n`), line);
    }
    const again = await (await api.fetch('/metrics')).text();
    assert.ok(again.includes('careflex_integration_calls_total{name="payer",result="succeeded"} 7\n'));
  });
});
