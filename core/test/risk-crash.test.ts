/** Whoever scores is killed again and again; every visit gets its score. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as scheduling from '#scheduling';
import type { Scope } from '../src/platform/scope.ts';
import { newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { asSuperuser, committed, urls } from './support/testing.ts';

const script = fileURLToPath(new URL('support/scoring-worker.ts', import.meta.url));

async function startScoring(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [script, urls.login], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function countOf(condition: string): Promise<number> {
  const [row] = await asSuperuser<{ count: number }>(
    `select count(*)::int as count from appointments a left join risk_scores s on s.appointment_id = a.id where ${condition}`,
  );
  return row?.count ?? 0;
}

const PROVIDERS = 4;
const VISITS_EACH = 12;

/** With a provider of their own. */
async function bookMany(scope: Scope): Promise<string[]> {
  const providerId = await newProvider(scope);
  const ids: string[] = [];
  for (let n = 0; n < VISITS_EACH; n++) {
    const startsAt = TOMORROW_AT_TEN.add({ minutes: 30 * n });
    const booking = { patientId: await newPatient(scope), providerId, service: 'TELEHEALTH', startsAt } as const;
    ids.push((await scheduling.schedule(scope, booking)).id);
  }
  return ids;
}

describe('followEvents', () => {
  test(
    'leaves no visit out when processes are killed in the middle of it',
    committed(async (scope) => {
      const workers = await Promise.all([startScoring(), startScoring()]);
      const ids: string[] = [];
      for (let p = 0; p < PROVIDERS; p++) {
        ids.push(...(await bookMany(scope)));
        // It has hardly begun with what was just booked.
        await kill(workers.shift() as ChildProcess);
        workers.push(await startScoring());
      }
      for (const id of ids.slice(0, 10)) await scheduling.confirm(scope, id, {});
      const behind = `s.appointment_id is null or a.status = 'CONFIRMED' and s.features ->> 'confirmed' is distinct from 'true'`;
      while ((await countOf(behind)) > 0) await sleep(20);
      for (const worker of workers) await kill(worker);
      assert.equal(await countOf('s.ahead'), PROVIDERS * VISITS_EACH);
    }),
  );
});
