import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { newPatient, newProvider } from './support/appointments.ts';
import { as, sandboxed } from './support/testing.ts';

const situation = fc.record({
  timeZone: fc.constantFrom(
    'America/New_York',
    'America/Phoenix',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'Pacific/Kiritimati',
  ),
  date: fc.constantFrom('2026-03-08', '2026-04-05', '2026-10-04', '2026-11-01'),
  hours: fc.constantFrom(
    [{ from: '00:00', to: '03:00' }],
    [
      { from: '01:30', to: '02:15' },
      { from: '02:15', to: '04:00' },
    ],
    [{ from: '00:00', to: '24:00' }],
  ),
  service: fc.constantFrom('TELEHEALTH', 'HOME_VISIT', 'TRANSPORTATION'),
  minutes: fc.integer({ min: 1, max: 90 }),
  offFrom: fc.integer({ min: 0, max: 240 }),
  takenFrom: fc.integer({ min: 0, max: 240 }),
  patientFrom: fc.integer({ min: 0, max: 240 }),
  dailyLimit: fc.constantFrom(null, 1, 2),
  /** Minutes that a directory covers, and in which it has the provider at work and busy. */
  directory: fc.option(
    fc.record({
      covers: fc.integer({ min: 30, max: 300 }),
      freeFrom: fc.integer({ min: 0, max: 150 }),
      busyFor: fc.integer({ min: 1, max: 60 }),
    }),
  ),
  probes: fc.uniqueArray(fc.integer({ min: 0, max: 299 }), { minLength: 6, maxLength: 6 }),
});
type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

/** A provider and a patient, what each has already, and the five hours after the local midnight. */
async function staged(scope: Scope, it: Situation) {
  const admin = as(scope, 'admin');
  const providerId = await newProvider(scope, { timeZone: it.timeZone });
  const patientId = await newPatient(scope);
  const midnight = Temporal.PlainDate.from(it.date).toZonedDateTime(it.timeZone).toInstant();
  const at = (minutes: number) => midnight.add({ minutes });
  const { service, dailyLimit } = it;
  await scheduling.updateCareService(admin, service, { dailyLimit });
  if (it.directory) await said(scope, providerId, { at, ...it.directory });
  else await scheduling.setProviderException(admin, providerId, { date: it.date, hours: [...it.hours] });
  const offTime = { startsAt: at(it.offFrom), endsAt: at(it.offFrom + 20) };
  await scheduling.addTimeOff(admin, providerId, offTime);
  const override = { rules: [...scheduling.CONFLICT_RULES], reason: 'Staged' };
  const other = await newPatient(scope);
  const elsewhere = await newProvider(scope);
  const visit = { service, minutes: 15, override };
  await scheduling.schedule(admin, { ...visit, providerId, patientId: other, startsAt: at(it.takenFrom) });
  await scheduling.schedule(admin, { ...visit, providerId: elsewhere, patientId, startsAt: at(it.patientFrom) });
  return { providerId, patientId, at };
}

interface Saying extends NonNullable<Situation['directory']> {
  readonly at: (minutes: number) => Temporal.Instant;
}

/** A directory says when the provider works, and is busy in between. */
async function said(scope: Scope, providerId: string, { at, covers, freeFrom, busyFor }: Saying): Promise<void> {
  const { externalId } = await scheduling.getProvider(scope, providerId);
  const slot = (status: 'free' | 'busy', from: number, until: number) => ({
    status,
    startsAt: at(from),
    endsAt: at(until),
  });
  const slots = [
    slot('free', freeFrom, freeFrom + 60),
    slot('busy', freeFrom + 60, freeFrom + 60 + busyFor),
    slot('free', freeFrom + 60 + busyFor, freeFrom + 180),
  ];
  const directory = {
    source: 'directory.example',
    practitioners: async () => [{ id: 'one', identifiers: [], npis: [externalId] }],
    times: async () => ({ from: at(0), until: at(covers), slots }),
  };
  // The directory is asked for some days ahead only, so on the day before.
  const now = at(0).subtract({ hours: 24 });
  const signal = new AbortController().signal;
  const synced = await scheduling.syncDirectory({ ...as(scope, 'system'), now }, { directory, signal });
  assert.equal(synced.changed, 1);
}

class Undone extends Error {}

/** Books it, and undoes that. */
async function canBeBooked(scope: Scope, booking: scheduling.Booking): Promise<boolean> {
  try {
    await transact(scope, async (scope) => {
      await scheduling.schedule(scope, booking);
      throw new Undone();
    });
  } catch (thrown) {
    if (thrown instanceof Undone) return true;
    if (thrown instanceof scheduling.AppointmentConflict) return false;
    throw thrown;
  }
  return false;
}

test(
  'what availableSlots offers can be booked, and what can be booked it offers, through the database',
  sandboxed(async (scope) => {
    let offered = 0;
    await fc.assert(
      fc.asyncProperty(situation, async (it) => {
        const { providerId, patientId, at } = await staged(scope, it);
        const { service, minutes } = it;
        const range = { from: at(0), to: at(300), everyMinutes: 1, first: 1_000 };
        const wanted = { service, minutes, patientId };
        const slots = await scheduling.availableSlots(scope, { ...wanted, ...range, providerIds: [providerId] });
        const starts = new Set(slots.map(({ startsAt }) => startsAt.toString()));
        offered += starts.size;
        const edges = slots.filter((_, i) => i === 0 || i === slots.length - 1).map(({ startsAt }) => startsAt);
        for (const startsAt of [...edges, ...it.probes.map(at)]) {
          const booked = await canBeBooked(scope, { ...wanted, providerId, startsAt });
          assert.equal(booked, starts.has(startsAt.toString()), startsAt.toString());
        }
      }),
      { numRuns: 25 },
    );
    assert.ok(offered > 100, 'the rules left hardly anything free');
  }),
);
