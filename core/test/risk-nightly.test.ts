/** The night's scoring of every visit to come, over real connections: it reads and writes at the same time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as risk from '#risk';
import * as scheduling from '#scheduling';
import { newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { as, asSuperuser, committed } from './support/testing.ts';

const VISITS = 25;

async function count(what: string): Promise<number> {
  const [row] = await asSuperuser<{ count: number }>(`select count(*)::int as count from ${what}`);
  return row?.count ?? 0;
}

describe('scoreAhead', () => {
  test(
    'scores every visit to come, tells how far it is, and goes on where it was stopped',
    committed(async (scope) => {
      const providerId = await newProvider(scope);
      for (let n = 0; n < VISITS; n++) {
        const day = [0, 1, 2, 3, 6][n % 5] ?? 0;
        const startsAt = TOMORROW_AT_TEN.add({ hours: 24 * day, minutes: 30 * Math.floor(n / 5) });
        const patientId = await newPatient(scope);
        await scheduling.schedule(scope, { patientId, providerId, service: 'TELEHEALTH', startsAt });
      }
      const system = as(scope, 'system');
      const stop = new AbortController();
      const told: risk.Progress[] = [];
      const onProgress = (progress: risk.Progress) => {
        told.push(progress);
        stop.abort();
      };
      await assert.rejects(risk.scoreAhead(system, { signal: stop.signal, onProgress, batch: 10 }), {
        name: 'AbortError',
      });
      assert.deepEqual(told, [{ done: 10, total: VISITS }]);
      assert.equal(await count('risk_scores'), 10);

      const resumed: number[] = [];
      const end = await risk.scoreAhead(system, { onProgress: ({ done }) => resumed.push(done), batch: 10 });
      assert.deepEqual(resumed, [20, 25]);
      assert.deepEqual(end, { done: VISITS, total: VISITS });
      assert.equal(await count('risk_scores where ahead'), VISITS);
      assert.equal(await count('risk_runs where finished_at is not null'), 1);

      // Another night begins anew, and what has begun by then is not to come any more.
      const later = { ...system, now: TOMORROW_AT_TEN.add({ hours: 12 }) };
      const again = await risk.scoreAhead(later, { batch: 10 });
      assert.deepEqual(again, { done: 20, total: 20 });
      assert.equal(await count('risk_scores where ahead'), 20);
    }),
  );
});
