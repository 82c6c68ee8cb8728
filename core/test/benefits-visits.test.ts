import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as benefits from '#benefits';
import * as care from '#care';
import { InvalidInput } from '#platform/errors';
import { asSystem, type Scope } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { aBenefit, amountsOf, ledgerOf, reread } from './support/benefits.ts';
import { actor, as, committed, sandboxed } from './support/testing.ts';

/** A ride costs one of the trips. */
async function ridesCostATrip(scope: Scope, onNoShow: 'RELEASE' | 'USE' = 'RELEASE'): Promise<void> {
  const coverage = { type: 'TRANSPORTATION', unit: 'COUNT', amount: '1', onNoShow } as const;
  await scheduling.updateCareService(as(scope, 'admin'), 'TRANSPORTATION', { coverage });
}

const trips = (scope: Scope, more: Partial<benefits.NewBenefit> = {}) =>
  aBenefit(scope, { unit: 'COUNT', allocated: '2', ...more });

async function aRide(scope: Scope, patientId: string, more: Partial<scheduling.Booking> = {}) {
  return aBooking(scope, { patientId, service: 'TRANSPORTATION', ...more });
}

/** What is used and held. */
async function usedAndHeld(scope: Scope, benefit: benefits.Benefit): Promise<string> {
  const { used, held } = await reread(scope, benefit);
  return `${used.toFixed()} used, ${held.toFixed()} held`;
}

const later = (scope: Scope, duration: Temporal.DurationLike): Scope => ({ ...scope, now: scope.now.add(duration) });
const refusal = (attempt: Promise<unknown>) => attempt.catch((thrown: unknown) => thrown);

describe('a visit that a benefit pays for', () => {
  test(
    'holds its amount from the hold on, spends it when it has been, each once',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope);
      const ride = await aRide(scope, benefit.patientId);
      const held = await scheduling.hold(scope, { ...ride, service: 'TRANSPORTATION' });
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 1 held');
      const visit = await scheduling.schedule(scope, { ...ride, holdId: held.id });
      assert.deepEqual([visit.benefitId, visit.benefitAmount], [benefit.id, '1.00']);
      await scheduling.confirm(scope, visit.id);
      await scheduling.checkIn(scope, visit.id);
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 1 held');
      await scheduling.complete(later(scope, { hours: 25 }), visit.id);
      assert.equal(await usedAndHeld(scope, benefit), '1 used, 0 held');
      assert.deepEqual(await ledgerOf(scope, benefit), ['ALLOCATE 2.00', 'HOLD 1.00', 'RELEASE 1.00', 'USE 1.00']);
      assert.deepEqual(await benefits.ledgerDisagreements(as(scope, 'admin')), []);
    }),
  );

  test(
    'gives it back when it is called off, when its hold lapses and when the patient is gone',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope);
      const { patientId } = benefit;
      const cancelled = await booked(scope, await aRide(scope, patientId));
      await scheduling.cancel(scope, cancelled.id, { reason: 'PATIENT' });
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 0 held');
      await scheduling.hold(scope, { ...(await aRide(scope, patientId)), service: 'TRANSPORTATION' });
      await scheduling.expireHolds(asSystem(later(scope, { minutes: 4 })));
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 0 held');
      await booked(scope, await aRide(scope, patientId));
      await scheduling.callOff(asSystem(scope), patientId, 'ORGANISATION');
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 0 held');
    }),
  );

  for (const [onNoShow, missed, completed] of [
    ['RELEASE', '0 used, 0 held', '1 used, 0 held'],
    ['USE', '1 used, 0 held', '1 used, 0 held'],
  ] as const) {
    test(
      `when it is missed is ${onNoShow === 'USE' ? 'spent' : 'given back'} by policy; a correction puts it right`,
      sandboxed(async (scope) => {
        await ridesCostATrip(scope, onNoShow);
        const benefit = await trips(scope);
        const visit = await booked(scope, await aRide(scope, benefit.patientId));
        const after = later(scope, { hours: 25 });
        await scheduling.markNoShow(after, visit.id);
        assert.equal(await usedAndHeld(scope, benefit), missed);
        const correct = (status: 'COMPLETED' | 'NO_SHOW') =>
          scheduling.changeStatus(after, visit.id, { status, reason: 'noted wrongly' });
        await correct('COMPLETED');
        assert.equal(await usedAndHeld(scope, benefit), completed);
        await correct('NO_SHOW');
        assert.equal(await usedAndHeld(scope, benefit), missed);
        assert.deepEqual(await benefits.ledgerDisagreements(as(scope, 'admin')), []);
      }),
    );
  }

  test(
    'keeps the terms that it was booked on',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope);
      const visit = await booked(scope, await aRide(scope, benefit.patientId));
      await scheduling.updateCareService(as(scope, 'admin'), 'TRANSPORTATION', { coverage: null });
      await scheduling.start(later(scope, { hours: 24 }), visit.id);
      await scheduling.complete(later(scope, { hours: 25 }), visit.id);
      assert.equal(await usedAndHeld(scope, benefit), '1 used, 0 held');
    }),
  );

  test(
    'is paid by the benefit whose period has its day, in the plan’s zone, and of those by the one that ends first',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const patientId = await newPatient(scope);
      const period = (periodStart: string, periodEnd: string, timeZone = 'America/New_York') =>
        trips(scope, { patientId, periodStart, periodEnd, timeZone });
      const year = await period('2026-01-01', '2026-12-31');
      const quarter = await period('2026-01-01', '2026-03-31');
      await trips(scope, { patientId, periodEnd: '2026-03-20', unit: 'MONEY', allocated: '100' });
      // It is Wednesday already in Kiritimati when the ride begins on Tuesday in New York.
      const wednesday = await period('2026-03-04', '2026-03-04', 'Pacific/Kiritimati');
      const [tomorrow, april] = [TOMORROW_AT_TEN, Temporal.Instant.from('2026-04-01T14:00:00Z')];
      const paid = async (startsAt: Temporal.Instant) =>
        (await booked(scope, await aRide(scope, patientId, { startsAt }))).benefitId;
      assert.equal(await paid(tomorrow), wednesday.id);
      assert.equal(await paid(tomorrow.add({ hours: 24 })), quarter.id);
      assert.equal(await paid(april), year.id);
    }),
  );
});

