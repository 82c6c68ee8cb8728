import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '#platform/database';
import { DomainError } from '#platform/errors';
import type { Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { type Proxy, startProxy } from './support/proxy.ts';
import { asSuperuser, testScope, urls } from './support/testing.ts';

interface Settled {
  readonly appointment: scheduling.Appointment;
  readonly attempts: number;
}

/** Asks until there is an answer, as a client does that knows its key. */
async function settle(scope: Scope, booking: scheduling.Booking): Promise<Settled> {
  for (let attempts = 1; ; attempts++) {
    try {
      return { appointment: await scheduling.schedule(scope, booking), attempts };
    } catch (thrown) {
      if (thrown instanceof DomainError || attempts === 200) throw thrown;
      await sleep(5);
    }
  }
}

const rowsOf = (patientIds: readonly string[]) =>
  asSuperuser<{ id: string; starts_at: Date }>(
    'select id, starts_at from appointments where patient_id = any ($1) order by starts_at',
    [patientIds],
  );

async function throughProxy(work: (scope: Scope, proxy: Proxy) => Promise<void>): Promise<void> {
  await using proxy = await startProxy(urls.login);
  const db = connect(proxy.url(urls.login), { max: 8 });
  try {
    await work(testScope({ db }), proxy);
  } finally {
    await db.destroy();
  }
}

describe('a booking over a network that fails', () => {
  test('is found by its key when the answer to its commit was lost', async () => {
    const booking = {
      patientId: await newPatient(testScope()),
      providerId: await newProvider(testScope()),
      service: 'TELEHEALTH',
      startsAt: TOMORROW_AT_TEN,
      idempotencyKey: 'lost',
    } as const;
    await throughProxy(async (scope, proxy) => {
      const lost = proxy.loseAnswerTo('commit');
      const asked = scheduling.schedule(scope, booking);
      await assert.rejects(asked, (thrown) => !(thrown instanceof DomainError));
      await lost;
      const [row] = await rowsOf([booking.patientId]);
      assert.ok(row, 'the server had committed');
      const { appointment } = await settle(scope, booking);
      assert.equal(appointment.id, row.id);
      assert.equal((await rowsOf([booking.patientId])).length, 1);
    });
  });

  test('exists once when it was acknowledged, whatever is cut, delayed or half closed meanwhile', async () => {
    const VISITS = 32;
    const providerId = await newProvider(testScope());
    const bookings: scheduling.Booking[] = [];
    for (let i = 0; i < VISITS; i++) {
      // Twelve half hours a day.
      const startsAt = TOMORROW_AT_TEN.add({ hours: 24 * Math.floor(i / 12), minutes: 30 * (i % 12) });
      const patientId = await newPatient(testScope());
      bookings.push({ patientId, providerId, service: 'TELEHEALTH', startsAt, idempotencyKey: `k${i}` });
    }
    await throughProxy(async (scope, proxy) => {
      const harms = [
        () => proxy.cut(),
        () => proxy.delay(2),
        () => proxy.halfClose(),
        () => void proxy.loseAnswerTo('commit'),
        () => proxy.delay(0),
      ];
      let answered = 0;
      const ask = async (booking: scheduling.Booking) => {
        const settled = await settle(scope, booking);
        // Each answer brings the next harm upon those that are still under way.
        harms[answered++ % harms.length]?.();
        return settled;
      };
      const settled = await Promise.all(bookings.map(ask));

      assert.ok(
        settled.some(({ attempts }) => attempts > 1),
        'nothing was disturbed',
      );
      const rows = await rowsOf(bookings.map(({ patientId }) => patientId));
      assert.deepEqual(
        rows.map(({ id }) => id).toSorted(),
        settled.map(({ appointment }) => appointment.id).toSorted(),
      );
    });
  });
});
