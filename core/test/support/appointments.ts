/** A patient and a provider who can meet, and times at which they do. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import * as care from '#care';
import * as scheduling from '#scheduling';
import { asSystem, type Scope, transact } from '../../src/platform/scope.ts';
import { aPatient } from './patients.ts';
import { as } from './testing.ts';

/** Who offers every service but meals, in New York. */
export async function newProvider(
  scope: Scope,
  more: Partial<scheduling.ImportedProvider & scheduling.ImportedProviderRole> = {},
): Promise<string> {
  const system = as(scope, 'system');
  const externalId = randomUUID();
  const knownAs = [`Practitioner/${externalId}`];
  const [added] = await scheduling.importProviders(system, [{ externalId, name: 'Dr. Lee Okafor', knownAs, ...more }]);
  const services = scheduling.CARE_SERVICES.filter((service) => service !== 'MEAL_DELIVERY');
  const role = { provider: knownAs[0] as string, services, ...more, externalId: `${externalId}-role` };
  const [outcome] = await scheduling.importProviderRoles(system, [role]);
  assert.ok(added && 'id' in added && outcome && 'id' in outcome, JSON.stringify([added, outcome]));
  return added.id;
}

export async function newPatient(scope: Scope, more: Partial<care.NewPatient> = {}): Promise<string> {
  return (await care.createPatient(scope, aPatient(more))).id;
}

/** Tuesday 10:00 in New York, the day after the tests' present. */
export const TOMORROW_AT_TEN = Temporal.Instant.from('2026-03-03T15:00:00Z');

/** A TELEHEALTH visit, which has no buffers, tomorrow at ten: for new people unless told otherwise. */
export async function aBooking(
  scope: Scope,
  more: Partial<scheduling.Booking> = {},
): Promise<scheduling.Booking & { readonly startsAt: Temporal.Instant }> {
  return {
    patientId: more.patientId ?? (await newPatient(scope)),
    providerId: more.providerId ?? (await newProvider(scope)),
    service: 'TELEHEALTH',
    ...more,
    startsAt: more.startsAt ?? TOMORROW_AT_TEN,
  };
}

/** Books one. */
export async function booked(scope: Scope, more: Partial<scheduling.Booking> = {}): Promise<scheduling.Appointment> {
  return scheduling.schedule(scope, await aBooking(scope, more));
}

/** What is on record about an appointment, each oldest first: its history, its audit entries, its events. */
export async function recordsOf(scope: Scope, id: string) {
  return transact(asSystem(scope), async ({ db }) => {
    const { rows: history } = await sql<{
      version: number;
      revision: number;
      from_status: string | null;
      to_status: string;
      actor_id: string;
      starts_at: Date;
    }>`select * from appointment_changes where appointment_id = ${id} order by version`.execute(db);
    const { rows: audit } = await sql<{ action: string; patient_ids: string[]; changed_fields: string[] }>`
      select * from audit_entries where resource_id = ${id} and outcome = 'SUCCESS' and action <> 'appointment.read'
      order by id`.execute(db);
    const { rows: events } = await sql<{ topic: string; payload: scheduling.AppointmentChanged }>`
      select topic, payload from events where payload ->> 'appointmentId' = ${id} order by id`.execute(db);
    return { history, audit, events };
  });
}

/** As JSON has it: `deepEqual` takes any two instants for the same. */
export const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Does the work, and undoes it. */
export async function undone(scope: Scope, work: (scope: Scope) => Promise<unknown>): Promise<void> {
  const end = new Error('undone');
  await assert.rejects(
    transact(scope, async (scope) => {
      await work(scope);
      throw end;
    }),
    end,
  );
}