describe('a visit that no benefit pays for', () => {
  test(
    'says so, changes nothing, and goes ahead if that is accepted',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope, { allocated: '1' });
      const { patientId } = benefit;
      await booked(scope, await aRide(scope, patientId));
      const startsAt = TOMORROW_AT_TEN.add({ hours: 3 });
      const ride = await aRide(scope, patientId, { startsAt });
      const attempts = [
        () => scheduling.schedule(scope, ride),
        () => scheduling.hold(scope, { ...ride, service: 'TRANSPORTATION' }),
      ];
      for (const attempt of attempts) {
        const refused = await refusal(attempt());
        assert.ok(refused instanceof benefits.BenefitNotCovering);
        assert.deepEqual([refused.reasons, refused.available?.toFixed()], [['INSUFFICIENT'], '0']);
      }
      assert.equal((await scheduling.appointments(scope, { patientId })).items.length, 1);
      const accepted = await scheduling.schedule(scope, { ...ride, acceptUncovered: true });
      assert.deepEqual([accepted.benefitId, accepted.benefitAmount], [null, null]);
      await scheduling.cancel(scope, accepted.id, { reason: 'PATIENT' });
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 1 held');
      const nobody = await refusal(scheduling.schedule(scope, await aRide(scope, await newPatient(scope))));
      assert.ok(nobody instanceof benefits.BenefitNotCovering);
      assert.deepEqual(nobody.reasons, ['NO_BENEFIT']);
    }),
  );

  test(
    'is a series as a whole',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope);
      const series = {
        patientId: benefit.patientId,
        providerId: await newProvider(scope),
        service: 'TRANSPORTATION',
        localStart: Temporal.PlainDateTime.from('2026-03-03T10:00'),
        count: 3,
      } as const;
      assert.ok((await refusal(scheduling.scheduleSeries(scope, series))) instanceof benefits.BenefitNotCovering);
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 0 held');
      const booked = await scheduling.scheduleSeries(scope, { ...series, acceptUncovered: true });
      assert.deepEqual(
        booked.map(({ benefitId }) => benefitId),
        [benefit.id, benefit.id, null],
      );
    }),
  );
});

