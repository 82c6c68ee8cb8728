import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as scheduling from '#scheduling';
import { newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { as, committed } from './support/testing.ts';

test(
  'time off and a booking of its time at the same moment: one sees the other',
  committed(async (scope) => {
    const off = { startsAt: TOMORROW_AT_TEN, endsAt: TOMORROW_AT_TEN.add({ hours: 1 }) };
    for (let round = 0; round < 20; round++) {
      const providerId = await newProvider(scope);
      const patientId = await newPatient(scope);
      const visit = { providerId, patientId, service: 'TELEHEALTH', startsAt: TOMORROW_AT_TEN } as const;
      const booking = scheduling.schedule(scope, visit).catch((thrown: unknown) => thrown);
      const { appointments } = await scheduling.addTimeOff(as(scope, 'admin'), providerId, off);
      const booked = await booking;
      if (booked instanceof Error) assert.ok(booked instanceof scheduling.AppointmentConflict, String(booked));
      assert.equal(appointments.length, booked instanceof Error ? 0 : 1, `round ${round}`);
    }
  }),
);