describe('a visit that moves', () => {
  test(
    'in its period changes nothing; into another one it takes its hold along, or stays as a whole',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const patientId = await newPatient(scope);
      const march = await trips(scope, { patientId, periodStart: '2026-03-01', periodEnd: '2026-03-31' });
      const april = await trips(scope, {
        patientId,
        periodStart: '2026-04-01',
        periodEnd: '2026-04-30',
        allocated: '1',
      });
      const visit = await booked(scope, await aRide(scope, patientId));
      const moveTo = (startsAt: string, more: Partial<scheduling.Move> = {}) =>
        scheduling.reschedule(scope, visit.id, { startsAt: Temporal.Instant.from(startsAt), ...more });
      await moveTo('2026-03-10T14:00:00Z');
      assert.deepEqual(await ledgerOf(scope, march), ['ALLOCATE 2.00', 'HOLD 1.00']);
      const moved = await moveTo('2026-04-07T14:00:00Z');
      assert.equal(moved.benefitId, april.id);
      assert.deepEqual(
        [await usedAndHeld(scope, march), await usedAndHeld(scope, april)],
        ['0 used, 0 held', '0 used, 1 held'],
      );
      const refused = await refusal(moveTo('2026-05-05T14:00:00Z'));
      assert.ok(refused instanceof benefits.BenefitNotCovering);
      const still = await scheduling.getAppointment(scope, visit.id);
      assert.equal(`${still.startsAt.toString()} ${still.version}`, `${moved.startsAt.toString()} ${moved.version}`);
      assert.equal(await usedAndHeld(scope, april), '0 used, 1 held');
      const uncovered = await moveTo('2026-05-05T14:00:00Z', { acceptUncovered: true });
      assert.equal(uncovered.benefitId, null);
      assert.equal(await usedAndHeld(scope, april), '0 used, 0 held');
    }),
  );

  test(
    'back from a period that is over leaves nothing to spend there',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope, { periodEnd: '2026-03-03', allocated: '1' });
      const visit = await booked(scope, await aRide(scope, benefit.patientId));
      const after = later(scope, { hours: 40 });
      await scheduling.cancel(after, visit.id, { reason: 'PROVIDER' });
      assert.deepEqual(amountsOf(await reread(after, benefit)), ['0.00', '0.00', '0.00', '0.00']);
      assert.deepEqual((await ledgerOf(scope, benefit)).slice(-2), ['RELEASE 1.00', 'EXPIRE 1.00']);
      const override = { rules: ['IN_THE_PAST' as const], reason: 'r' };
      const back = { status: 'SCHEDULED', reason: 'wrong', override } as const;
      const admin = as(after, 'admin');
      const refused = await refusal(scheduling.changeStatus(admin, visit.id, back));
      assert.ok(refused instanceof benefits.BenefitNotCovering, String(refused));
    }),
  );
});

describe('who books', () => {
  test(
    'may be the patient, who writes no ledger',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope);
      const own = as(scope, actor('patient', { patientId: benefit.patientId }));
      const startsAt = TOMORROW_AT_TEN.add({ hours: 48 });
      const visit = await scheduling.schedule(own, await aRide(scope, benefit.patientId, { startsAt }));
      assert.equal(visit.benefitId, benefit.id);
      await scheduling.cancel(own, visit.id, { reason: 'PATIENT' });
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 0 held');
    }),
  );

  test(
    'at the same time never spends a trip twice: of 64 rides of one patient with eight trips, eight are paid',
    committed(async (scope) => {
      await ridesCostATrip(scope);
      const benefit = await trips(scope, { allocated: '8' });
      const providerId = await newProvider(scope);
      const rides = Array.from({ length: 64 }, (_, i) => ({
        patientId: benefit.patientId,
        providerId,
        service: 'TRANSPORTATION' as const,
        minutes: 10,
        startsAt: TOMORROW_AT_TEN.add({ hours: 24 * Math.floor(i / 4) }).add({ minutes: 90 * (i % 4) }),
      }));
      const results = await Promise.allSettled(rides.map((ride) => scheduling.schedule(scope, ride)));
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
      const uncovered = refused.filter((error) => error instanceof benefits.BenefitNotCovering);
      const conflicts = refused.filter((error) => error instanceof scheduling.AppointmentConflict);
      assert.equal(uncovered.length + conflicts.length, refused.length, String(refused[0]));
      assert.equal(64 - refused.length, 8);
      assert.equal(await usedAndHeld(scope, benefit), '0 used, 8 held');
      await scheduling.updateCareService(as(scope, 'admin'), 'TRANSPORTATION', { coverage: null });
    }),
  );

  test(
    'leaves what follows from the visits, whatever becomes of them',
    sandboxed(async (scope) => {
      await ridesCostATrip(scope, 'USE');
      const acts = fc.array(fc.constantFrom('book', 'cancel', 'complete', 'miss', 'correct'), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(acts, async (acts) => {
          const benefit = await trips(scope, { allocated: '5' });
          const providerId = await newProvider(scope);
          const visits: string[] = [];
          const after = later(scope, { hours: 24 * 20 });
          const steps: Record<string, (id: string, n: number) => Promise<unknown>> = {
            cancel: (id) => scheduling.cancel(after, id, { reason: 'PROVIDER', note: 'r' }),
            complete: (id) => scheduling.start(after, id).then(() => scheduling.complete(after, id)),
            miss: (id) => scheduling.markNoShow(after, id, { reason: 'r' }),
            correct: (id) => scheduling.changeStatus(after, id, { status: 'COMPLETED', reason: 'r' }),
          };
          for (const [n, act] of acts.entries()) {
            const startsAt = TOMORROW_AT_TEN.add({ hours: 24 * (n % 4) }).add({ minutes: 90 * Math.floor(n / 4) });
            const ride = await aRide(scope, benefit.patientId, { providerId, startsAt });
            const attempt =
              act === 'book'
                ? scheduling.schedule(scope, ride).then(({ id }) => visits.push(id))
                : visits.length > 0 && steps[act]?.(visits[n % visits.length] as string, n);
            await Promise.resolve(attempt).catch(expected);
          }
          const { items } = await scheduling.appointments(scope, { patientId: benefit.patientId });
          const count = (...statuses: string[]) => items.filter(({ node }) => statuses.includes(node.status)).length;
          const sums = `${count('COMPLETED', 'NO_SHOW')} used, ${count('SCHEDULED')} held`;
          assert.equal(await usedAndHeld(scope, benefit), sums);
          assert.deepEqual(await benefits.ledgerDisagreements(as(scope, 'admin')), []);
          await care.deletePatient(scope, benefit.patientId);
        }),
        { numRuns: 20 },
      );
    }),
  );

  function expected(thrown: unknown): void {
    const { IllegalTransition, AppointmentConflict } = scheduling;
    const typed = [IllegalTransition, AppointmentConflict, benefits.BenefitNotCovering];
    if (!typed.some((type) => thrown instanceof type)) throw thrown;
  }
});

describe('updateCareService', () => {
  test(
    'takes the terms as a whole or none',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const update = (coverage: object | null) =>
        scheduling.updateCareService(admin, 'TRANSPORTATION', { coverage } as scheduling.CareServiceChanges);
      const money = { type: 'TRANSPORTATION', unit: 'MONEY', amount: '12.5' };
      assert.deepEqual((await update(money)).coverage, { ...money, amount: '12.50', onNoShow: 'RELEASE' });
      const { version } = await update({ ...money, onNoShow: 'USE' });
      assert.equal((await update({ ...money, onNoShow: 'USE' })).version, version);
      for (const wrong of [{ ...money, amount: '0' }, { ...money, unit: 'COUNT' }, { type: 'MEALS' }])
        await assert.rejects(update(wrong), InvalidInput);
      assert.equal((await update(null)).coverage, null);
    }),
  );
});
